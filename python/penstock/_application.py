"""Applications: graphs of explicit operators."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

from ._explicit import Operator
from ._flow import flow_or_none
from ._node import Node
from ._run import Run, start_nodes
from ._statistics import Statistics
from .errors import ArgumentTypeError, GraphError

if TYPE_CHECKING:
    import concurrent.futures


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_running = False
        self.run: Run | None = None
        self.nodes: list[Node] | None = None  # while compose() runs
        self.noted: list[Operator] = []


class Application:
    """Derive from it: ``compose`` makes operators and says what flows where. It can run again and again."""

    _state: _State

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self._state = _State()
        return self

    def compose(self) -> None:
        """Makes the operators and calls ``add_flow``; called for each run."""
        raise NotImplementedError(f"{type(self).__name__} has no compose()")

    def add_operator(self, operator: Any) -> None:
        """An operator that has no flow to or from another."""
        self._place(operator)

    def add_flow(self, source: Any, target: Any, ports: Iterable[tuple[str, str]] | None = None) -> None:
        """Messages go from outputs of ``source`` to inputs of ``target``: {("out", "in"), …}; None where each has one."""
        sender, receiver = self._place(source), self._place(target)
        if ports is None:
            sender_ports, receiver_ports = sender.outputs, receiver.inputs
            if len(sender_ports) != 1 or len(receiver_ports) != 1:
                raise GraphError(
                    f"add_flow: {sender.label} has {len(sender_ports)} outputs, {receiver.label} {len(receiver_ports)} "
                    'inputs; name the ports: {("out", "in")}'
                )
            pairs = [(str(sender_ports[0]["name"]), str(receiver_ports[0]["name"]))]
        else:
            pairs = _pairs(ports)
        for output, port in pairs:
            sender.check_output(output)
            receiver.check_port(receiver.inputs, "input", port)
            receiver.connect(port, sender, output)

    # Runs.

    def run(self, **options: Any) -> Statistics:
        """To its end; the options are those of ``ps.run``. GraphError while it runs already."""
        running = self._start(options)
        try:
            return running.wait()
        finally:
            if running.is_over:
                self._end()

    def run_async(self, **options: Any) -> concurrent.futures.Future[Statistics]:
        """In the background: a future of the statistics."""
        import concurrent.futures

        future: concurrent.futures.Future[Statistics] = concurrent.futures.Future()
        running = self._start(options)
        future.set_running_or_notify_cancel()

        def over() -> None:
            self._end()
            failure = running._core.failure()
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(running.stats())

        running._core.on_end(over)
        return future

    async def _run_awaited(self) -> Statistics:
        running = self._start({})
        running._core.on_end(self._end)
        try:
            return await running
        finally:
            running.stop()  # nothing, if it is over; the rest of it if this was cancelled

    def __await__(self) -> Generator[Any, None, Statistics]:
        return self._run_awaited().__await__()

    def stop(self) -> None:
        """Sources end, the rest drains. Nothing if it does not run."""
        running = self._state.run
        if running is not None:
            running.stop()

    def stats(self) -> Statistics:
        """Of the run, or of the last one."""
        running = self._state.run
        if running is None:
            raise GraphError(f"{type(self).__name__}: stats(): it has not run yet")
        return running.stats()

    def _start(self, options: dict[str, Any]) -> Run:
        state = self._state
        with state.lock:
            if state.is_running and (state.run is None or not state.run.is_over):
                raise GraphError(f"{type(self).__name__}: it runs already; stop() it or wait for its end")
            state.is_running = True
        try:
            state.run = start_nodes(self._compose_into(), options)
        except BaseException:
            self._end()
            raise
        return state.run

    def _end(self) -> None:
        self._state.is_running = False

    # While compose() runs.

    def _compose_into(self) -> list[Node]:
        """The nodes of a new graph."""
        state = self._state
        state.nodes, state.noted = [], []
        try:
            self.compose()
            for operator in state.noted:
                self._place(operator)
            if not state.nodes:
                raise GraphError(f"{type(self).__name__}: compose() made no operator, so there is nothing to run")
            return state.nodes
        finally:
            state.nodes, state.noted = None, []

    def _note(self, operator: Operator) -> None:
        self._state.noted.append(operator)

    def _place(self, operator: Any) -> Node:
        nodes = self._state.nodes
        if nodes is None:
            raise GraphError("add_flow: it is for compose()")
        flow = None if isinstance(operator, Operator) else flow_or_none(operator)
        if isinstance(operator, Operator):
            node = operator._node()
        elif flow is not None:
            node = flow._node
        else:
            raise ArgumentTypeError(f"add_flow: expected an operator or a flow, found {type(operator).__name__}")
        if not any(known is node for known in nodes):
            nodes.append(node)
        return node


def _pairs(ports: Any) -> list[tuple[str, str]]:
    if isinstance(ports, dict):
        return list(ports.items())
    if isinstance(ports, tuple) and len(ports) == 2 and all(isinstance(name, str) for name in ports):
        return [ports]
    pairs = [tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in ports]
    if any(len(pair) != 2 for pair in pairs):
        raise GraphError(f'add_flow: ports are pairs of names, {{("out", "in")}}; found {ports!r}')
    return sorted(pairs)  # a set has no order, a graph does
