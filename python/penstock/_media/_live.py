"""Sources that may make their reader wait (network, cameras, pipes): each is read by a thread of its own, so that no
other operator of the run waits with it, and so that a stop need not wait for the network.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from .._core import message
from ..errors import GraphError
from ._reconnect import Connections, Wanted

_AHEAD = 2
# A call of FFmpeg that is not back so long after its own time-out is stuck in the system, in a name look-up say.
_GRACE_S = 1.0


class _End:
    pass


class Reader:
    """Reads on a thread, a few frames ahead. ``tell`` is called when there is something to take."""

    def __init__(self, connections: Callable[[Callable[[float], bool]], Connections], tell: Callable[[], None]) -> None:
        self._changed = threading.Condition()
        self._items: deque[Any] = deque()
        self._is_wanted = True
        self._tell = tell
        self._asked_at: float | None = time.monotonic()
        self.connections = connections(self._wait)
        threading.Thread(target=self._read, name="penstock-source", daemon=True).start()

    def has_news(self) -> bool:
        return bool(self._items)

    def waits_for_s(self) -> float:
        """How long the thread has waited for the network."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def take(self) -> Any:
        """(planes, time, metadata), an exception, the end, or None where there is nothing."""
        with self._changed:
            if not self._items:
                return None
            self._changed.notify_all()
            return self._items.popleft()

    def abandon(self) -> None:
        """Nobody takes any more. The thread ends when the network lets it."""
        with self._changed:
            self._is_wanted = False
            self._items.clear()
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            for item in self.connections:
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:
            self._put(error)

    def _put(self, item: Any) -> bool:
        self._asked_at = None
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < _AHEAD or not self._is_wanted)
            if not self._is_wanted:
                return False
            self._items.append(item)
        with contextlib.suppress(GraphError):  # the run is over
            self._tell()
        self._asked_at = time.monotonic()
        return True

    def _wait(self, seconds: float) -> bool:
        """False once nobody wants more."""
        with self._changed:
            if seconds > 0:
                self._asked_at = None
                self._changed.wait_for(lambda: not self._is_wanted, seconds)
                self._asked_at = time.monotonic()
            return self._is_wanted


class Live:
    """The operator of one run."""

    context: Any = None

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._reader: Reader | None = None

    def start(self) -> None:
        self._reader = Reader(lambda wait: Connections(self._wanted, wait), self.context._notify)

    def ready(self) -> bool:
        reader = self._reader
        return reader is not None and (reader.has_news() or self._is_stuck(reader))

    def _is_stuck(self, reader: Reader) -> bool:
        return reader.waits_for_s() > self._wanted.timeout_s + _GRACE_S

    def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
        reader = self._reader
        if reader is None:
            context.end()
            return
        item = reader.take()
        if item is None:
            if self._is_stuck(reader):
                self._replace(reader)
            return
        if isinstance(item, _End):
            context.end()
            return
        if isinstance(item, BaseException):
            self._reader = None
            raise item
        planes, seconds, metadata = item
        told = message()
        told.time = seconds
        told.metadata.update(metadata)
        outputs.emit(planes)

    def _replace(self, reader: Reader) -> None:
        reader.abandon()
        self._reader = None
        reader.connections.check_cut(f"no answer in {self._wanted.timeout_s:g} s")
        self._reader = Reader(reader.connections.go_on, self.context._notify)

    def stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abandon()


class LiveMaker:
    """Makes the operator of each run, and asks those that there are whether they have something."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._made: weakref.WeakSet[Live] = weakref.WeakSet()

    def __call__(self, instance: int) -> Live:
        made = Live(self._wanted)
        self._made.add(made)
        return made

    def ready(self) -> bool:
        return any(one.ready() for one in list(self._made))
