"""From the operators of a TOML file to flows: finds what their names mean, and connects them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import penstock as ps

from .._explicit import Operator
from .._flow import Flow, connect, flow_or_none
from .._operator import CallableOperator, as_operator
from .._words import check_words, nearest
from ..errors import ArgumentTypeError, GraphError
from ._failure import Misuse
from ._toml import Entry, is_loop

_OWN = ("source", "synthetic", "sink", "view", "probe", "merge", "loop")
Inputs = dict[str, list[Flow]]


def assemble(entries: list[Entry], folder: Path) -> list[Flow]:
    """A flow for each, which come in the order of messages; modules are looked for in the folder first."""
    sys.path.insert(0, str(folder))
    modules: dict[str, ModuleType] = {}
    flows: dict[str, Flow] = {}
    for entry in entries:
        inputs = {} if is_loop(entry) else _inputs(entry, flows)
        flows[entry.name] = _reported(entry, lambda: _make(entry, inputs, folder, modules))  # noqa: B023 - called now
    for entry in entries:
        if is_loop(entry):
            senders = [flow for sent in _inputs(entry, flows).values() for flow in sent]
            if not senders:
                raise Misuse(f"{entry.where}: nobody sends to it; input = what goes round")
            connect(senders, flows[entry.name])
    return list(flows.values())


def _reported(entry: Entry, make: Callable[[], Flow]) -> Flow:
    """What an operator refuses is a mistake of the file."""
    try:
        return make()
    except (GraphError, ArgumentTypeError) as error:
        raise Misuse(f"{entry.where}: {error}") from error


def _inputs(entry: Entry, flows: dict[str, Flow]) -> Inputs:
    def one(sender: str, output: str) -> Flow:
        return flows[sender][output] if output else flows[sender]

    try:
        return {port: [one(*sender) for sender in sent] for port, sent in entry.inputs.items()}
    except GraphError as error:
        raise Misuse(f"{entry.where}: {error}") from error


def _make(entry: Entry, inputs: Inputs, folder: Path, modules: dict[str, ModuleType]) -> Flow:
    words = _words(entry, folder, modules)
    package, _, name = entry.operator.rpartition(".")
    if ":" in entry.operator:
        return _own(entry, _found(entry, folder, modules), inputs, words)
    if package in ("ps", "penstock", "ps.ops", "penstock.ops") and name in ps.ops.__all__:
        return _operation(entry, getattr(ps.ops, name), inputs, words)
    if package in ("ps", "penstock") and name in _OWN and hasattr(ps, name):
        return _package(entry, name, inputs, words)
    if entry.operator in ("ps.route", "penstock.route"):
        raise Misuse(f"{entry.where}: ps.route takes functions; use an operator of yours with several outputs")
    known = [f"ps.{one}" for one in (*_OWN, *ps.ops.__all__) if hasattr(ps, one) or one in ps.ops.__all__]
    raise Misuse(
        f"{entry.where}: there is no operator {entry.operator!r}; {nearest(entry.operator, known)} "
        'Yours are "module:NAME" or "file.py:NAME".'
    )


def _words(entry: Entry, folder: Path, modules: dict[str, ModuleType]) -> dict[str, Any]:
    """The words of ps.operator, those that take objects made of what TOML can say."""
    words = dict(entry.words)
    join = words.get("join")
    if isinstance(join, dict):
        if set(join) != {"within_ms"}:
            raise Misuse(
                f"{entry.where}: join: expected {{within_ms = 10}}, found the keys {', '.join(join) or 'none'}"
            )
        words["join"] = ps.within(ms=join["within_ms"])
    if ":" in str(words.get("on_error", "")):
        words["on_error"] = _look_up(entry, words["on_error"], folder, modules)
    return words


# Operators of the package.


def _operation(entry: Entry, make: Callable[..., Any], inputs: Inputs, words: dict[str, Any]) -> Flow:
    names = [parameter.name for parameter in inspect.signature(make).parameters.values()]
    given = {port or names[0]: sent for port, sent in inputs.items()}
    _check_given(entry, [names[0]], names, given)
    _check_settings(entry, [one for one in names if one not in (names[0], "out", "stream", "words")])
    _no_settings_like_words(entry, words)
    flows = {
        port: sent[0] if len(sent) == 1 else ps.merge(*sent, name=f"{entry.name}_{port}")
        for port, sent in given.items()
    }
    try:
        inspect.signature(make).bind(**flows, **entry.settings)
        made = make(**flows, **entry.settings, **words, name=entry.name)
    except TypeError as error:
        raise Misuse(f"{entry.where}: {error}") from error
    return _flow(entry, made)


def _package(entry: Entry, name: str, inputs: Inputs, words: dict[str, Any]) -> Flow:
    flows = [flow for sent in inputs.values() for flow in sent]
    if any(inputs) and name != "merge":
        raise Misuse(f"{entry.where}: {entry.operator} has one input; write input =")
    make = getattr(ps, name)
    if name in ("source", "synthetic", "loop"):
        if flows:
            raise Misuse(f"{entry.where}: {entry.operator} is a source, so nothing can be sent to it")
    elif not flows:
        raise Misuse(f"{entry.where}: nobody sends to it; write input =")
    elif name != "merge":
        flows = [flows[0] if len(flows) == 1 else ps.merge(*flows, name=f"{entry.name}_merge")]
    parameters = inspect.signature(make).parameters
    settings = dict(entry.settings)
    _check_settings(entry, [one for one in list(parameters)[len(flows) :] if one not in ("name", "flow", "flows")])
    are_several = name == "source" and _are_several(settings.get("what"))
    if "name" in parameters and not are_several:
        settings["name"] = entry.name
    try:
        inspect.signature(make).bind(*flows, **settings)
    except TypeError as error:
        raise Misuse(f"{entry.where}: {entry.operator}: {error}") from None
    flow = _flow(entry, make(*flows, **settings))
    if are_several and flow._node.kind == "merge":
        flow._node.words["name"] = entry.name
    if words and name != "sink":
        raise Misuse(f"{entry.where}: {entry.operator} takes no {next(iter(words))}")
    check_words(entry.name, words)
    flow._node.words.update(words)
    return flow


def _are_several(what: Any) -> bool:
    """Each has its own name then: that of its file."""
    return not isinstance(what, str) or any(one in what for one in "*?[")


# Operators of the user.


def _own(entry: Entry, target: Any, inputs: Inputs, words: dict[str, Any]) -> Flow:
    words = {**words, "name": entry.name}
    _no_settings_like_words(entry, words)
    if isinstance(target, type) and issubclass(target, Operator):
        operator = target(**entry.settings, **words)
        ports = operator._set_up()._inputs
        required = [str(port["name"]) for port in ports if not port.get("optional")]
        known = [str(port["name"]) for port in ports]
        given = _named(entry, inputs, known)
        _check_given(entry, required, known, given)
        return operator(**given)
    if isinstance(target, (Flow, Operator)) or not callable(target):
        kind = type(target).__name__
        raise Misuse(
            f"{entry.where}: {entry.operator} is no operator but an object of {kind}; name a function or a class"
        )
    if hasattr(target, "_input_count") and not isinstance(target, CallableOperator):
        return _flow(entry, connect([flow for sent in inputs.values() for flow in sent], target))
    if inspect.isfunction(target) or isinstance(target, type):
        target = ps.operator(target)
    return _callable(entry, as_operator(target) if not isinstance(target, CallableOperator) else target, inputs, words)


def _callable(entry: Entry, operator: CallableOperator, inputs: Inputs, words: dict[str, Any]) -> Flow:
    signature = operator._signature
    settings = dict(entry.settings)
    if operator._init is None:
        own = {name: settings.pop(name) for name in list(settings) if name in signature.settings}
        operator, settings = operator(**settings, **words), own
        words = {}
    several = [signature.variadic] if signature.variadic else []
    known = [*signature.inputs, *several]
    given = _named(entry, inputs, known)
    optional = operator.words.get("optional", words.get("optional")) or ()
    names = (optional,) if isinstance(optional, str) else tuple(optional)
    required = [name for name in signature.inputs if name not in settings and name not in names]
    _check_given(entry, required if signature.inputs else several, known, given)
    if signature.variadic in given:
        placed = [*(given.pop(name) for name in signature.inputs), *given.pop(signature.variadic)]
        return _flow(entry, operator(*placed, **settings, **words))
    return _flow(entry, operator(**given, **settings, **words))


def _named(entry: Entry, inputs: Inputs, known: list[str]) -> Inputs:
    """``input =`` is for operators that have one."""
    if "" not in inputs:
        return dict(inputs)
    if not known:
        raise Misuse(f"{entry.where}: {entry.operator} is a source, so nothing can be sent to it")
    if len(known) > 1:
        said = ", ".join(f'{name} = "…"' for name in known)
        raise Misuse(f"{entry.where}: it has {len(known)} inputs; write inputs = {{{said}}}")
    return {known[0]: inputs[""]}


def _check_given(entry: Entry, required: list[str], known: list[str], given: Inputs) -> None:
    for port in given:
        if port not in known:
            raise Misuse(f"{entry.where}: no input {port!r}; {nearest(port, known)}")
    for name in required:
        if name not in given:
            raise Misuse(f"{entry.where}: nobody sends to its input {name!r}; name an operator in input or inputs")


def _check_settings(entry: Entry, known: list[str]) -> None:
    for setting in entry.settings:
        if setting not in known:
            raise Misuse(f"{entry.where}: no setting {setting!r}; {nearest(setting, known)}")


def _no_settings_like_words(entry: Entry, words: dict[str, Any]) -> None:
    for name in entry.settings:
        if name in words:
            raise Misuse(f"{entry.where}: {name} is said twice, as a word and as a setting")


def _flow(entry: Entry, made: Any) -> Flow:
    flow = flow_or_none(made)
    if flow is None:
        raise Misuse(f"{entry.where}: {entry.operator} gave no flow but {type(made).__name__}")
    return flow


# What names mean.


def _found(entry: Entry, folder: Path, modules: dict[str, ModuleType]) -> Any:
    return _look_up(entry, entry.operator, folder, modules)


def _look_up(entry: Entry, name: str, folder: Path, modules: dict[str, ModuleType]) -> Any:
    """What "module:NAME" or "file.py:NAME" names."""
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise Misuse(f'{entry.where}: {name!r} names nothing; write "module:NAME" or "file.py:NAME"')
    if place not in modules:
        modules[place] = _from_file(entry, folder / place) if place.endswith(".py") else _imported(entry, place, folder)
    found: Any = modules[place]
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [one for one in vars(found) if not one.startswith("_")]
            raise Misuse(f"{entry.where}: {place} has no {part!r}; {nearest(part, known)}")
        found = getattr(found, part)
    return found


def _from_file(entry: Entry, path: Path) -> ModuleType:
    if not path.is_file():
        raise Misuse(f"{entry.where}: there is no file {path}")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)  # what pickle looks for
    spec.loader.exec_module(module)
    return module


def _imported(entry: Entry, name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise Misuse(f"{entry.where}: there is no module {name!r}, neither in {folder} nor installed") from None
