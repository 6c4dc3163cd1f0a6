"""What the C++ side needs of Python: classes, threads that Python owns, and an orderly end."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any

from . import _core, dtypes, errors
from ._containers import batch_or_none
from ._device import Device
from ._image import Image
from ._origin import Origin
from ._stream import Stream

_EXIT_SECONDS = 2.0


def _start_thread(kind: str) -> None:
    loop = {"lane": _core._lane_loop, "graph": _core._graph_lane_loop, "retire": _core._retire_loop}[kind]
    threading.Thread(target=loop, name=f"penstock-{kind}", daemon=True).start()


def restore(*parts: Any) -> object:
    """A pickled tensor; pickle finds it here by its name."""
    return _core._restore(*parts)


def start() -> None:
    """Called once, by the package."""
    _core._set_up(
        {
            "device": Device,
            "stream": Stream._from_impl,
            "image": Image,
            "image_batch": batch_or_none,
            "origin": Origin,
            "fatal": (errors.DeviceError, MemoryError),
            "dtype": dtypes.from_name,
            "dtype_name": dtypes.to_name,
            "start_thread": _start_thread,
            "errors": vars(errors),
            "main_thread": threading.main_thread().ident,
        }
    )
    os.register_at_fork(after_in_child=_core._forget_retire_thread)
    atexit.register(_core._shut_down, _EXIT_SECONDS)
