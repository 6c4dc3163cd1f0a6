"""``holoscan.core``. Streams are ``penstock.Stream``: ints that are handles."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Any

import penstock as ps
from penstock import Tensor

from ._message import as_tensor, message, original

__all__ = ["Application", "Condition", "ConditionType", "Fragment", "IOSpec", "Operator", "OperatorSpec", "Resource"]
__all__ += ["ExecutionContext", "InputContext", "OutputContext", "SchedulingStatusType", "Tensor", "as_tensor"]

ConditionType = enum.Enum("ConditionType", "NONE MESSAGE_AVAILABLE DOWNSTREAM_MESSAGE_AFFORDABLE")
SchedulingStatusType = enum.Enum("SchedulingStatusType", "NEVER READY WAIT WAIT_TIME WAIT_EVENT")


def _split(args: tuple[Any, ...], words: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The leading fragment, which may be missing, and the rest."""
    if args and isinstance(args[0], ps.Application):
        return args[0], list(args[1:])
    return words.pop("fragment", None), list(args)


class Resource:
    """``fields``: its arguments and their defaults."""

    fields: dict[str, Any] = {}
    if TYPE_CHECKING:

        def __getattr__(self, field: str) -> Any: ...

    def __init__(self, *args: Any, name: str = "", **words: Any) -> None:
        self.fragment, values = _split(args, words)
        self.name = name or type(self).__name__
        given = dict(zip(self.fields, values, strict=False))
        if len(values) > len(given) or given.keys() & words or words.keys() - self.fields:
            raise TypeError(f"{self.name}: found {values} and {words}; it takes {', '.join(self.fields) or 'nothing'}")
        self.__dict__.update(self.fields | given | words)


class Condition(Resource):
    """When an operator runs. One of your own overrides ``check``."""

    def apply(self, inputs: dict[str, IOSpec], words: dict[str, Any]) -> None:
        """Says it in Penstock's words."""

    def check(self, timestamp: int) -> tuple[Any, int | None]:
        return SchedulingStatusType.READY, None


class IOSpec:
    """A port."""

    ANY_SIZE, PRECEDING_COUNT, SIZE_ONE = -1, 0, 1
    ConnectorType = enum.Enum("ConnectorType", "DEFAULT DOUBLE_BUFFER")
    QueuePolicy = enum.Enum("QueuePolicy", "POP REJECT FAULT")

    def __init__(self, size: int, policy: Any) -> None:
        self.is_tuple = size != 1
        self.words: dict[str, Any] = {"size": size or self.ANY_SIZE}
        self.connector(capacity=max(size, 1) if policy else None, policy=policy)

    def condition(self, kind: Any, *, min_size: int = 1, **words: Any) -> IOSpec:
        self.words |= {"size": min_size} if min_size > 1 else {"optional": kind is ConditionType.NONE}
        return self

    def connector(self, kind: Any = None, *, capacity: int | None = None, policy: Any = None) -> IOSpec:
        policies = {IOSpec.QueuePolicy.POP: "drop_oldest", IOSpec.QueuePolicy.REJECT: "drop_newest"}
        self.words |= {"capacity": capacity} if capacity else {}
        self.words |= {"policy": policies[policy]} if policy in policies else {}
        return self


class OperatorSpec:
    """Ports and parameters of an operator. Parameters become attributes."""

    def __init__(self, op: Operator, given: dict[str, Any]) -> None:
        self._op, self._given = op, given
        self.inputs: dict[str, IOSpec] = {}
        self.outputs: dict[str, IOSpec] = {}
        self.params: list[str] = []

    def input(self, name: str = "in", *, size: int = 1, policy: Any = None) -> IOSpec:
        return self.inputs.setdefault(name, IOSpec(size, policy))

    def output(self, name: str = "out", *, size: int = 1, policy: Any = None) -> IOSpec:
        return self.outputs.setdefault(name, IOSpec(size, policy))

    def param(self, param: str, *default_value: Any, **words: Any) -> None:
        if param not in self._given and not default_value and "default_value" not in words:
            raise ps.GraphError(f"{self._op.name}: parameter {param!r} has no default and was not given")
        self.params.append(param)
        setattr(self._op, param, self._given.get(param, words.get("default_value", *default_value)))


