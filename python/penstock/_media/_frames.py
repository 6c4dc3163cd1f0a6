"""Decoded frames as tensors: their planes, where the decoder left them, and what is known of them."""

from __future__ import annotations

from typing import Any

from .._core import as_tensor

# How FFmpeg calls what cvt_color reads, and what cvt_color calls it.
FORMATS = {"yuv420p": "I420", "yuvj420p": "I420", "nv12": "NV12"}
# Numbers of ISO/IEC 23091-2; 2 is "not said", which FFmpeg takes for BT.601 too.
_MATRICES = {1: "bt709", 9: "bt2020", 10: "bt2020"}
_FULL = 2


def planes_of(frame: Any, native: bool) -> tuple[str, Any]:
    """The format and the planes, with no copy. What cvt_color can't read is RGB already, unless native."""
    format = FORMATS.get(frame.format.name)
    if native:
        return format or frame.format.name, tuple(_plane(plane, frame) for plane in frame.planes if plane.line_size)
    if format is not None and frame.width % 2 == 0 and frame.height % 2 == 0:
        return format, tuple(as_tensor(plane) for plane in frame.planes)
    return "RGB", as_tensor(frame.to_ndarray(format="rgb24"), "HWC")


def _plane(plane: Any, frame: Any) -> Any:
    """(height, width) or (height, width, components); (height, bytes) for what has less than a byte for each."""
    try:
        return as_tensor(plane)
    except NotImplementedError:  # mixed or packed components
        import numpy as np

    row, height = plane.line_size, plane.height
    rows = np.frombuffer(plane, np.uint8, row * height).reshape(height, row)
    bits = frame.format.padded_bits_per_pixel
    if bits == 16:  # YUYV and its kin
        return as_tensor(rows[:, : 2 * frame.width].reshape(height, frame.width, 2))
    return as_tensor(rows[:, : (bits * frame.width + 7) // 8])


def about(frame: Any, format: str, rate: float) -> dict[str, Any]:
    """The metadata of a frame."""
    is_full = int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")
    rotation = int(getattr(frame, "rotation", 0) or 0)
    return {
        "matrix": _MATRICES.get(int(frame.colorspace), "bt601"),
        "range": "full" if is_full else "limited",
        "rotation": 180 if rotation == -180 else rotation,
        "rate": rate,
        "format": format,
    }
