"""``ps.synthetic``: frames with no file."""

from __future__ import annotations

from .. import _core
from .._flow import Flow
from .._node import Node
from ..errors import GraphError


def synthetic(
    height: int = 480, width: int = 640, *, count: int | None = None, fps: float = 0, name: str | None = None
) -> Flow:
    """u8 HWC frames of 3 channels with a pattern that moves, on the run's device: ``count`` of them, or without end.

    ``fps`` frames a second; 0: as fast as they are taken, with the times of 30. GraphError for what does not fit.
    """
    for word, value in (("height", height), ("width", width)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise GraphError(f"synthetic: {word}={value!r} does not fit: pixels, at least 1")
    if not isinstance(fps, (int, float)) or not fps >= 0:
        raise GraphError(f"synthetic: fps={fps!r} does not fit: frames a second, at least 0")
    words = {"name": name, "count": count, "every_ms": 1000 / fps if fps else None}

    def native(on_lane: bool) -> _core._NodeSpec:
        return _core._synthetic(height, width, float(fps))

    return Flow(Node("synthetic", None, [], [{"name": "out"}], words, native=native))
