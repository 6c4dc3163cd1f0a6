"""Frames as files that a browser shows: JPEG by PyAV, BMP where it is not installed."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

_QUALITY = 4  # of 2 (best) to 31
_LAMBDA = 118  # FFmpeg's unit of it
_STEP = 160


def size_for(width: int, height: int, asked: int) -> tuple[int, int]:
    """The size that is sent to who shows it ``asked`` pixels wide: never larger than the frame, in few steps."""
    wide = min(width, max(_STEP, -(-asked // _STEP) * _STEP))
    return wide, max(1, round(height * wide / width))


def encoder() -> JpegEncoder | BitmapEncoder:
    """The best that can be had here."""
    try:
        return JpegEncoder()
    except ImportError:
        return BitmapEncoder()


class JpegEncoder:
    """One at a time; it keeps FFmpeg's encoder while the size stays."""

    type = "image/jpeg"

    def __init__(self) -> None:
        import av

        self._av: Any = av
        self._codec: Any = None
        self._size = (0, 0)

    def encode(self, image: Any, width: int) -> bytes:
        """``image``: a uint8 array (height, width) or (height, width, 1 or 3)."""
        height, wide = image.shape[:2]
        size = size_for(wide, height, width)
        if size != self._size:
            self._codec, self._size = self._make(size), size
        gray = image.ndim == 2 or image.shape[2] == 1
        pixels = image.reshape(height, wide) if gray else image
        frame = self._av.VideoFrame.from_ndarray(pixels, "gray" if gray else "rgb24")
        # JPEG files hold BT.601, and yuvj420p is full range.
        frame = frame.reformat(*size, "yuvj420p", dst_colorspace="ITU601")
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def _make(self, size: tuple[int, int]) -> Any:
        codec = self._av.CodecContext.create("mjpeg", "w")
        codec.width, codec.height = size
        codec.pix_fmt = "yuvj420p"
        codec.time_base = Fraction(1, 1000)
        codec.thread_count = 1  # more of them give a frame later
        codec.options = {"flags": "+qscale", "global_quality": str(_QUALITY * _LAMBDA)}
        return codec


class BitmapEncoder:
    """Windows bitmaps need NumPy alone. Too wide ones lose columns and rows."""

    type = "image/bmp"

    def encode(self, image: Any, width: int) -> bytes:
        """``image``: a uint8 array (height, width) or (height, width, 1 or 3)."""
        import numpy as np

        step = max(1, image.shape[1] // size_for(image.shape[1], image.shape[0], width)[0])
        small = image[::step, ::step]
        if small.ndim == 2:
            small = small[..., None]
        height, wide = small.shape[:2]
        rows = np.zeros((height, -(-wide * 3 // 4) * 4), np.uint8)  # a row is padded to 4 bytes
        rows[:, : wide * 3].reshape(height, wide, 3)[...] = small[..., ::-1]
        header = struct.pack("<2sIHHI", b"BM", 54 + rows.size, 0, 0, 54)
        info = struct.pack("<IiiHHIIiiII", 40, wide, -height, 1, 24, 0, rows.size, 0, 0, 0, 0)
        return header + info + rows.tobytes()
