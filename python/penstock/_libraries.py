"""What the core needs of other libraries' Python: their streams, told of as a program enters them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ._core import _note_entered


class _Handle:
    """A stream as CUDA's Python libraries take one of others."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._handle


def watch_torch(torch: Any) -> None:
    """Streams that ``torch.cuda.set_stream`` and ``with`` blocks make current; ``torch.cuda.stream`` calls the first."""
    set_stream = torch.cuda.set_stream

    @functools.wraps(set_stream)
    def noted_set_stream(stream: Any) -> Any:
        result = set_stream(stream)
        if stream is not None:
            _note_entered(stream.cuda_stream, stream)
        return result

    torch.cuda.set_stream = noted_set_stream
    stream_class = torch.cuda.Stream
    enter = getattr(stream_class, "__enter__", None)
    if enter is None:
        return

    @functools.wraps(enter)
    def noted_enter(self: Any) -> Any:
        result = enter(self)
        _note_entered(self.cuda_stream, self)
        return result

    stream_class.__enter__ = noted_enter


_cupy_use: Callable[[Any], Any] | None = None


def watch_cupy(cupy: Any) -> None:
    """Streams that a ``with`` block or ``use()`` makes current."""
    global _cupy_use
    base = cupy.cuda.Stream.__mro__[-2]  # what all of its stream classes share
    enter, use = base.__enter__, base.use
    _cupy_use = use

    def noted_enter(self: Any) -> Any:
        result = enter(self)
        _note_entered(self.ptr, self)
        return result

    def noted_use(self: Any) -> Any:
        result = use(self)
        _note_entered(self.ptr, self)
        return result

    base.__enter__, base.use = noted_enter, noted_use


def cupy_on(device: int, call: Callable[[], Any]) -> Any:
    """Calls while that GPU is current: CuPy's streams are used there."""
    import cupy

    if cupy.cuda.runtime.getDevice() == device:
        return call()
    with cupy.cuda.Device(device):
        return call()


def cupy_use(handle: int, device: int) -> Callable[[], Any]:
    """A call that makes the stream CuPy's current one, for ``cupy_on`` where there are several GPUs."""
    import cupy

    if handle == 1:
        stream = cupy.cuda.Stream.null
    elif hasattr(cupy.cuda.Stream, "from_external"):
        stream = cupy_on(device, lambda: cupy.cuda.Stream.from_external(_Handle(handle)))
    else:
        stream = cupy.cuda.ExternalStream(handle, device)
    return functools.partial(_cupy_use or type(stream).use, stream)
