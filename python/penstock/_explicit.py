"""The explicit form of operators: several ports, several emits, full control."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._flow import Flow, connect, flows_of
from ._node import Node
from ._words import SPEC_WORDS, WORDS, check_words, nearest
from .errors import GraphError

if TYPE_CHECKING:
    from ._core import Context, Inputs, Outputs

ANY_SIZE = -1
"""``size=ANY_SIZE``: one message from each sender that has not ended."""

_REQUIRED: Any = object()
_PORT_WORDS = ("host", "writes", "optional", "capacity", "policy", "size", "max_age_ms")


class Spec:
    """What an operator says of itself in ``setup``: its ports and its settings."""

    def __init__(self, owner: Operator, label: str, given: dict[str, Any]) -> None:
        self._owner = owner
        self._label = label
        self._given = given
        self._inputs: list[dict[str, Any]] = []
        self._outputs: list[dict[str, Any]] = []
        self._params: list[str] = []

    def input(self, name: str = "in", *, type: Any = None, **words: Any) -> None:
        """An input. Words: host, writes, optional (booleans), capacity, policy, max_age_ms, size (messages for each
        activation, or ANY_SIZE).
        """
        for word in words:
            if word not in _PORT_WORDS:
                raise GraphError(
                    f"{self._label}: input {name!r}: unknown keyword {word!r}; {nearest(word, _PORT_WORDS)}"
                )
        self._inputs.append({**self._port(self._inputs, "input", name, type), **words})

    def output(self, name: str = "out", *, type: Any = None) -> None:
        """An output."""
        self._outputs.append(self._port(self._outputs, "output", name, type))

    def param(self, name: str, default: Any = _REQUIRED) -> Any:
        """A setting: becomes an attribute of the operator. It is required if there is no default."""
        if name in self._params:
            raise GraphError(f"{self._label}: two settings are called {name!r}")
        self._params.append(name)
        value = self._given.get(name, default)
        if value is _REQUIRED:
            raise GraphError(f"{self._label}: setting {name!r} has no default and was not given")
        setattr(self._owner, name, value)
        return value

    def _port(self, ports: list[dict[str, Any]], kind: str, name: str, type_: Any) -> dict[str, Any]:
        if not isinstance(name, str) or not name:
            raise GraphError(f"{self._label}: the name of an {kind} is a string, found {name!r}")
        if any(port["name"] == name for port in ports):
            raise GraphError(f"{self._label}: two {kind}s are called {name!r}")
        return {"name": name} if type_ is None else {"name": name, "class": type_}


class Operator:
    """Derive from it: ``setup`` names ports and settings, ``compute`` receives and emits.

    The constructor takes the application (if there is one), the words of ``ps.operator`` that speak of an operator and
    the settings. With ``instances=k`` it is called k times with the same arguments.
    """

    context: Any = None
    """From start to stop the operator's ``Context``; None otherwise."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _given: dict[str, Any]
    _application: Any = None
    _own_node: Node | None = None
    _spec: Spec | None = None
    _is_used = False
    _is_copy = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self._arguments = (args, kwargs)
        self._given = {}
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        application, *others = args or (None,)
        if others or not (application is None or hasattr(application, "_compose_into")):
            raise GraphError(
                f"{type(self).__name__}: its constructor takes an application and keywords; found {args!r}"
            )
        self._given = kwargs
        self._application = application
        if application is not None and not _copying:
            application._note(self)

    def setup(self, spec: Spec) -> None:
        """Names ports and settings; called once for each object."""

    def start(self) -> None:
        """Called on the instance's thread, before the first ``compute``."""

    def compute(self, inputs: Inputs, outputs: Outputs, context: Context) -> None:
        """One activation."""
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    def stop(self) -> None:
        """Called on the same thread after the last ``compute``, also when the run failed."""

    def ready(self) -> bool:
        """False: not run now; asked again after each event and every 10 ms."""
        return True

    # As a part of a graph.

    @property
    def label(self) -> str:
        """Its name, or that of its class."""
        return str(self._given.get("name") or type(self).__name__)

    def _set_up(self) -> Spec:
        if self._spec is None:
            spec = Spec(self, self.label, self._given)
            self.setup(spec)
            known = [word for word in WORDS if word not in SPEC_WORDS]
            for word in self._given:
                if word not in known and word not in spec._params:
                    names = [*spec._params, *known]
                    raise GraphError(f"{self.label}: no setting {word!r}; {nearest(word, names)}")
            self._spec = spec
        return self._spec

    @property
    def _input_count(self) -> int:
        return len(self._set_up()._inputs)

    def _node(self) -> Node:
        """Its place in a graph: one for each object."""
        if self._own_node is None:
            spec = self._set_up()
            words = {k: v for k, v in self._given.items() if k in WORDS and k not in spec._params}
            if "ready" not in words and type(self).ready is not Operator.ready:
                words["ready"] = _Ready(self)
            check_words(self.label, words)
            kind = type(self).__name__
            self._own_node = Node(kind, self._make, spec._inputs, spec._outputs, words, form="compute")
        return self._own_node

    def _make(self, instance: int) -> Any:
        """The object of an instance: this one the first time, then others made with the same arguments."""
        if instance == 0 and not self._is_used:
            self._is_used = True
            made = self
        else:
            made = self._copy()
        if instance == 0 and self._own_node is not None:
            ready = self._own_node.words.get("ready")
            if isinstance(ready, _Ready):
                ready.operator = made
        return made

    def _copy(self) -> Operator:
        args, kwargs = self._arguments
        _copying.append(self)
        try:
            made: Operator = type(self)(*args, **kwargs)
        finally:
            _copying.pop()
        made._set_up()
        return made

    def _as_source(self) -> Flow | None:
        return Flow(self._node()) if not self._set_up()._inputs else None

    def __call__(self, *flows: Any, **by_name: Any) -> Flow:
        """Connects flows with its inputs, in order or by name, and gives what comes out."""
        node = self._node()
        names = [str(port["name"]) for port in node.inputs]
        if len(flows) > len(names):
            raise GraphError(f"{self.label}: it has {len(names)} inputs, {len(flows)} flows are given")
        for port, value in [*zip(names, flows, strict=False), *by_name.items()]:
            node.check_port(node.inputs, "input", port)
            for flow in flows_of(value):
                node.connect(port, flow._node, flow._output)
        return Flow(node)

    def __rshift__(self, consumer: Any) -> Any:
        return connect([Flow(self._node())], consumer)

    def __rrshift__(self, senders: Any) -> Any:
        return connect(flows_of(senders), self)

    def __repr__(self) -> str:
        return f"<penstock operator {self.label}>"


_copying: list[Operator] = []


class _Ready:
    """Asks the object that runs."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def __call__(self) -> bool:
        ask: Callable[[], bool] = self.operator.ready
        return ask()
