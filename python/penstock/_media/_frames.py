"""Decoded frames as tensors: their planes, where the decoder left them."""

from __future__ import annotations

from typing import Any

from .._core import as_tensor

# How FFmpeg calls what cvt_color reads, and what cvt_color calls it.
FORMATS = {"yuv420p": "I420", "yuvj420p": "I420", "nv12": "NV12"}


def planes_of(frame: Any, native: bool) -> tuple[str, Any]:
    """The format and the planes, with no copy. What cvt_color can't read is RGB already, unless native."""
    format = FORMATS.get(frame.format.name)
    if native:
        return format or frame.format.name, tuple(as_tensor(plane) for plane in frame.planes)
    if format is not None and frame.width % 2 == 0 and frame.height % 2 == 0:
        return format, tuple(as_tensor(plane) for plane in frame.planes)
    return "RGB", as_tensor(frame.to_ndarray(format="rgb24"), "HWC")
