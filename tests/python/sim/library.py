"""A library with a current stream for each thread and an allocator that uses memory again in the order of the stream
it was taken on: PyTorch and CuPy in what Penstock sees of them, over the simulated CUDA.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import types

import numpy as np
import raw_dlpack
import simulated

COUNT = 4096


class Library:
    """One for a test; ``install()`` puts it where Penstock finds PyTorch."""

    def __init__(self):
        self._local = threading.local()
        self._lock = threading.Lock()
        self._free = {}  # by stream
        self.pool = {}  # ids of its own streams; another's has its handle for one
        self.reused = 0

    def current(self, device=0):
        return getattr(self._local, f"stream_{device}", 0)

    def set_current(self, handle, device=0):
        setattr(self._local, f"stream_{device}", handle)

    def make_stream(self):
        handle = simulated.Stream().handle
        self.pool[handle] = 8 * len(self.pool) + 3
        return handle

    def current_id(self, device):
        return self.pool.get(self.current(device), self.current(device))

    def set_current_id(self, number, device):
        self.set_current({own: handle for handle, own in self.pool.items()}.get(number, number), device)

    def take(self, device, stream):
        with self._lock:
            if self._free.get((device, stream)):
                self.reused += 1
                return self._free[device, stream].pop()
        with simulated.on_device(device):
            return simulated.Memory(COUNT)

    def give_back(self, device, stream, memory):
        with self._lock:
            self._free.setdefault((device, stream), []).append(memory)


class Array:
    """What the library makes, on its current stream; like PyTorch's, its interface names no stream."""

    def __init__(self, library, device=0):
        self._library, self._index, self._stream = library, device, library.current(device)
        self._memory = library.take(device, self._stream)
        self.address = self._memory.address

    def __del__(self):
        self._library.give_back(self._index, self._stream, self._memory)

    @property
    def device(self):
        return types.SimpleNamespace(index=self._index, id=self._index)

    @contextlib.contextmanager
    def _work_stream(self, late_ms):
        with simulated.on_device(self._index):
            stream = self._library.current(self._index) or simulated.LEGACY
            if late_ms:
                simulated.delay(stream, late_ms)
            yield stream

    def fill(self, value, late_ms=0):
        with self._work_stream(late_ms) as stream:
            simulated.fill(stream, self.address, value, COUNT)
        return self

    def copy_to(self, address, late_ms=0):
        with self._work_stream(late_ms) as stream:
            simulated.copy(stream, address, self.address, COUNT)

    def copy(self):
        """As everything else, on the library's current stream."""
        copied = type(self)(self._library, self._index)
        self.copy_to(copied.address)
        return copied


def make_tensor():
    """PyTorch's class of arrays, as its C exchange API gives them."""

    class Tensor(Array):
        is_neg = is_conj = lambda self: False
        clone = Array.copy

    def from_object(tensor, result):
        export = raw_dlpack.Export(owner=tensor, shape=(COUNT,), strides=(1,), data=tensor.address, device_type=2)
        result[0] = ctypes.addressof(export.managed)
        return 0

    call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(ctypes.c_void_p))(from_object)
    # Version 1.3, no older one, no allocator, then this; nothing else is asked for.
    api = (ctypes.c_uint64 * 7)(1 | 3 << 32, 0, 0, ctypes.cast(call, ctypes.c_void_p).value)
    Tensor.kept = call, api
    Tensor.__dlpack_c_exchange_api__ = raw_dlpack.new_capsule(ctypes.addressof(api), b"dlpack_exchange_api", None)
    return Tensor


class ndarray(Array):
    """CuPy's class of arrays, as their attributes say it."""

    shape, strides, dtype = (COUNT,), (1,), np.dtype("uint8")

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.address, device_id=0)


ndarray.__module__ = "cupy"


class TorchStream:
    """A stream of the library's own, on which ``with torch.cuda.stream(s)`` and ``with s`` work."""

    def __init__(self, torch, handle=None):
        self.torch = torch
        self.cuda_stream = torch.backing.make_stream() if handle is None else handle

    def __enter__(self):
        self._outer = self.torch.backing.current()
        self.torch.backing.set_current(self.cuda_stream)
        return self

    def __exit__(self, *exception):
        self.torch.backing.set_current(self._outer)


def make_torch(library):
    """The names of PyTorch that Penstock asks."""
    torch, cuda, core = (types.ModuleType(name) for name in ("torch", "torch.cuda", "torch._C"))
    torch.cuda, torch._C, torch.backing = cuda, core, library
    core._cuda_getCurrentRawStream = library.current
    core._cuda_getCurrentStream = lambda device: (library.current_id(device), device, 1)

    def set_by_id(*, stream_id, device_index, device_type):
        assert device_type == 1
        library.set_current_id(stream_id, device_index)

    core._cuda_setStream = set_by_id
    torch.Tensor = make_tensor()
    cuda.Stream = type("Stream", (TorchStream,), {})
    cuda.set_stream = lambda stream: library.set_current(stream.cuda_stream)

    @contextlib.contextmanager
    def stream(wanted):
        outer = cuda.Stream(torch, library.current())
        cuda.set_stream(wanted)
        try:
            yield
        finally:
            cuda.set_stream(outer)

    cuda.stream = stream
    return torch


def make_cupy(library):
    """The names of CuPy that Penstock asks."""
    cupy, cuda = types.ModuleType("cupy"), types.ModuleType("cupy.cuda")
    cupy.cuda, cupy.backing, cupy.ndarray = cuda, library, ndarray

    cuda.Device = simulated.on_device
    cuda.runtime = types.SimpleNamespace(getDevice=simulated.current_device)

    class BaseStream:
        """It is used on the device that is current."""

        def __init__(self, ptr):
            self.ptr = ptr
            self._outer = []

        def use(self):
            library.set_current(0 if self.ptr == simulated.LEGACY else self.ptr, simulated.current_device())
            return self

        def __enter__(self):
            self._outer.append(library.current(simulated.current_device()))
            return BaseStream.use(self)

        def __exit__(self, *exception):
            library.set_current(self._outer.pop(), simulated.current_device())

    class Stream(BaseStream):
        null = BaseStream(0)

        def __init__(self):
            super().__init__(simulated.Stream().handle)

        @classmethod
        def from_external(cls, object):
            _, handle = object.__cuda_stream__()
            stream = cls.__new__(cls)
            BaseStream.__init__(stream, handle)
            return stream

    cuda.Stream = Stream
    cuda.get_current_stream = lambda device=0: BaseStream(library.current(device))
    return cupy


def install(name):
    """Stands for PyTorch or CuPy from now on, in this process."""
    library = Library()
    sys.modules[name] = {"torch": make_torch, "cupy": make_cupy}[name](library)
    return sys.modules[name]
