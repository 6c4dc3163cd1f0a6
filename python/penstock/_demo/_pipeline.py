"""The demo's program: what moves in some videos is found, followed and framed, and they are shown side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import penstock as ps

from ._clips import Clip
from ._motion import Motion
from ._tracker import Tracker
from ._wall import GREEN, Wall, tile_size, write_labels


def pipeline(clips: Sequence[Clip], target: Path) -> ps.Flow:
    """The graph that writes the wall of these clips. It has as many frames as the longest of them."""
    longest = max(range(len(clips)), key=lambda number: clips[number].frames)
    size = tile_size(clips)
    tiles = []
    for clip in clips:
        frames = ps.resize(ps.source(clip.path, name=clip.name), clip.size_within(size))  # C++
        boxes, labels = Tracker()(Motion()(frames))  # Python and OpenCV, with a state of its own for each source
        boxed = ps.draw_boxes(frames, boxes, color=GREEN, thickness=2)  # C++; joined by their numbers
        tiles.append(write_labels(boxed, labels))
    return ps.sink(Wall(len(clips), size, longest)(*tiles), target)
