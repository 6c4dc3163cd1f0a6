"""Streams: integers that are native handles, usable wherever a library asks for one."""

from __future__ import annotations

import contextlib
import numbers
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ._core import Event, _StreamImpl, device_count
from ._device import Device
from .errors import ArgumentTypeError, DeviceError, StreamError

_HOST_HANDLES = 1 << 62


class Stream(int):
    """A queue of work on a device. Its value is the raw handle; a host stream's is 2^62 + id.

    Inside ``with stream:`` it is the thread's current stream: CPU work is queued on it instead of being done
    before the call returns.
    """

    _impl: _StreamImpl

    def __new__(cls, device: Any = None) -> Stream:
        return cls._from_impl(_StreamImpl(device))

    @classmethod
    def _from_impl(cls, impl: _StreamImpl) -> Stream:
        self = int.__new__(cls, impl.handle)
        self._impl = impl
        return self

    def __copy__(self) -> Stream:
        return self

    def __deepcopy__(self, memo: Any) -> Stream:
        return self

    def __reduce__(self) -> Any:
        raise StreamError("Stream: a stream belongs to its process and can't be pickled")

    def __repr__(self) -> str:
        return f"<penstock.Stream {self.id} on {self.device}>"

    @property
    def id(self) -> int:
        """Never reused, unlike handles."""
        return self._impl.id

    @property
    def handle(self) -> int:
        """The raw handle, as an int."""
        return self._impl.handle

    @property
    def device(self) -> Device:
        return self._impl.device  # type: ignore[return-value]

    @property
    def __cuda_stream__(self) -> Callable[[], tuple[int, int]]:
        """The protocol of cuda.core, on GPU streams only."""
        if self.device == "cpu":
            raise AttributeError("__cuda_stream__: a host stream is no stream of CUDA")
        return lambda: (0, self.handle)

    def sync(self) -> None:
        """Waits on the host for all that is queued now; raises the first error, which is over then."""
        self._impl.sync()

    def query(self) -> bool:
        """True if all that was queued is complete. Never waits."""
        return self._impl.query()

    def record(self) -> Event:
        """An event for all that is queued now."""
        return self._impl.record()

    def wait(self, x: Any) -> None:
        """What is queued later runs after ``x``: a stream, an event, or the uses of a tensor so far."""
        self._impl.wait(x)

    def launch(self, fn: Callable[..., Any], /, *args: Any, writes: Any = (), **kw: Any) -> Event:
        """Queues ``fn(*args, **kw)`` on a host stream.

        It runs after the points of all tensors among the arguments: they are read, those in ``writes`` written.
        ``result()`` of the event gives what ``fn`` returned or raised; an exception also poisons the stream
        and comes out of ``sync()``.
        """
        return self._impl.launch(fn, args, writes, kw)

    def __enter__(self) -> Stream:
        self._impl._enter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._impl._leave()


def as_stream(obj: Any) -> Stream:
    """A stream of another library, or a handle. Keeps the object alive.

    Takes a Penstock stream, an int, a ``ctypes.c_void_p``, a stream of PyTorch, CuPy, Numba, CV-CUDA or cuda.core,
    or anything with ``__cuda_stream__``. A number is believed: no driver call can check a handle.
    """
    if isinstance(obj, Stream):
        return obj
    number = _number_of(obj)
    if number == 0:
        raise StreamError("as_stream: handle 0 is not accepted: it says nothing; the legacy stream is 1")
    # An object whose handle is 0 does say what it is: a library's default stream, the legacy one.
    handle = (_handle_of(obj) or 1) if number is None else number
    if handle >= _HOST_HANDLES or handle < 0:
        raise StreamError(f"as_stream: {handle:#x} is no handle of a GPU stream; pass a host stream itself")
    if handle >= 1 << 48:
        raise StreamError(f"as_stream: {handle:#x} is what no address can be")
    if device_count() == 0:
        raise DeviceError("as_stream: this machine has no GPU that can be used, so no stream of one")
    return Stream._from_impl(_StreamImpl.wrap(handle, obj))


