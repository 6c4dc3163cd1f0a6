"""Decoded frames as tensors: their planes as they lie, and RGB made of them."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._core import as_tensor, message
from .._operator import operator

# How FFmpeg calls what cvt_color reads, and what cvt_color calls it.
FORMATS = {"yuv420p": "I420", "yuvj420p": "I420", "nv12": "NV12"}


def planes_of(frame: Any, native: bool) -> Any:
    """The planes, wrapped where the decoder left them. What cvt_color can't read is RGB already, unless native."""
    if native or (frame.format.name in FORMATS and frame.width % 2 == 0 and frame.height % 2 == 0):
        if not native:
            message().metadata["format"] = FORMATS[frame.format.name]
        return tuple(_plane(frame, i) for i in range(len(frame.planes)))
    message().metadata["format"] = "RGB"
    return as_tensor(frame.to_ndarray(format="rgb24"), "HWC")


def _plane(frame: Any, index: int) -> Any:
    return as_tensor(frame.planes[index])


@operator
def to_rgb(planes: Any) -> Any:
    """RGB of the planes, by the frame's own matrix and range."""
    about = message().metadata
    if about["format"] == "RGB":
        return planes
    return ops.cvt_color(planes, about["format"], "RGB", matrix=about["matrix"], range=about["range"])