class Operator:
    """Derive from it: ``setup``, ``initialize``, ``start``, ``compute(op_input, op_output, context)``, ``stop``."""

    execution_context: Any = None  # from start() to stop()

    def __init__(self, *args: Any, name: str = "", **words: Any) -> None:
        self.fragment, parts = _split(args, words)
        self.name = name or type(self).__name__
        parts += [words.pop(word) for word in list(words) if isinstance(words[word], Resource)]
        if wrong := [part for part in parts if not isinstance(part, Resource)]:
            raise ps.ArgumentTypeError(f"{self.name}: {wrong[0]!r} is no condition, resource or keyword")
        self.conditions = {part.name: part for part in parts if isinstance(part, Condition)}
        self.resources = {part.name: part for part in parts if not isinstance(part, Condition)}
        self.spec = OperatorSpec(self, words)
        self.setup(self.spec)
        if unknown := words.keys() - self.spec.params:
            raise ps.GraphError(f"{self.name}: unknown parameters {sorted(unknown)}; it has {self.spec.params}")
        self._context: Context | None = None

    def setup(self, spec: OperatorSpec) -> None: ...

    def initialize(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Context(ps.Operator):
    """The operator in the graph, and all three arguments of its ``compute``."""

    def __init__(self, op: Operator) -> None:
        self.op, self.ports, self.is_over = op, op.spec.inputs, False
        words: dict[str, Any] = {"name": op.name} | ({"join": "position"} if len(self.ports) > 1 else {})
        for condition in op.conditions.values():
            condition.apply(self.ports, words)
            words["ready"] = self._may_tick
        for pool in [one.pool for one in op.resources.values() if hasattr(one, "pool")][:1]:
            words["stream_pool"] = pool
        self.is_batch = words.get("batch", 1) > 1
        self._own: Any = None  # the operator's stream, once it was asked for
        super().__init__(**words)

    def setup(self, spec: Any) -> None:
        for name, port in self.ports.items():
            spec.input(name, **port.words)
        for name in self.op.spec.outputs:
            spec.output(name)

    def start(self) -> None:
        self.op.execution_context = self
        self.op.initialize()
        self.op.start()

    def stop(self) -> None:
        self.op.stop()

    def _may_tick(self) -> bool:
        statuses = {condition.check(time.monotonic_ns())[0] for condition in self.op.conditions.values()}
        self.is_over = SchedulingStatusType.NEVER in statuses
        return self.is_over or statuses <= {SchedulingStatusType.READY}

    def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
        self.inputs, self.outputs, self._default = inputs, outputs, self._own
        self._chosen: dict[str, Any] = {}
        self._queues: dict[str, list[Any]] = {}  # of ports that were received from: what is left
        self._results: dict[str, list[Any]] = {}
        self._items = 1
        if not self.is_over:
            op: Any = self.op
            op.compute(self, self, self)
            self._emit_batch()
            self._may_tick()
        if self.is_over:
            context.end()

    def _port(self, kind: str, ports: dict[str, IOSpec], name: str | None) -> str:
        name = next(iter(ports)) if name is None and len(ports) == 1 else name
        if name not in ports:
            raise ps.GraphError(f"{self.op.name}: no {kind} port {name!r}; it has {', '.join(ports) or 'none'}")
        return name

    def receive(self, name: str | None = None) -> Any:
        """The next message of this activation, None when there is none; of a port with a size a tuple."""
        queue = self._queue(port := self._port("input", self.ports, name))
        if not self.ports[port].is_tuple:
            return message(queue.pop(0)) if queue else None
        taken, self._queues[port] = tuple(map(message, queue)), []
        return taken or None

    def _queue(self, port: str) -> list[Any]:
        if port not in self._queues:
            first = self.inputs.receive(port)
            if not self.is_batch and self.ports[port].words["size"] != IOSpec.ANY_SIZE:
                first = first if first is None else [first, *iter(lambda: self.inputs.receive(port), None)]
            self._queues[port] = list(first or ())
            self._items = max(self._items, len(self._queues[port]))
        return self._queues[port]

    def receive_cuda_stream(self, input_port_name: str | None = None, allocate: bool = True) -> Any:
        """The operator's stream, which waits for those on the port; or the one found there, None if none is."""
        if not isinstance(allocate, bool):
            raise ps.ArgumentTypeError(f"receive_cuda_stream: allocate is a bool, found {allocate!r}")
        found = [stream for stream in self.receive_cuda_streams(input_port_name) if stream is not None]
        if allocate:
            stream = self._own = self._default = self.context.stream
        else:
            stream = next(iter(found), None)
            self._default = stream if self._default is None else self._default
        if stream is not None:
            self.synchronize_streams(found, stream)
        return stream

    def receive_cuda_streams(self, input_port_name: str | None = None) -> list[Any]:
        """For each message on the port its stream, or None."""
        port = self._port("input", self.ports, input_port_name)
        if port not in self._queues:
            raise ps.StreamError(f"{self.op.name}: receive({port!r}) comes before its streams")
        return list(self.inputs.streams(port))

    def set_cuda_stream(self, stream: Any, output_port_name: str | None = None) -> None:
        """What is emitted on the port in this activation is on that stream. The last call wins."""
        self._chosen[self._port("output", self.op.spec.outputs, output_port_name)] = ps.as_stream(stream)

    def emit(self, data: Any, name: str | None = None, emitter_name: str = "") -> None:
        """Sends on. ``emitter_name="holoscan::Tensor"`` makes a tensor of an array."""
        port = self._port("output", self.op.spec.outputs, name)
        data = as_tensor(data) if emitter_name == "holoscan::Tensor" else original(data)
        if self.is_batch:
            self._results.setdefault(port, []).append(data)
        else:
            self.outputs.emit(data, port, stream=self._chosen.get(port, self._default))

    def _emit_batch(self) -> None:
        for port in self.ports if self._results else ():
            self._queue(port)
        for port, values in self._results.items():  # they have the origins of the last messages
            if len(values) > self._items:
                raise ps.GraphError(f"{self.op.name}: {len(values)} results on {port!r} for {self._items} messages")
            padded = [None] * (self._items - len(values)) + values
            self.outputs.emit(padded, port, stream=self._chosen.get(port, self._default))

    def allocate_cuda_stream(self, stream_name: str = "") -> Any:
        """The same name gives the same stream. StreamError if the pool is exhausted."""
        return self.context.extra_stream(stream_name)

    def synchronize_streams(self, streams: Any, target: Any) -> None:
        """What is queued on ``target`` later runs after what is queued on the others now."""
        for stream in streams:
            if stream is not None and stream != target:
                ps.as_stream(target).wait(ps.as_stream(stream))

    def device_from_stream(self, stream: Any) -> int:
        """The GPU's number. The CPU is 0 where there is no GPU, else -1."""
        device = ps.as_stream(stream).device
        return -int(self.is_gpu_available) if device == "cpu" else int(device.partition(":")[2])

    is_gpu_available = property(lambda self: ps.device_count() > 0)


class Application(ps.Application):
    """Derive from it: ``compose`` makes operators and calls ``add_flow``. Each operator has its own stream."""

    def __init__(self, argv: Any = None) -> None: ...

    def add_operator(self, op: Any) -> None:
        super().add_operator(self._part(op))

    def add_flow(self, upstream_op: Any, downstream_op: Any, port_pairs: Any = None) -> None:
        super().add_flow(self._part(upstream_op), self._part(downstream_op), port_pairs or None)

    def run(self, **options: Any) -> Any:
        return super().run(**{"streams": "per_operator", **options})

    def run_async(self, **options: Any) -> Any:
        return super().run_async(**{"streams": "per_operator", **options})

    def _part(self, op: Any) -> Any:
        if isinstance(op, Operator):
            op._context = op._context or Context(op)
        return op._context if isinstance(op, Operator) else op


Fragment, InputContext, OutputContext, ExecutionContext = Application, Context, Context, Context
