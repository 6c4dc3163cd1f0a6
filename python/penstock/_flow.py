"""Flows: what an operator gives, to be connected with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from . import _core
from ._node import Node
from .errors import ArgumentTypeError, GraphError


class Flow:
    """The messages that come out of an operator. Nothing runs until ``ps.run``, ``ps.start`` or ``ps.iterate``.

    ``flow >> op`` connects it with an operator's first input and gives what comes out there; ``flow >> (a, b)`` sends
    to both and gives a tuple of flows; ``flow["mask"]`` is one output of several; ``flow >> other_flow`` makes it one
    more sender into an input of that flow's operator, which is how a cycle that began with ``ps.loop`` is closed.
    """

    def __init__(self, node: Node, output: str = "") -> None:
        self._node = node
        self._output = output

    def __getitem__(self, output: str) -> Flow:
        if not isinstance(output, str):
            raise ArgumentTypeError(f"flow: an output is chosen by its name, found {type(output).__name__}")
        return Flow(self._node, self._node.check_output(output))

    def __iter__(self) -> Iterator[Flow]:
        if self._output or len(self._node.outputs) < 2:
            raise TypeError(f"{self!r} has one output; to take its messages use ps.iterate(flow)")
        return iter([Flow(self._node, str(port["name"])) for port in self._node.outputs])

    def __rshift__(self, consumer: Any) -> Any:
        return connect([self], consumer)

    def __rrshift__(self, senders: Any) -> Flow:
        return cast(Flow, connect(flows_of(senders), self))

    def __repr__(self) -> str:
        output = f"[{self._output!r}]" if self._output else ""
        return f"<penstock.Flow of {self._node.label}{output}>"


class Flows(tuple[Flow, ...]):
    """What ``a >> (b, c)`` gives: a tuple of flows that can be connected further."""

    def __rshift__(self, consumer: Any) -> Any:
        return connect(self, consumer)


def flow_or_none(value: Any) -> Flow | None:
    """The value as a flow, if it may stand where a flow may: one, or an operator with no inputs."""
    if isinstance(value, Flow):
        return value
    as_source = getattr(value, "_as_source", None)
    return cast("Flow | None", as_source()) if as_source is not None and not isinstance(value, type) else None


def flow_of(value: Any, where: str) -> Flow:
    """The same; ArgumentTypeError for something else."""
    found = flow_or_none(value)
    if found is None:
        raise ArgumentTypeError(f"{where}: expected a flow, found {type(value).__name__}")
    return found


def flows_of(values: Any) -> list[Flow]:
    """Flows from one, or from tuples and lists of them, however deep."""
    if isinstance(values, (tuple, list)):
        return [flow for value in values for flow in flows_of(value)]
    return [flow_of(values, "flow")]


def fed(node: Node, flows: Any, purpose: str) -> Flow:
    """What comes out of a node whose one input gets these flows. GraphError if there is nothing to ``purpose``."""
    senders = flows_of(flows)
    if not senders:
        raise GraphError(f"{node.kind}: there is nothing to {purpose}; give it a flow")
    for sender in senders:
        node.connect("in", sender._node, sender._output)
    return Flow(node)


def connect(senders: Iterable[Flow], consumer: Any) -> Any:
    """``senders >> consumer``: into one input, or one into each where it takes as many."""
    senders = list(senders)
    if isinstance(consumer, (tuple, list)):
        return Flows(connect(senders, one) for one in consumer)
    if isinstance(consumer, Flow):
        _add_senders(senders, consumer._node)
        return consumer
    from ._operator import as_operator

    operator = as_operator(consumer)
    takes = operator._input_count
    if takes == 0:
        raise GraphError(f"{operator.label}: it is a source, so nothing can be sent to it")
    if len(senders) > 1 and takes == len(senders):
        return operator(*senders)
    return operator(senders if len(senders) > 1 else senders[0])


def _add_senders(senders: list[Flow], node: Node) -> None:
    names = [str(port["name"]) for port in node.inputs]
    if not names:
        raise GraphError(f"{node.label}: it is a source, so nothing can be sent to it")
    free = [name for name in names if not node.is_connected(name)]
    if not free and len(names) > 1:
        raise GraphError(f"{node.label}: all of its inputs ({', '.join(names)}) have a sender; use ps.merge to add one")
    port = names[0] if len(names) == 1 else free[0]
    for sender in senders:
        node.connect(port, sender._node, sender._output)


def _passing(
    kind: str, inputs: list[str], outputs: list[str], native: Callable[[bool], Any], words: dict[str, Any]
) -> Node:
    return Node(kind, None, [{"name": n} for n in inputs], [{"name": n} for n in outputs], words, native=native)


def merge(*flows: Any, name: str | None = None) -> Flow:
    """Mixes flows into one, fairly and in order of arrival; each message keeps its origin."""
    return fed(_passing("merge", ["in"], ["out"], _core._merge, {"name": name}), flows, "mix")


def route(flow: Any, key: Callable[[Any], Any], cases: dict[Any, Any], *, name: str | None = None) -> Flow:
    """Sends each message to the operator of the value that ``key(message)`` gives, and mixes what they give.

    A value that is no case goes to the operator of the case None, if there is one; otherwise the message is dropped
    and counted (``stats.operators["route"].unmatched``).
    """
    if not callable(key):
        raise ArgumentTypeError(f"route: key is a function of the message, found {type(key).__name__}")
    if not isinstance(cases, dict) or not cases:
        raise GraphError("route: it takes a dict {value: operator} with at least one case")
    numbers = {value: number for number, value in enumerate(cases)}
    outputs = [f"out{number}" for number in numbers.values()]
    node = _passing("route", ["in"], outputs, lambda _: _core._route(key, numbers), {"name": name})
    sender = flow_of(flow, "route")
    node.connect("in", sender._node, sender._output)
    ends = [connect([Flow(node, output)], case) for output, case in zip(outputs, cases.values(), strict=True)]
    return merge(*ends) if len(ends) > 1 else merge(ends[0])


def loop(first: Iterable[Any], *, name: str | None = None) -> Flow:
    """A flow that begins with the messages ``first`` and goes on with what ``flow >> loop`` sends back to it.

    The messages of a cycle join others by position, unless the joining operator says ``join=``. The cycle ends when
    nothing is left in it.
    """
    messages = list(first)
    if not messages:
        raise GraphError("loop: first=[] leaves its cycle without a first message, so nothing would ever run")
    return Flow(_passing("loop", ["in"], ["out"], lambda on_lane: _core._loop(messages, on_lane), {"name": name}))


class within:
    """``join=ps.within(ms=10)``: messages whose times differ by at most so much belong together."""

    def __init__(self, *, ms: float) -> None:
        if not isinstance(ms, (int, float)) or isinstance(ms, bool) or ms < 0:
            raise GraphError(f"within: ms={ms!r} does not fit: a number of at least 0")
        self.within_ms = float(ms)

    def __repr__(self) -> str:
        return f"penstock.within(ms={self.within_ms:g})"
