"""The simulated CUDA that the tests' own Penstock is linked with (tests/sim_cuda), as Python sees it.

What a library on a GPU would do: memory of its own, streams of its own, kernels that come late.
"""

from __future__ import annotations

import contextlib
import ctypes

import numpy as np

from penstock import _core

LIBRARY = ctypes.CDLL(_core.__file__)
IS_HERE = hasattr(LIBRARY, "sim_calls")
LEGACY, PER_THREAD = 1, 2
NON_BLOCKING = 1
GLOBAL, THREAD_LOCAL, RELAXED = range(3)
ILLEGAL_ADDRESS = 700

# What waits on the host; Penstock itself polls, and no call of it may stand where a stream is held.
SYNCHRONISE = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def _own(name, result, *arguments):
    if not IS_HERE:
        return None
    function = getattr(LIBRARY, name)
    function.restype, function.argtypes = result, arguments
    return function


_handle, _long, _int, _size = ctypes.c_void_p, ctypes.c_long, ctypes.c_int, ctypes.c_size_t
_calls = _own("sim_calls", _long, ctypes.c_char_p)
_function = _own("sim_function", _handle, ctypes.c_char_p)
hold = _own("sim_hold", _handle, _handle)  # until _open(), or for ever
_open = _own("sim_open", None, _handle)
_delay = _own("sim_delay", _int, _handle, _long)
_fault = _own("sim_fault", _int, _handle, _int)
set_memory = _own("sim_set_memory", None, _int, _size)
memory_used = _own("sim_memory_used", _size, _int)
pending = _own("sim_pending", _long, _int)
contexts = _own("sim_contexts", _int)
current_device = _own("sim_current_device", _int)
set_peers = _own("sim_set_peers", None, _int)
calls_of_no_stream = _own("sim_calls_of_no_stream", _long)
seed = _own("sim_seed", None, ctypes.c_ulong)
pageable_waits = _own("sim_pageable_waits", None, _int)


def calls(*names):
    return sum(_calls(name.encode()) for name in names)


def raw(name, *arguments):
    """Calls a function of the runtime; integers are 64 bits wide."""
    prototype = ctypes.CFUNCTYPE(
        _int, *(_handle if not isinstance(a, ctypes._SimpleCData) else type(a) for a in arguments)
    )
    return prototype(_function(name.encode()))(*arguments)


def check(status):
    assert status == 0, f"CUDA error {status}"


def delay(stream, milliseconds):
    """A kernel that runs so long."""
    check(_delay(stream, int(milliseconds * 1000)))


def fault(stream, code=ILLEGAL_ADDRESS):
    """A kernel that reads an illegal address."""
    check(_fault(stream, code))


def fill(stream, address, value, count):
    """A kernel that sets bytes."""
    check(raw("cudaMemsetAsync", address, _int(value), _size(count), _handle(stream)))


def copy(stream, target, source, count):
    check(raw("cudaMemcpyAsync", target, source, _size(count), _int(4), _handle(stream)))


@contextlib.contextmanager
def on_device(device):
    """It is the thread's current one as long as the block."""
    before = current_device()
    check(raw("cudaSetDevice", _int(device)))
    try:
        yield
    finally:
        check(raw("cudaSetDevice", _int(before)))


@contextlib.contextmanager
def held(stream):
    """A kernel that runs as long as the block."""
    handle = hold(stream)
    assert handle
    try:
        yield
    finally:
        _open(handle)


class Stream:
    """A stream of somebody else's."""

    def __init__(self, flags=NON_BLOCKING):
        handle = _handle()
        check(raw("cudaStreamCreateWithFlags", ctypes.addressof(handle), ctypes.c_uint(flags)))
        self.handle = handle.value

    def sync(self):
        check(raw("cudaStreamSynchronize", self.handle))

    def close(self):
        check(raw("cudaStreamDestroy", self.handle))


class Memory:
    """Bytes of a device's, with ``__cuda_array_interface__``; ``peek()`` looks at them without an order."""

    def __init__(self, count=4096, value=0, stream=None):
        address = _handle()
        check(raw("cudaMalloc", ctypes.addressof(address), _size(count)))
        self.address, self.count, self.stream = address.value, count, stream
        ctypes.memset(self.address, value, count)

    @property
    def __cuda_array_interface__(self):
        return {
            "version": 3,
            "shape": (self.count,),
            "typestr": "|u1",
            "data": (self.address, False),
            "strides": None,
            "stream": self.stream,
        }

    def peek(self):
        return peek(self.address, self.count)

    def free(self):
        check(raw("cudaFree", self.address))


def peek(address, count):
    """The values of bytes, each once."""
    return set(np.unique(np.frombuffer(ctypes.string_at(address, count), "uint8")).tolist())
