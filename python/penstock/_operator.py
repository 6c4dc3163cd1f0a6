"""Operators that are callables: functions, classes, generators, modules."""

from __future__ import annotations

import copy
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, cast, overload

from . import _signature
from ._core import _call_directly
from ._flow import Flow, connect, flow_or_none, flows_of
from ._making import Maker
from ._node import Node
from ._words import WORDS, check_words, inputs_of, names_of, nearest
from .errors import ArgumentTypeError, GraphError


class CallableOperator:
    """What ``ps.operator`` makes of a callable. Called with a flow it is connected and gives a flow; with data it runs
    now; a class, or with neither, it is configured.
    """

    def __init__(self, target: Callable[..., Any], words: Mapping[str, Any], *, is_plain: bool = False) -> None:
        if not callable(target):
            raise ArgumentTypeError(f"operator: expected a callable, found {type(target).__name__}")
        self._kind = _name_of(target)
        if inspect.iscoroutinefunction(target):
            raise GraphError(f"{self._kind}: an async function can't be an operator; make it a plain one")
        self._target = target
        self._is_class = isinstance(target, type) and not is_plain
        self._is_plain = is_plain
        called: Any = target
        if self._is_class:
            called = _method(target, "__call__", self._kind)
        self._is_generator = not is_plain and _is_generator(called)
        self._signature = _signature.plain(target) if is_plain else _signature.read(called, is_method=self._is_class)
        check_words(self._kind, words, self._signature.names)
        self._words = dict(words)
        self._settings: dict[str, Any] = {}
        self._init: tuple[tuple[Any, ...], dict[str, Any]] | None = None if self._is_class else ((), {})
        self._made: Any = None  # what runs now, kept with the object
        self._flow: Flow | None = None  # what it is where it stands for a flow
        functools.update_wrapper(self, target, updated=())
        self._check_ports()

    # What others ask.

    @property
    def label(self) -> str:
        return str(self._words.get("name") or self._kind)

    @property
    def words(self) -> dict[str, Any]:
        """The words of ``ps.operator`` that were given."""
        return dict(self._words)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return () if self._is_source else self._signature.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return names_of(self.label, "outputs", self._words.get("outputs")) or ("out",)

    @property
    def _input_count(self) -> int:
        return len(self._signature.inputs) + (1 if self._signature.variadic and not self._signature.inputs else 0)

    @property
    def _is_source(self) -> bool:
        return self._input_count == 0

    def __repr__(self) -> str:
        return f"<penstock operator {self.label}({', '.join(self.inputs)})>"

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        if not self._is_class:
            raise TypeError(f"{self.label} is an operator made of a function and can't be a base class")
        return (cast(type, self._target),)

    # Calls.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._init is None:
            return self._configured_class(args, kwargs)
        words, rest = self._split(kwargs, (*self._signature.names, *self._positional_only()))
        configured = self._with(words) if words else self
        flows = any(_holds_flow(value) for value in (*args, *rest.values()))
        if not args and not rest and not flows:
            return configured._source_flow({}) if self._is_source else configured
        if self._is_generator and not flows:  # its arguments are a source's settings
            return configured._source_flow(configured._bind(args, rest))
        given = configured._bind(args, rest)
        if flows:
            return configured._connect(given)
        if self._is_source:
            return configured._source_flow(given)
        if any(name in given for name in self._signature.inputs) or given.get(self._signature.variadic or ""):
            return (configured if "batch" in words else self)._run_now(args, rest)
        configured = self._with(words)
        configured._settings = {**configured._settings, **given}
        return configured

    def __rshift__(self, consumer: Any) -> Any:
        source = self._as_source()
        if source is not None:
            return connect([source], consumer)
        return Chain([self]) >> consumer

    def __rrshift__(self, senders: Any) -> Any:
        if callable(senders) and flow_or_none(senders) is None:
            return as_operator(senders) >> self
        return connect(flows_of(senders), self)

    def _as_source(self) -> Flow | None:
        """A flow, if it may stand where a flow may."""
        if not self._is_source or self._init is None:
            return None
        if self._flow is None:
            self._flow = self._source_flow({})
        return self._flow

    # How a call becomes one of them.

    def _positional_only(self) -> tuple[str, ...]:
        return (self._signature.variadic,) if self._signature.variadic else ()

    def _split(self, kwargs: dict[str, Any], own: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Words and others; a parameter of the callable's own goes before a word of that name."""
        words = {k: v for k, v in kwargs.items() if k in WORDS and k not in own}
        rest = {k: v for k, v in kwargs.items() if k not in words}
        if not self._signature.takes_any:
            for name in rest:
                if name not in own:
                    raise GraphError(f"{self.label}: unknown keyword {name!r}; {nearest(name, [*own, *WORDS])}")
        return words, rest

    def _configured_class(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        flows = [value for value in (*args, *kwargs.values()) if _holds_flow(value)]
        if flows:
            raise GraphError(
                f"{self.label}: the first call of a class takes the arguments of its __init__, not flows; "
                f"write {self._kind}(...)(flow)"
            )
        init = _signature.read(cast(Any, self._target).__init__, is_method=True)
        names = tuple(init.full.parameters)
        words = {k: v for k, v in kwargs.items() if k in WORDS and k not in names}
        rest = {k: v for k, v in kwargs.items() if k not in words}
        has_init = cast(Any, self._target).__init__ is not object.__init__
        for name in rest:
            if (not init.takes_any or not has_init) and name not in names:
                raise GraphError(f"{self.label}: unknown keyword {name!r}; {nearest(name, [*names, *WORDS])}")
        try:
            if has_init:
                init.full.bind(*args, **rest)
            elif args:
                raise TypeError(f"{self._kind}() takes no arguments")
        except TypeError as error:
            raise GraphError(f"{self.label}: its __init__ can't be called so: {error}") from None
        configured = self._with(words)
        configured._init = (args, rest)
        return configured

    def _with(self, words: Mapping[str, Any]) -> CallableOperator:
        check_words(self.label, words, self._signature.names)
        configured = copy.copy(self)
        configured._words = {**self._words, **words}
        configured._settings = dict(self._settings)
        configured._made = None
        configured._flow = None
        configured._check_ports()
        return configured

    def _check_ports(self) -> None:
        outputs = self.outputs  # checks them
        del outputs
        inputs_of(self.label, self._signature.inputs, self._words)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self._is_plain:
            if kwargs or len(args) > 1:
                raise GraphError(f"{self.label}: it takes one input; decorate it with ps.operator to give it more")
            return {self._signature.inputs[0]: args[0]} if args else {}
        try:
            return dict(self._signature.full.bind_partial(*args, **kwargs).arguments)
        except TypeError as error:
            takes = ", ".join(self._signature.names) or "nothing"
            raise GraphError(f"{self.label}: {error}; it takes {takes}") from None

    def _run_now(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._made is None:
            self._made = self._maker({}, {}).make_one()[0]
        call = self._made
        if self._settings:
            kwargs = {**self._settings, **kwargs}
        batch = self._words.get("batch") or 1
        if batch <= 1:
            return _call_directly(call, args, kwargs)
        return self._run_batches(call, batch, args, kwargs)

    def _run_batches(self, call: Any, batch: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """A list in, a list out, in pieces that the operator is made for."""
        count = len(self._signature.inputs)
        lists = args[:count]
        if not all(isinstance(items, (list, tuple)) for items in lists) or len({len(items) for items in lists}) > 1:
            raise ArgumentTypeError(f"{self.label}: with batch= it takes lists of one length and gives a list")
        results: list[Any] = []
        for begin in range(0, len(lists[0]), batch):
            pieces = [list(items[begin : begin + batch]) for items in lists]
            given = _call_directly(call, (*pieces, *args[count:]), kwargs)
            if not isinstance(given, (list, tuple)) or len(given) != len(pieces[0]):
                found = len(given) if isinstance(given, (list, tuple)) else type(given).__name__
                raise GraphError(
                    f"{self.label}: with batch= the result is a list of the same length as the input: "
                    f"expected {len(pieces[0])}, found {found}"
                )
            results.extend(given)
        return results

    def _source_flow(self, given: dict[str, Any]) -> Flow:
        if self._is_class and self._init is None:
            raise GraphError(f"{self.label}: call the class first: {self._kind}(...)")
        return self._connect(given, is_source=True)

    def _connect(self, given: dict[str, Any], *, is_source: bool = False) -> Flow:
        signature = self._signature
        variadic = given.pop(signature.variadic, ()) if signature.variadic else ()
        inputs = [] if is_source else list(signature.inputs)
        senders: list[tuple[str, Flow]] = []
        constants: dict[str, Any] = {}
        settings = dict(self._settings)
        for name, value in _flat(given, signature).items():
            if _holds_flow(value):
                if name not in inputs:
                    raise GraphError(f"{self.label}: {name} is a setting, not an input; it takes no flow")
                senders.extend((name, flow) for flow in flows_of(value))
            elif name in inputs:
                inputs.remove(name)
                constants[name] = value
            else:
                settings[name] = value
        for number, value in enumerate(variadic):
            name = f"{signature.variadic}{number}"
            inputs.append(name)
            senders.extend((name, flow) for flow in flows_of(value))
        missing = [name for name in signature.required if name not in settings]
        if missing:
            raise GraphError(f"{self.label}: setting {missing[0]!r} has no default and was not given")
        node = Node(
            self._kind,
            self._maker(constants, settings, is_source=is_source),
            inputs_of(self.label, inputs, self._words_for(inputs)),
            [{"name": name} for name in self.outputs],
            self._words,
            form="iterate" if is_source and self._is_generator else "expand" if self._is_generator else "call",
        )
        for name, flow in senders:
            node.connect(name, flow._node, flow._output)
        return Flow(node)

    def _words_for(self, inputs: list[str]) -> dict[str, Any]:
        """A word about an input that was given a constant says nothing any more."""
        words = dict(self._words)
        for word in ("host", "writes", "optional"):
            if words.get(word) is not None:
                words[word] = tuple(n for n in names_of(self.label, word, words[word]) if n in inputs)
        return words

    def _maker(self, constants: dict[str, Any], settings: dict[str, Any], *, is_source: bool = False) -> Maker:
        return Maker(
            self._target,
            self._init if self._is_class else None,
            self._signature,
            constants,
            settings,
            iterates=is_source and self._is_generator,
        )


class Chain:
    """``a >> b`` of operators with no flow yet: it is connected, called and served as one."""

    def __init__(self, operators: list[Any]) -> None:
        self._operators = operators

    @property
    def label(self) -> str:
        return " >> ".join(operator.label for operator in self._operators)

    @property
    def operators(self) -> tuple[Any, ...]:
        """The operators in their order."""
        return tuple(self._operators)

    @property
    def _input_count(self) -> int:
        return int(self._operators[0]._input_count)

    def __call__(self, *args: Any) -> Any:
        value = self._operators[0](*args)
        for operator in self._operators[1:]:
            value = connect([value], operator) if isinstance(value, Flow) else operator(value)
        return value

    def __rshift__(self, consumer: Any) -> Any:
        if isinstance(consumer, (Flow, tuple, list)):
            raise GraphError(f"{self.label}: it has no flow yet; begin with one: flow >> {self.label}")
        following = as_operator(consumer)
        return Chain([*self._operators, *(following.operators if isinstance(following, Chain) else [following])])

    def __rrshift__(self, senders: Any) -> Any:
        return connect(flows_of(senders), self)

    def __repr__(self) -> str:
        return f"<penstock operators {self.label}>"


def _flat(given: dict[str, Any], signature: _signature.Signature) -> dict[str, Any]:
    """Bound arguments with those of ``**settings`` among the others."""
    known = signature.full.parameters
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if name in known and known[name].kind is inspect.Parameter.VAR_KEYWORD:
            flat.update(value)
        else:
            flat[name] = value
    return flat


def _holds_flow(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return bool(value) and any(isinstance(one, Flow) for one in value)
    return flow_or_none(value) is not None


def _name_of(target: Any) -> str:
    name = getattr(target, "__name__", None)
    if not isinstance(name, str) and isinstance(target, functools.partial):
        return _name_of(target.func)
    return "lambda" if name == "<lambda>" else name if isinstance(name, str) else type(target).__name__


def _method(target: Any, name: str, kind: str) -> Any:
    method = inspect.getattr_static(target, name, None)
    if method is None or isinstance(method, types.WrapperDescriptorType):
        raise GraphError(f"{kind}: an operator's class needs __call__(self, ...), which gets what comes in")
    return getattr(target, name)


def _is_generator(called: Any) -> bool:
    if inspect.isgeneratorfunction(called):
        return True
    call = getattr(type(called), "__call__", None)  # noqa: B004 - its code is looked at
    return not inspect.isfunction(called) and inspect.isgeneratorfunction(call)


def as_operator(value: Any) -> Any:
    """Whatever may stand where an operator may: ours, or any callable that takes one input."""
    if isinstance(value, CallableOperator):
        return value() if value._init is None else value
    if hasattr(value, "_input_count"):
        return value
    if isinstance(value, Flow) or not callable(value):
        raise ArgumentTypeError(f"operator: expected an operator or another callable, found {type(value).__name__}")
    return CallableOperator(value, {}, is_plain=True)


@overload
def operator(target: Callable[..., Any], /, **words: Any) -> CallableOperator: ...
@overload
def operator(**words: Any) -> Callable[[Callable[..., Any]], CallableOperator]: ...
def operator(target: Callable[..., Any] | None = None, /, **words: Any) -> Any:
    """Makes an operator of a function, a class with ``__call__``, a generator function (a source) or any callable.

    Positional parameters with no default are inputs; keyword-only ones and those with a default are settings.

    outputs: names; the result is then a tuple in their order or a dict. batch, max_delay_ms: inputs come as lists of 1
    to ``batch``; a batch goes when full or its oldest is so old. window, stride: a sliding window. per="source": an
    object for each source. instances, order ("input" or "arrival"). join ("origin", "position", "latest",
    ``ps.within(ms=)``). on_error ("raise", "skip", "restart", for sources "end", or a callable (exc, message)),
    max_errors. host, writes, optional: names of inputs. capacity, policy ("block", "drop_oldest", "drop_newest"),
    max_age_ms: of the edges into it. count, every_ms, ready: when it runs. name, stream_pool, sync="context".
    """
    if target is not None:
        return _decorated(target, words)
    check_words("operator", words)
    return lambda decorated: _decorated(decorated, words)


def _decorated(target: Any, words: dict[str, Any]) -> CallableOperator:
    if isinstance(target, CallableOperator):
        return target._with(words)
    return CallableOperator(target, words)
