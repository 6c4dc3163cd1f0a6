"""Boxes that belong to one thing get one number, from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import penstock as ps

Box = tuple[int, int, int, int]


@dataclass
class _Track:
    box: Box
    number: int = 0
    hits: int = 1
    missed: int = 0


@ps.operator(per="source", outputs=("boxes", "labels"))
class Tracker:
    """Boxes (n, 4) of what is followed, and its labels: (number, x, y) of each. A box belongs to the track whose last
    box it overlaps most.

    What was seen in fewer than ``confirm`` frames is not shown; what was not seen for ``patience`` frames is forgotten.
    """

    def __init__(self, *, confirm: int = 4, patience: int = 10, overlap: float = 0.2) -> None:
        self._confirm = confirm
        self._patience = patience
        self._overlap = overlap
        self._tracks: list[_Track] = []
        self._last = 0

    def __call__(self, boxes: Any) -> tuple[Any, list[tuple[int, int, int]]]:
        import numpy as np

        self._follow([tuple(box) for box in boxes.tolist()])
        shown = [track for track in self._tracks if track.hits >= self._confirm and not track.missed]
        for track in shown:
            if track.number == 0:  # counted when first shown, so that noise takes no numbers
                self._last += 1
                track.number = self._last
        found = np.array([track.box for track in shown], np.int32).reshape(-1, 4)
        return found, [(track.number, *track.box[:2]) for track in shown]

    def _follow(self, boxes: list[Box]) -> None:
        pairs = [(_overlap(t.box, box), k, i) for k, t in enumerate(self._tracks) for i, box in enumerate(boxes)]
        free, seen = set(range(len(boxes))), set()
        for overlap, k, i in sorted(pairs, reverse=True):
            if overlap >= self._overlap and i in free and k not in seen:
                free.remove(i)
                seen.add(k)
                track = self._tracks[k]
                track.box, track.hits, track.missed = boxes[i], track.hits + 1, 0
        for k, track in enumerate(self._tracks):
            track.missed += k not in seen
        self._tracks = [track for track in self._tracks if track.missed <= self._patience]
        self._tracks += [_Track(boxes[i]) for i in sorted(free)]


def _overlap(a: Box, b: Box) -> float:
    """The boxes' common area as a share of the smaller one: a thing that comes into view grows."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
