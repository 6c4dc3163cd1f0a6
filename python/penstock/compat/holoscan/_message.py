"""What ``receive`` gives: the array or dict that was emitted, with ``get``."""

from __future__ import annotations

import functools
from typing import Any

import penstock as ps


def as_tensor(obj: Any) -> ps.Tensor:
    """A tensor over the same memory."""
    return ps.as_tensor(original(obj))


class _Map(dict[str, Any]):
    def get(self, name: str = "", default: Any = None) -> Any:
        if name != "" or name in self:
            return super().get(name, default)
        if len(self) != 1:
            raise ps.GraphError(f"get: the message has {len(self)} entries ({', '.join(self)}); name one")
        return next(iter(self.values()))


class _Array:
    _original: Any = None
    _plain: Any = None

    def get(self, name: str = "", default: Any = None, **copying: Any) -> Any:
        own = self._plain() if self._original is None else self._original
        if copying:  # CuPy's own get()
            return own.get(**copying)
        return default if name else own

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.get().__reduce_ex__(protocol)


class _Other(_Array):
    """For arrays whose class can't be derived from."""

    def __init__(self, value: Any) -> None:
        self._original = value

    __class__ = property(lambda self: type(self._original))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __getitem__(self, key: Any) -> Any:
        return self._original[key]


@functools.cache
def _derived(base: type) -> type:
    library = base.__module__.partition(".")[0]
    if (library, base.__name__) not in (("numpy", "ndarray"), ("cupy", "ndarray"), ("torch", "Tensor")):
        return _Other
    plain = (lambda own: own.as_subclass(base)) if library == "torch" else (lambda own: own.view(base))
    return type(base.__name__, (_Array, base), {"__module__": base.__module__, "_plain": plain})


def message(value: Any) -> Any:
    """What was emitted, with get(); what is no array and no dict is left as it is."""
    if isinstance(value, dict):
        return _Map(value)
    if not hasattr(type(value), "__dlpack__") and not hasattr(value, "__cuda_array_interface__"):
        return value
    kind: Any = type(value)
    derived = _derived(kind)
    if derived is _Other:
        return _Other(value)
    made = value.as_subclass(derived) if hasattr(value, "as_subclass") else value.view(derived)
    made._original = value
    return made


def original(value: Any) -> Any:
    """What was emitted, or the plain form of what was made of it."""
    if type(value) in (_Map, dict):
        return {name: original(one) for name, one in value.items()}
    return value.get() if issubclass(type(value), _Array) else value
