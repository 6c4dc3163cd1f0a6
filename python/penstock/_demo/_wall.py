"""The wall: tiles with boxes, side by side in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import penstock as ps

from ._clips import Clip

GREEN = (0, 255, 0)
_LARGEST = (720, 1280)  # of the whole wall


def shape(count: int) -> tuple[int, int]:
    """Rows and columns for so many tiles: 1, 1x2, 2x2, 2x3, 3x3, …"""
    columns = 1
    while columns * columns < count:
        columns += 1
    return -(-count // columns), columns


def tile_size(clips: Sequence[Clip]) -> tuple[int, int]:
    """Height and width of a tile, even. One clip alone keeps its size, as far as the wall has room."""
    rows, columns = shape(len(clips))
    height, width = _LARGEST[0] // max(rows, columns), _LARGEST[1] // columns
    if len(clips) == 1:
        return clips[0].size_within((height, width))
    return height & ~1, width & ~1


@ps.operator(writes="frame")
def write_labels(frame: Any, labels: list[tuple[int, int, int]]) -> Any:
    """Writes the number of each track above its box, or into it at the top of the picture."""
    import cv2

    pixels = ps.as_tensor(frame).numpy()
    for number, x, y in labels:
        place = (x, y - 4) if y >= 16 else (x + 3, y + 14)
        cv2.putText(pixels, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, GREEN, 1, cv2.LINE_AA)
    return frame


class Wall(ps.Operator):
    """Puts tiles side by side, in the middle of equal places. A clip that has ended keeps showing its last frame.

    It goes on as long as the tiles number ``longest``, whose times it takes: the others are optional inputs.
    """

    def __init__(self, count: int, tile: tuple[int, int], longest: int) -> None:
        super().__init__(name="wall")
        self._ports = [f"tile_{number}" for number in range(count)]
        self._tile = tile
        self._longest = self._ports[longest]

    def setup(self, spec: Any) -> None:
        for port in self._ports:
            spec.input(port, optional=port != self._longest)
        spec.output("out")

    def start(self) -> None:
        self._shown: dict[str, Any] = {}

    def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
        import numpy as np

        rows, columns = shape(len(self._ports))
        height, width = self._tile
        wall = np.zeros((rows * height, columns * width, 3), np.uint8)
        for number, port in enumerate(self._ports):
            tile = inputs.receive(port)
            if tile is not None:
                self._shown[port] = ps.as_tensor(tile).numpy()
            if port in self._shown:
                pixels = self._shown[port]
                top = number // columns * height + (height - pixels.shape[0]) // 2
                left = number % columns * width + (width - pixels.shape[1]) // 2
                wall[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        outputs.emit(wall, "out")
