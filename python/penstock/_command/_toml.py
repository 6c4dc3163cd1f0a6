"""Graphs written in TOML: what such a file says, checked, and run. docs/toml.md describes the words."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _run
from .._flow import Flow
from .._node import build, reach
from .._words import WORDS, nearest
from ..errors import GraphError
from ._failure import Misuse

_NOT_IN_TOML = ("name", "ready", "stream_pool", "graph", "isolation")
_OWN = ("operator", "input", "inputs", "settings")
_WORDS = tuple(word for word in WORDS if word not in _NOT_IN_TOML)
_TOP = ("run", "operators")
_RUN = ("workers", "device", "streams", "on_error", "max_age_ms")


@dataclass
class Entry:
    """One operator as the file says it."""

    name: str
    where: str
    """For messages: the file, the line of its table, its name."""
    operator: str
    settings: dict[str, Any]
    words: dict[str, Any]
    inputs: dict[str, list[tuple[str, str]]]
    """By input ("" where the file names none) who sends to it: operator and output, "" for its one output."""

    @property
    def senders(self) -> list[str]:
        return [sender for sent in self.inputs.values() for sender, _ in sent]


def run_toml(path: Path, settings: list[tuple[str, str, Any]]) -> None:
    """Runs the graph of the file. ``settings`` are those of the command line: operator, setting, value."""
    flows, options = load(path, settings)
    options = {word: value for word, value in options.items() if word not in _run.defaults}
    try:
        run = _run.start(*flows, **options)
    except GraphError as error:
        raise Misuse(f"{path}: {error}") from error
    run.wait()


def load(path: Path, settings: list[tuple[str, str, Any]] = []) -> tuple[list[Flow], dict[str, Any]]:  # noqa: B006
    """The graph's flows, in the order of messages, and the words of its run. Misuse for what is wrong in the file."""
    from ._assembly import assemble

    text, table = _read(path)
    _check_keys(str(path), table, _TOP)
    options = table.get("run", {})
    _check_table(f"{path}: run", options)
    _check_keys(f"{path}: run", options, _RUN)
    entries = {name: _entry(path, text, name, said) for name, said in _operators(path, table).items()}
    for operator, setting, value in settings:
        if operator not in entries:
            raise Misuse(f"--set {operator}.{setting}: no operator {operator!r}; {nearest(operator, entries)}")
        entries[operator].settings[setting] = value
    for entry in entries.values():
        for sender in entry.senders:
            if sender not in entries:
                raise Misuse(f"{entry.where}: there is no operator {sender!r}; {nearest(sender, entries)}")
    flows = assemble(_in_order(path, entries), path.resolve().parent)
    try:
        build(reach(flow._node for flow in flows)).plan_json()
    except GraphError as error:
        raise Misuse(f"{path}: {error}") from error
    return flows, options


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misuse(f"{path}: it is no UTF-8 text, at byte {error.start}") from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misuse(_broken(path, text, str(error))) from None


def _broken(path: Path, text: str, said: str) -> str:
    found = re.search(r" \(at line (\d+), column (\d+)\)$", said)
    if found is None:
        return f"{path}: {said}"
    line, column = int(found[1]), int(found[2])
    shown = text.splitlines()[line - 1].rstrip() if line <= len(text.splitlines()) else ""
    begin = max(0, column - 50)
    pointer = " " * (column - 1 - begin) + "^"
    return f"{path}:{line}:{column}: {said[: found.start()]}\n    {shown[begin : begin + 80]}\n    {pointer}"


def _check_table(where: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise Misuse(f"{where}: expected a table, found {_toml_type(value)}")


def _check_keys(where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise Misuse(f"{where}: unknown key {key!r}; {nearest(key, known)}")


def _toml_type(value: Any) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", list: "an array", dict: "a table"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _operators(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    operators = table.get("operators", {})
    _check_table(f"{path}: operators", operators)
    if not operators:
        raise Misuse(f'{path}: it has no operators; write a table for each: [operators.NAME] operator = "…"')
    return dict(operators)


def _entry(path: Path, text: str, name: str, said: Any) -> Entry:
    header = re.compile(rf"\s*\[\s*operators\s*\.\s*(['\"]?){re.escape(name)}\1\s*\]")
    line = next((f":{number}" for number, one in enumerate(text.splitlines(), 1) if header.match(one)), "")
    where = f"{path}{line}: operators.{name}"
    _check_table(where, said)
    if not name or "." in name:
        raise Misuse(f"{where}: a name has no dot: {name!r}")
    for key in said:
        if key in _NOT_IN_TOML:
            why = "the name is that of the table" if key == "name" else "it takes an object of Python; write a program"
            raise Misuse(f"{where}: {key} can't be said here: {why}")
    _check_keys(where, said, (*_OWN, *_WORDS))
    if not isinstance(said.get("operator"), str):
        found = _toml_type(said["operator"]) if "operator" in said else "none"
        raise Misuse(f'{where}: expected operator = "ps.NAME", "module:NAME" or "file.py:NAME", found {found}')
    settings = said.get("settings", {})
    _check_table(f"{where}: settings", settings)
    words = {word: said[word] for word in said if word in _WORDS}
    return Entry(name, where, said["operator"], dict(settings), words, _inputs(where, said))


def _inputs(where: str, said: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    if "input" in said and "inputs" in said:
        raise Misuse(f"{where}: both input and inputs are given; write all in inputs")
    inputs = said.get("inputs", {"": said["input"]} if "input" in said else {})
    _check_table(f"{where}: inputs", inputs)
    return {port: _senders(f"{where}: input {port}".rstrip(), given) for port, given in inputs.items()}


def _senders(where: str, given: Any) -> list[tuple[str, str]]:
    senders = given if isinstance(given, list) else [given]
    for sender in senders:
        if not isinstance(sender, str) or not sender:
            raise Misuse(f'{where}: expected "OPERATOR" or "OPERATOR.OUTPUT", or an array of them, found {sender!r}')
    if not senders:
        raise Misuse(f"{where}: the array is empty")
    return [(name, output) for name, _, output in (sender.partition(".") for sender in senders)]


def is_loop(entry: Entry) -> bool:
    return entry.operator in ("ps.loop", "penstock.loop")


def _in_order(path: Path, entries: dict[str, Entry]) -> list[Entry]:
    """Senders before receivers; a loop waits for nobody. Misuse that names a cycle with no loop in it."""
    ordered: dict[str, Entry] = {}
    while len(ordered) < len(entries):
        free = [
            entry
            for entry in entries.values()
            if entry.name not in ordered and (is_loop(entry) or all(sender in ordered for sender in entry.senders))
        ]
        if not free:
            cycle = " -> ".join(_cycle({name: one for name, one in entries.items() if name not in ordered}))
            raise Misuse(f"{path}: the cycle {cycle} has no first message; put an operator ps.loop into it")
        ordered.update((entry.name, entry) for entry in free)
    return list(ordered.values())


def _cycle(entries: dict[str, Entry]) -> list[str]:
    """Names along one: each of these waits for another of them."""
    way = [next(iter(entries))]
    while way.count(way[-1]) < 2:
        way.append(next(sender for sender in entries[way[-1]].senders if sender in entries))
    return list(reversed(way[way.index(way[-1]) :]))
