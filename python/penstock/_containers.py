"""Several tensors as one value: of variable shapes in a list, or by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._core import Tensor, as_tensor
from .errors import ArgumentTypeError, TensorError


class TensorBatch(list[Tensor]):
    """Tensors of one dtype, rank, layout and device; their shapes may differ. Arrays are wrapped with no copy."""

    def __init__(self, tensors: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(tensors)

    def push(self, tensor: Any) -> None:
        """Adds one at the end, or several if it is a list."""
        if isinstance(tensor, (list, tuple)):
            self.extend(tensor)
        else:
            self.append(tensor)

    def append(self, tensor: Any) -> None:
        super().append(self._checked(tensor))

    def extend(self, tensors: Iterable[Any]) -> None:
        for tensor in tensors:
            self.append(tensor)

    def insert(self, index: Any, tensor: Any) -> None:
        super().insert(index, self._checked(tensor))

    def __setitem__(self, index: Any, tensor: Any) -> None:
        super().__setitem__(
            index, [self._checked(one) for one in tensor] if isinstance(index, slice) else self._checked(tensor)
        )

    def pop(self, count: Any = -1) -> Tensor:
        """Takes the last one (or that of an index) out."""
        if not self:
            raise TensorError(f"{type(self).__name__}: pop() of an empty one")
        return super().pop(count)

    def _checked(self, value: Any) -> Tensor:
        tensor = as_tensor(value)
        if self:
            first = self[0]
            for what in ("dtype", "ndim", "layout", "device"):
                expected, found = getattr(first, what), getattr(tensor, what)
                if expected != found:
                    raise TensorError(
                        f"{type(self).__name__}: {what} {found!s} does not fit {expected!s} of the first one"
                    )
        return tensor

    def __repr__(self) -> str:
        return f"<penstock.{type(self).__name__} of {len(self)}>"


class ImageBatch(TensorBatch):
    """Images (H, W) or (H, W, C), or (C, H, W) where the layout says so: one dtype, one device, any sizes."""

    def _checked(self, value: Any) -> Tensor:
        tensor = as_tensor(value)
        if tensor.ndim not in (2, 3):
            raise TensorError(f"ImageBatch: an image has 2 or 3 dimensions, found shape {tensor.shape}")
        return super()._checked(tensor)


def batch_or_none(values: Any, layout: str | None, on_release: Any) -> ImageBatch | None:
    """What as_tensor makes of a list or tuple of arrays; None if something else is in it."""
    if not values or isinstance(values[0], (int, float, complex, str, bytes, list, tuple)):
        return None
    if on_release is not None:
        raise ArgumentTypeError("as_tensor: on_release= is for one array, found several; wrap each by itself")
    return ImageBatch(as_tensor(value, layout) for value in values)


class TensorMap(dict[str, Tensor]):
    """Tensors by name. Arrays are wrapped with no copy."""

    def __init__(self, entries: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **more: Any) -> None:
        super().__init__()
        self.update(entries, **more)

    def __setitem__(self, name: str, tensor: Any) -> None:
        super().__setitem__(str(name), as_tensor(tensor))

    def push(self, name: str, tensor: Any) -> None:
        """Adds it, or replaces the one of that name."""
        self[name] = tensor

    def update(self, entries: Any = (), **more: Any) -> None:  # type: ignore[override]
        for name, tensor in {**dict(entries), **more}.items():
            self[name] = tensor

    def setdefault(self, name: str, tensor: Any = None) -> Tensor:
        if name not in self:
            self[name] = tensor
        return self[name]

    def __repr__(self) -> str:
        return f"<penstock.TensorMap of {', '.join(self) or 'nothing'}>"
