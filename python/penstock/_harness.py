"""One operator alone, with staged inputs, for its unit test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._explicit import Operator, Spec
from ._flow import Flow, connect
from ._node import Node
from ._operator import as_operator
from ._origin import Origin
from ._run import start_nodes
from ._statistics import Statistics
from .errors import GraphError


@dataclass(frozen=True)
class Received:
    """A message that came out."""

    value: Any
    origin: Origin
    time: float | None
    metadata: dict[str, Any]


@dataclass(frozen=True)
class _Staged:
    port: str
    value: Any
    time: float | None
    metadata: dict[str, Any]
    stream: Any


@dataclass
class _Source:
    numbers: dict[int, list[_Staged]] = field(default_factory=dict)


class Output(dict[str, list[Any]]):
    """What came out: ``output["out"]`` is a list of values; ``output.messages["out"]`` the same with origins, times and
    metadata; ``output.stats`` the statistics of the run.
    """

    def __init__(self, messages: dict[str, list[Received]], stats: Statistics) -> None:
        super().__init__({port: [message.value for message in received] for port, received in messages.items()})
        self.messages = messages
        self.stats = stats


class Harness:
    """Runs one operator with inputs that a test stages::

        h = ps.Harness(Gain(gain=3))
        h.send("in", x, number=3, time=0.1, source="cam")
        out = h.run()
        assert out["out"] == [3 * x]
        assert out.messages["out"][0].origin == ("cam", 3, None)

    ``op`` is whatever may stand where an operator may. Messages of one source are given in the order of their numbers;
    those of one number belong together, also on several ports. Inputs to which nothing is sent stay unconnected if they
    are optional, and have ended otherwise. Each run has objects of its own and uses up what was sent.
    """

    def __init__(self, op: Any) -> None:
        self._operator = op if isinstance(op, (Operator, Flow)) else as_operator(op)
        if isinstance(self._operator, Flow) and self._operator._node.inputs:
            raise GraphError("harness: the operator is connected already; give it the operator itself")
        self._sources: dict[str, _Source] = {}
        self._made = 0

    def send(
        self,
        port: str,
        x: Any,
        *,
        number: int | None = None,
        time: float | None = None,
        source: str = "source",
        metadata: dict[str, Any] | None = None,
        stream: Any = None,
    ) -> None:
        """Stages a message on an input, as if ``source`` had emitted it with that number at that time.

        Without ``number`` it is the next one of that source that has nothing for the port. ``stream``: the work behind
        ``x`` is queued there.
        """
        if isinstance(self._operator, Flow) or self._operator._input_count == 0:
            raise GraphError("harness: the operator is a source, so nothing can be sent to it")
        node = self._fresh_node()
        node.check_port(node.inputs, "input", port)
        if x is None:
            raise GraphError(f"harness: send({port!r}, None): None is no message")
        numbers = self._sources.setdefault(source, _Source()).numbers
        if number is None:
            taken = [n for n, staged in numbers.items() if any(one.port == port for one in staged)]
            number = max(taken) + 1 if taken else 0
        if number < 0:
            raise GraphError(f"harness: number={number} does not fit: at least 0")
        numbers.setdefault(number, []).append(_Staged(port, x, time, dict(metadata or {}), stream))

    def run(self, count: int | None = None, **options: Any) -> Output:
        """Runs the operator until it has had everything; a source for ``count`` activations. Raises what it raises.

        ``options`` are those of ``ps.run``.
        """
        node = self._fresh_node()
        if count is not None:
            node.words["count"] = count
        collected: dict[str, list[Received]] = {str(port["name"]): [] for port in node.outputs}
        nodes = [node]
        for name, source in self._sources.items():
            sender = _Sender(name, source.numbers)
            for port in dict.fromkeys(one.port for staged in source.numbers.values() for one in staged):
                node.connect(port, sender._node(), port)
            nodes.append(sender._node())
        self._sources = {}
        for words in node.inputs:
            name = str(words["name"])
            if not node.is_connected(name) and not words.get("optional"):
                silent = _Sender(f"nothing for {name}", {}, [name])
                node.connect(name, silent._node(), name)
        for name, received in collected.items():
            sink = _Collector(received)._node()
            sink.connect("in", node, name)
            nodes.append(sink)
        stats = start_nodes(nodes, options).wait()
        return Output(collected, stats)

    def _fresh_node(self) -> Node:
        """The operator's node, connected with nothing."""
        operator = self._operator
        if isinstance(operator, Operator):
            if operator._is_used:
                operator = self._operator = operator._copy()
            node = operator._node()
        elif isinstance(operator, Flow):
            node = operator._node
        elif operator._input_count == 0:
            node = operator()._node
        else:
            senders = [Flow(Node("sender", None, [], [{"name": "out"}], {}))] * operator._input_count
            node = (operator(*senders) if len(senders) > 1 else connect(senders, operator))._node
        return Node(node.kind, node.make, node.inputs, node.outputs, node.words, form=node.form, native=node.native)


class _Sender(Operator):
    """Emits what was staged for one source."""

    def __init__(self, name: str, staged: dict[int, list[_Staged]], ports: list[str] | None = None) -> None:
        super().__init__(name=name)
        self._left = sorted(staged.items(), reverse=True)
        self._ports = ports or list(dict.fromkeys(one.port for messages in staged.values() for one in messages))

    def setup(self, spec: Spec) -> None:
        for port in self._ports:
            spec.output(port)

    def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
        if not self._left:
            context.end()
            return
        from . import _core

        number, messages = self._left.pop()
        context._set_number(number)
        about = _core.message()
        for one in messages:
            if one.time is not None:
                about.time = one.time
            about.metadata.update(one.metadata)
            outputs.emit(one.value, one.port, stream=one.stream)
        if not self._left:
            context.end()


class _Collector(Operator):
    def __init__(self, received: list[Received]) -> None:
        super().__init__(name=None)
        self._received = received

    def setup(self, spec: Spec) -> None:
        spec.input("in")

    def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
        from . import _core

        value = inputs.receive("in")
        about = _core.message()
        self._received.append(Received(value, about.origin, about.time, about.metadata))
