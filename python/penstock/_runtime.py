"""What the C++ side needs of Python: classes, threads that Python owns, and an orderly end."""

from __future__ import annotations

import atexit
import threading

from . import _core, dtypes, errors
from ._device import Device
from ._stream import Stream

_EXIT_SECONDS = 2.0
_threads: list[threading.Thread] = []


def _start_thread(kind: str) -> None:
    loop = {"lane": _core._lane_loop, "retire": _core._retire_loop}[kind]
    thread = threading.Thread(target=loop, name=f"penstock-{kind}", daemon=True)
    thread.start()
    _threads.append(thread)


def _stop() -> None:
    _core._shut_down(_EXIT_SECONDS)
    for thread in _threads:
        thread.join(_EXIT_SECONDS)
    _core._drain_retired()


def start() -> None:
    """Called once, by the package."""
    _core._set_up(
        {
            "device": Device,
            "stream": Stream._from_impl,
            "dtype": dtypes.from_name,
            "dtype_name": dtypes.to_name,
            "start_thread": _start_thread,
            "errors": vars(errors),
        }
    )
    _start_thread("retire")
    atexit.register(_stop)