def _number_of(obj: Any) -> int | None:
    """What is only a number: an int, or a ``c_void_p``."""
    if isinstance(obj, bool):
        raise ArgumentTypeError("as_stream: bool is no stream")
    pointer = _pointer_value(obj)
    if pointer is not None:
        return pointer
    if isinstance(obj, numbers.Integral) and not hasattr(obj, "__cuda_stream__"):
        return int(obj)
    return None


def _pointer_value(obj: Any) -> int | None:
    """The number in a ``c_void_p``; whoever has one has imported ctypes."""
    if "ctypes" in sys.modules and isinstance(obj, sys.modules["ctypes"].c_void_p):
        return int(obj.value or 0)
    return None


def _handle_of(obj: Any) -> int:
    protocol = getattr(obj, "__cuda_stream__", None)
    if protocol is not None:
        version_and_handle = protocol() if callable(protocol) else protocol
        try:
            _, handle = version_and_handle
            return operator.index(handle)
        except (TypeError, ValueError):
            raise ArgumentTypeError(
                f"as_stream: __cuda_stream__ of {type(obj).__name__} gives {version_and_handle!r}, "
                "expected (version, handle)"
            ) from None
    for attribute in ("cuda_stream", "ptr", "handle"):
        value = getattr(obj, attribute, None)
        if isinstance(value, int):
            return int(value)
        pointer = _pointer_value(value)
        if pointer is not None:
            return pointer
    raise ArgumentTypeError(
        f"as_stream: {type(obj).__name__} is not accepted; accepted are an int, ctypes.c_void_p, a stream of PyTorch, "
        "CuPy, Numba, CV-CUDA or cuda.core, or anything with __cuda_stream__"
    )


class StreamPool:
    """Streams that are shared: at most ``max`` at once (0: no limit), ``reserved`` made at once."""

    def __init__(self, device: Any = None, *, priority: int = 0, reserved: int = 1, max: int = 0) -> None:
        if reserved < 0 or max < 0 or (max and reserved > max):
            raise StreamError(f"StreamPool: reserved={reserved} and max={max} don't fit: 0 <= reserved <= max")
        self._device = _StreamImpl.device_of(device)
        self._priority = priority
        self._max = max
        self._lock = threading.Lock()
        self._idle = [self._make() for _ in range(reserved)]
        self._in_use: dict[int, Stream] = {}  # by id

    def _make(self) -> Stream:
        return Stream._from_impl(_StreamImpl(self._device, self._priority))

    def acquire(self) -> Stream:
        """A stream of the pool. StreamError if all are in use."""
        with self._lock:
            if self._max and len(self._in_use) >= self._max:
                raise StreamError(f"StreamPool: all {self._max} streams are in use; give one back or raise max")
            stream = self._idle.pop() if self._idle else self._make()
            self._in_use[stream.id] = stream
        return stream

    def release(self, stream: Stream) -> None:
        """Gives a stream back; work on it goes on."""
        if not isinstance(stream, Stream):
            raise ArgumentTypeError(f"StreamPool: release() takes a stream, found {type(stream).__name__}")
        with self._lock:
            if self._in_use.pop(stream.id, None) is None:
                raise StreamError(f"StreamPool: {stream!r} is not one that this pool gave out and has not got back")
            self._idle.append(stream)

    def _count(self, stream: Stream) -> None:
        """A stream that somebody else made counts as one in use."""
        with self._lock:
            if self._max and len(self._in_use) >= self._max:
                raise StreamError(f"StreamPool: all {self._max} streams are in use; give one back or raise max")
            self._in_use[stream.id] = stream

    def _uncount(self, stream: Stream) -> None:
        with self._lock:
            self._in_use.pop(stream.id, None)

    @contextlib.contextmanager
    def stream(self) -> Iterator[Stream]:
        """A stream for the block."""
        taken = self.acquire()
        try:
            yield taken
        finally:
            self.release(taken)
