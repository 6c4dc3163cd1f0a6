"""Images: planes of a known format."""

from __future__ import annotations

from typing import Any

from ._core import Tensor, empty
from ._device import Device
from .errors import ArgumentTypeError, TensorError

# Format: for each plane (height divisor, width divisor, channels).
_FORMATS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "GRAY": ((1, 1, 1),),
    "RGB": ((1, 1, 3),),
    "BGR": ((1, 1, 3),),
    "RGBA": ((1, 1, 4),),
    "BGRA": ((1, 1, 4),),
    "YUYV": ((1, 1, 2),),
    "NV12": ((1, 1, 1), (2, 2, 2)),
    "I420": ((1, 1, 1), (2, 2, 1), (2, 2, 1)),
}


class Image:
    """A uint8 image of (width, height) pixels in a format: its planes are (H, W, C) tensors."""

    def __init__(self, size: tuple[int, int], format: str, device: Any = None, *, rowalign: int | None = None) -> None:
        if format not in _FORMATS:
            import difflib

            near = (difflib.get_close_matches(str(format).upper(), list(_FORMATS), 1, 0.0) or ["RGB"])[0]
            raise TensorError(f"Image: unknown format {format!r}; did you mean {near!r}?")
        if not isinstance(size, (tuple, list)) or [type(side) for side in size] != [int, int]:
            raise ArgumentTypeError(f"Image: size is {size!r}, expected (width, height)")
        width, height = size
        if width < 0 or height < 0:
            raise TensorError(f"Image: size ({width}, {height}) is negative; it is (width, height)")
        planes = _FORMATS[format]
        if len(planes) > 1 and (width % 2 or height % 2):
            raise TensorError(f"Image: {format} needs even sides, found ({width}, {height})")
        self.format = format
        self.width = width
        self.height = height
        self.planes: tuple[Tensor, ...] = tuple(
            empty((height // rows, width // columns, channels), "uint8", "HWC", device, rowalign)
            for rows, columns, channels in planes
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return (self.width, self.height)

    @property
    def device(self) -> Device:
        return self.planes[0].device  # type: ignore[return-value]

    def tensor(self) -> Tensor:
        """The one plane of an interleaved image."""
        if len(self.planes) > 1:
            raise TensorError(f"Image: {self.format} has {len(self.planes)} planes; use planes")
        return self.planes[0]

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.tensor().__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.tensor().__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.tensor().__array__(dtype, copy)

    def __repr__(self) -> str:
        return f"<penstock.Image {self.width}x{self.height} {self.format} on {self.device}>"
