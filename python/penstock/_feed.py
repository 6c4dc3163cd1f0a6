"""A source that a program pushes to."""

from __future__ import annotations

from typing import Any

from . import _core
from ._flow import Flow
from ._node import Node
from .errors import Error, GraphError


class Feed(Flow):
    """A flow of what the program puts into it, from any thread. Messages may be put before the run begins."""

    def __init__(self, capacity: int, name: str | None) -> None:
        if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 1:
            raise GraphError(f"feed: capacity={capacity!r} does not fit: an int of at least 1")
        self._feed = _core._Feed(capacity)
        super().__init__(Node("feed", None, [], [{"name": "out"}], {"name": name}, native=self._feed.spec))

    def put(self, x: Any, timeout: float | None = None) -> None:
        """Waits for room, at most ``timeout`` seconds: then TimeoutError. ps.Error once it is closed or its run over."""
        if x is None:
            raise GraphError("feed: put(None): None is no message")
        found = self._feed.put(x, timeout)
        if found == "full":
            raise TimeoutError(f"feed: no room after {timeout} s")
        if found == "closed":
            raise Error("feed: put() after close()")
        if found == "ended":
            raise Error("feed: put(), but its run is over")

    def close(self) -> None:
        """No more will come; what was put goes on."""
        self._feed.close()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def feed(capacity: int = 4, *, name: str | None = None) -> Feed:
    """A source that a program pushes to: ``put(x, timeout=)`` and ``close()``, or as a context manager."""
    return Feed(capacity, name)
