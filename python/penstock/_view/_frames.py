"""The pipeline's side of a view: it notes the newest frame and passes it on."""

from __future__ import annotations

from typing import Any

from .._core import as_tensor, message
from ..errors import TensorError
from ._page import Page, Tile


class Watch:
    """Called with each frame; nothing here waits for a device, an encoder or a browser."""

    def __init__(self, page: Page, label: str) -> None:
        self._page = page
        self._label = label
        self._tiles: dict[str, Tile] = {}
        page.open(label)

    def __call__(self, frame: Any) -> Any:
        image = as_tensor(frame)
        shape = image.shape
        if image.dtype != "uint8" or len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)) or 0 in shape:
            raise TensorError(
                f"{self._label}: a frame is {image.dtype} {shape}; "
                "expected uint8, (height, width, 3) RGB or (height, width)"
            )
        origin = message().origin
        tile = self._tiles.get(origin.source)
        if tile is None:
            tile = self._tiles[origin.source] = self._page.add_tile(self._label, origin.source)
        tile.put(image, origin.number)
        return frame

    def close(self) -> None:
        self._page.close()
