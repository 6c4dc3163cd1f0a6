"""Penstock: PyTorch, CuPy, CV-CUDA and C++ in one pipeline, with the order kept for you."""

from __future__ import annotations

from . import _interpreter as _interpreter
from . import _runtime, dtypes, errors, memory, ops
from ._core import Event, InFlight, Tensor, __version__, as_tensor, current_stream, device_count, empty, uses, zeros
from ._device import Device, devices
from ._image import Image
from ._label import label
from ._stream import Stream, StreamPool, as_stream
from .dtypes import bfloat16
from .errors import (
    ArgumentTypeError,
    DeadlockError,
    DeviceError,
    Error,
    ExchangeError,
    GraphError,
    MediaError,
    OutOfMemory,
    Overloaded,
    RequestTimeout,
    ServeError,
    StreamError,
    TensorError,
)
from .ops import cvt_color, resize

_runtime.start()

__all__ = [
    "ArgumentTypeError",
    "DeadlockError",
    "Device",
    "DeviceError",
    "Error",
    "Event",
    "ExchangeError",
    "GraphError",
    "Image",
    "InFlight",
    "MediaError",
    "OutOfMemory",
    "Overloaded",
    "RequestTimeout",
    "ServeError",
    "Stream",
    "StreamError",
    "StreamPool",
    "Tensor",
    "TensorError",
    "__version__",
    "as_stream",
    "as_tensor",
    "bfloat16",
    "current_stream",
    "cvt_color",
    "device_count",
    "devices",
    "dtypes",
    "empty",
    "errors",
    "label",
    "memory",
    "ops",
    "resize",
    "uses",
    "zeros",
]
