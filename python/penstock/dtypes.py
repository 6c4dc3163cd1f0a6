"""Element types that NumPy lacks. Where ml_dtypes can be imported, tensors report its types instead."""

from __future__ import annotations

import functools
from typing import Any


class DType:
    """An element type by name, for creating tensors and for comparing."""

    def __init__(self, name: str, itemsize: int) -> None:
        self.name = name
        self.itemsize = itemsize

    def __repr__(self) -> str:
        return f"penstock.dtypes.{self.name}"

    def __eq__(self, other: object) -> bool:
        return self.name == getattr(other, "name", other)

    def __hash__(self) -> int:
        return hash(self.name)


bfloat16 = DType("bfloat16", 2)
float8_e3m4 = DType("float8_e3m4", 1)
float8_e4m3 = DType("float8_e4m3", 1)
float8_e4m3b11fnuz = DType("float8_e4m3b11fnuz", 1)
float8_e4m3fn = DType("float8_e4m3fn", 1)
float8_e4m3fnuz = DType("float8_e4m3fnuz", 1)
float8_e5m2 = DType("float8_e5m2", 1)
float8_e5m2fnuz = DType("float8_e5m2fnuz", 1)
float8_e8m0fnu = DType("float8_e8m0fnu", 1)

_OURS = {value.name: value for value in list(globals().values()) if isinstance(value, DType)}


def from_name(name: str) -> Any:
    """NumPy's dtype of that name; that of ml_dtypes, or ours, where NumPy has none."""
    import numpy as np

    if name not in _OURS:
        return np.dtype(name)
    try:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError):
        return _OURS[name]


def to_name(dtype: Any) -> str:
    """The name of anything that says an element type: a NumPy dtype or scalar type, a Python type, ours."""
    try:
        return _to_name(dtype)
    except TypeError:
        if isinstance(dtype, str):
            return dtype  # unknown: the nearest name is found by whoever asked
        from .errors import ArgumentTypeError

        raise ArgumentTypeError(
            f"dtype: {dtype!r} is no element type; use one of NumPy's, a name such as 'float32', or one of "
            "penstock.dtypes"
        ) from None


@functools.lru_cache(maxsize=256)
def _to_name(dtype: Any) -> str:
    if isinstance(dtype, DType):
        return dtype.name
    text = str(dtype)
    if text.startswith("torch."):
        return text.removeprefix("torch.")
    if dtype is None:
        raise TypeError
    import numpy as np

    resolved = np.dtype(dtype)
    if not resolved.isnative and resolved.itemsize > 1:
        from .errors import TensorError

        raise TensorError(f"dtype: {resolved!r} is big-endian; use little-endian data")
    return str(resolved.name)
