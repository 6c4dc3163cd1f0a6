"""Penstock: PyTorch, CuPy, CV-CUDA and C++ in one pipeline, with the order kept for you."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _interpreter as _interpreter
from . import _runtime, dtypes, errors, memory, ops
from ._application import Application
from ._containers import ImageBatch, TensorBatch, TensorMap
from ._core import (
    Event,
    InFlight,
    Message,
    Tensor,
    __version__,
    as_tensor,
    current_stream,
    device_count,
    empty,
    message,
    uses,
    zeros,
)
from ._device import Device, devices
from ._explicit import ANY_SIZE, Operator
from ._feed import feed
from ._flow import Flow, loop, merge, route, within
from ._image import Image
from ._label import label
from ._operator import operator
from ._origin import Origin
from ._run import Run, iterate, run, start
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
from .ops import cvt_color, draw_boxes, resize, warp_affine

if TYPE_CHECKING:
    from ._harness import Harness
    from ._media import sink, source, synthetic
    from ._probe import probe
    from ._view import view

_runtime.start()

_LATE = {
    "Harness": "_harness",
    "sink": "_media",
    "source": "_media",
    "synthetic": "_media",
    "probe": "_probe",
    "view": "_view",
}
"""What is imported when it is first asked for, and from where: it needs more of the standard library."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    import importlib

    globals()[name] = getattr(importlib.import_module(f".{_LATE[name]}", __name__), name)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


__all__ = [
    "ANY_SIZE",
    "Application",
    "ArgumentTypeError",
    "DeadlockError",
    "Device",
    "DeviceError",
    "Error",
    "Event",
    "ExchangeError",
    "Flow",
    "GraphError",
    "Harness",
    "Image",
    "ImageBatch",
    "InFlight",
    "MediaError",
    "Message",
    "Operator",
    "Origin",
    "OutOfMemory",
    "Overloaded",
    "RequestTimeout",
    "Run",
    "ServeError",
    "Stream",
    "StreamError",
    "StreamPool",
    "Tensor",
    "TensorBatch",
    "TensorError",
    "TensorMap",
    "__version__",
    "as_stream",
    "as_tensor",
    "bfloat16",
    "current_stream",
    "cvt_color",
    "device_count",
    "devices",
    "draw_boxes",
    "dtypes",
    "empty",
    "errors",
    "feed",
    "iterate",
    "label",
    "loop",
    "memory",
    "merge",
    "message",
    "operator",
    "ops",
    "probe",
    "resize",
    "route",
    "run",
    "sink",
    "source",
    "start",
    "synthetic",
    "uses",
    "view",
    "warp_affine",
    "within",
    "zeros",
]
