"""Running flows: to the end, in the background, or as they are consumed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from . import _core
from ._flow import Flow, flows_of
from ._node import Node, build, reach
from ._statistics import Statistics
from ._words import nearest
from .errors import GraphError

if TYPE_CHECKING:
    import asyncio

_OPTIONS = ("workers", "device", "streams", "on_error", "max_age_ms")

defaults: dict[str, Any] = {}
"""Options of runs that don't say them, of the command line."""
preparations: list[Callable[[list[Node]], None]] = []
"""Called with the nodes of each graph before it is built."""
watchers: list[Watcher] = []
"""Told of each run."""


class Watcher(Protocol):
    def begun(self, run: Run) -> None:
        """The run works from now on."""

    def over(self, run: Run) -> None:
        """Whoever waited for the run is about to go on."""


class Run:
    """A graph that runs in the background. As a context manager it is stopped, and waited for, at the end of the block;
    ``await run`` gives the statistics.
    """

    def __init__(self, core: _core._Run) -> None:
        self._core = core

    def stats(self) -> Statistics:
        """What it counted until now."""
        return Statistics(self._core.stats())

    def stop(self) -> None:
        """Sources end; what is in flight drains. Returns at once."""
        self._core.stop()

    def wait(self, timeout: float | None = None) -> Statistics:
        """Until it is over. Raises what it failed with; TimeoutError if it is not over after so many seconds.

        On the main thread Ctrl-C stops the run and then raises KeyboardInterrupt; a second one does not wait.
        """
        with _interruptible(self._core) as interrupted:
            is_over = self._core.wait(timeout)
        if is_over:
            for watcher in watchers:
                watcher.over(self)
        if interrupted:
            raise KeyboardInterrupt from self._core.failure()
        if not is_over:
            raise TimeoutError(f"run: not over after {timeout} s")
        self._raise_failure()
        return self.stats()

    @property
    def is_over(self) -> bool:
        return self._core.is_over()

    def plan(self) -> str:
        """The compiled graph, for people."""
        return self._core.plan_text()

    def _raise_failure(self) -> None:
        failure = self._core.failure()
        if failure is not None:
            _raise(failure)

    def _abort(self) -> None:
        self._core.abort()

    def __await__(self) -> Generator[Any, None, Statistics]:
        import asyncio

        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        self._core.on_end(lambda: _tell(loop, over))
        yield from over
        self._raise_failure()
        return self.stats()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.stop()
        if error is None:
            self.wait()
            return
        with contextlib.suppress(BaseException):
            self._core.wait(None)

    def __repr__(self) -> str:
        return f"<penstock.Run, {'over' if self.is_over else 'running'}>"


def _raise(failure: BaseException) -> NoReturn:
    try:
        raise failure
    finally:
        del failure  # no cycle with the frame


def _tell(loop: asyncio.AbstractEventLoop, over: asyncio.Future[None]) -> None:
    def done() -> None:
        if not over.done():
            over.set_result(None)

    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(done)


@contextlib.contextmanager
def _interruptible(core: _core._Run) -> Iterator[list[int]]:
    """On the main thread: the first Ctrl-C stops the run, the second aborts it and leaves."""
    interrupted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    previous = signal.getsignal(signal.SIGINT)
    if previous is None or previous is signal.SIG_IGN:
        yield interrupted
        return

    def handle(number: int, frame: object) -> None:
        interrupted.append(number)
        if len(interrupted) == 1:
            core.stop()
            return
        core.abort()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def start_nodes(nodes: Iterable[Node], options: dict[str, Any]) -> Run:
    """Starts what the nodes reach."""
    for word in options:
        if word not in _OPTIONS:
            raise GraphError(f"run: unknown keyword {word!r}; {nearest(word, _OPTIONS)}")
    options = {**options, **{word: value for word, value in defaults.items() if options.get(word) is None}}
    workers = options.get("workers")
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise GraphError(f"run: workers={workers!r} does not fit: an int of at least 1")
    max_age_ms = options.get("max_age_ms")
    if max_age_ms is not None and (not isinstance(max_age_ms, (int, float)) or max_age_ms < 0):
        raise GraphError(f"run: max_age_ms={max_age_ms!r} does not fit: a number of at least 0")
    if "PENSTOCK_METRICS" in os.environ:
        from ._metrics import serve_as_asked

        serve_as_asked(os.environ["PENSTOCK_METRICS"])
    reached = reach(nodes)
    for prepare in preparations:
        prepare(reached)
    graph = build(reached)
    run = Run(
        graph.start(
            workers or 0,
            options.get("device"),
            options.get("streams") or "chain",
            options.get("on_error"),
            -1.0 if max_age_ms is None else float(max_age_ms),
        )
    )
    for watcher in watchers:
        watcher.begun(run)
    return run


def start(
    *flows: Any,
    workers: int | None = None,
    device: Any = None,
    streams: str | None = None,
    on_error: str | Callable[..., Any] | None = None,
    max_age_ms: float | None = None,
) -> Run:
    """Starts all that the flows reach, in the background.

    workers: threads of C++ operators. device: where operators work. streams: "chain", "per_operator", "single" or
    "default". on_error: for operators that say nothing of it. max_age_ms: older messages are dropped.
    """
    options = {
        "workers": workers,
        "device": device,
        "streams": streams,
        "on_error": on_error,
        "max_age_ms": max_age_ms,
    }
    nodes = [flow._node for flow in flows_of(list(flows))]
    if not nodes:
        raise GraphError("run: there is nothing to run; give it flows")
    return start_nodes(nodes, options)


def run(
    *flows: Any,
    workers: int | None = None,
    device: Any = None,
    streams: str | None = None,
    on_error: str | Callable[..., Any] | None = None,
    max_age_ms: float | None = None,
) -> Statistics:
    """Runs all that the flows reach to its end and gives the statistics. Raises what an operator raised.

    The options are those of ``ps.start``.
    """
    return start(
        *flows, workers=workers, device=device, streams=streams, on_error=on_error, max_age_ms=max_age_ms
    ).wait()


def iterate(flow: Any, ahead: int = 4, **options: Any) -> Iterator[Any]:
    """The messages of a flow, one after the other; the graph runs while they are taken, at most ``ahead`` before.

    Leaving the loop stops the graph. What an operator raised comes out of the loop. ``options`` are those of ``ps.run``.
    """
    if not isinstance(ahead, int) or isinstance(ahead, bool) or ahead < 1:
        raise GraphError(f"iterate: ahead={ahead!r} does not fit: an int of at least 1")
    (source,) = flows_of([flow])
    return _iterate(source, ahead, options)


def _iterate(flow: Flow, ahead: int, options: dict[str, Any]) -> Iterator[Any]:
    drain = _core._Drain(ahead)
    node = Node("iterate", None, [{"name": "in"}], [], {}, native=drain.spec)
    node.connect("in", flow._node, flow._output)
    running = start_nodes([node], options)
    try:
        while True:
            is_there, value = drain.next()
            if not is_there:
                break
            yield value
            del value
        running.wait()
    finally:
        drain.abandon()
        if not running.is_over:
            running.stop()
            running._core.wait(None)
