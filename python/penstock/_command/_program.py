"""``penstock run FILE``: what the program leaves to be run, and the words of the command line."""

from __future__ import annotations

import argparse
import ast
import runpy
import sys
from pathlib import Path
from typing import Any

from .. import _run
from .._application import Application
from .._flow import Flow, flow_or_none
from .._making import Maker
from .._node import Node, reach
from .._words import nearest
from ._failure import Misuse


def run_file(options: argparse.Namespace, arguments: list[str]) -> int:
    """Runs the program; its exceptions come out."""
    path = Path(options.file)
    if not path.is_file():
        raise Misuse(f"{options.command}: there is no file {path}")
    _run.defaults.update(
        {word: value for word in ("device", "workers") if (value := getattr(options, word)) is not None}
    )
    run_program(path, options, arguments)
    return 0


def run_program(path: Path, options: argparse.Namespace, arguments: list[str]) -> None:
    """Runs what a file says, whichever language it is written in."""
    if path.suffix == ".toml":
        from ._toml import run_toml

        if arguments:
            raise Misuse(
                f"{options.command}: nobody takes the arguments {' '.join(arguments)}; a TOML file has no program"
            )
        _run.preparations.append(_Words(options.frames, []))
        run_toml(path, settings_of(options.set))
        return
    _run.preparations.append(_Words(options.frames, settings_of(options.set)))
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    if _has_main(path):
        runpy.run_path(str(path), run_name="__main__")
        return
    if arguments:
        raise Misuse(f"run: {path} has no __main__ part, so nobody takes the arguments {' '.join(arguments)}")
    _run_found(path, runpy.run_path(str(path), run_name="__penstock__"))


def _has_main(path: Path) -> bool:
    """True if some top-level ``if`` asks whether __name__ is "__main__"."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return any(
        isinstance(node, ast.If)
        and {"__name__", "__main__"}
        <= {n.id if isinstance(n, ast.Name) else getattr(n, "value", None) for n in ast.walk(node.test)}
        for node in tree.body
    )


def _run_found(path: Path, names: dict[str, Any]) -> None:
    if "app" in names:
        _run_one(names["app"])
        return
    applications = [value for value in names.values() if _is_application(value)]
    flows = _last([value for value in names.values() if isinstance(value, Flow)])
    found = [*applications, *flows]
    if not found:
        raise Misuse(f"run: {path} has neither a __main__ part nor a flow, an Application or an `app`")
    if len(found) > 1:
        raise Misuse(f"run: {path} has {len(found)} flows or applications; call the one to run `app`")
    _run_one(found[0])


def _is_application(value: Any) -> bool:
    """One of the program's own: made, or a class of it."""
    if isinstance(value, type):
        return issubclass(value, Application) and value.__module__ == "__penstock__"
    return isinstance(value, Application)


def _last(flows: list[Flow]) -> list[Flow]:
    """Those that no other one of them descends from."""
    sent = {id(node) for flow in flows for node in reach([flow._node]) if node is not flow._node}
    last = {id(flow._node): flow for flow in flows if id(flow._node) not in sent}
    return list(last.values())


def _run_one(found: Any) -> None:
    if isinstance(found, type) and issubclass(found, Application):
        found = found()
    if isinstance(found, Application):
        found.run()
    elif (flow := flow_or_none(found)) is not None:
        _run.run(flow)
    elif callable(found):
        found()
    else:
        raise Misuse(f"run: `app` is {type(found).__name__}; expected a flow, an Application or a function")


class _Words:
    """--frames and --set, put into the nodes of each graph before it runs."""

    def __init__(self, frames: int | None, settings: list[tuple[str, str, Any]]) -> None:
        self._frames = frames
        self._settings = settings

    def __call__(self, nodes: list[Node]) -> None:
        for node in nodes:
            if self._frames is not None and not node.inputs:
                node.words["count"] = min(self._frames, node.words.get("count") or self._frames)
        for operator, setting, value in self._settings:
            labels = [node.label for node in nodes]
            if operator not in labels:
                raise Misuse(f"run: --set {operator}.{setting}: no operator {operator!r}; {nearest(operator, labels)}")
            node = nodes[labels.index(operator)]
            if not isinstance(node.make, Maker):
                raise Misuse(f"run: --set {operator}.{setting}: this operator has no settings")
            node.make.set(setting, value)


def settings_of(texts: list[str]) -> list[tuple[str, str, Any]]:
    """What --set says: operator, setting, value."""
    settings = []
    for text in texts:
        name, is_there, value = text.partition("=")
        operator, dot, setting = name.rpartition(".")
        if not (is_there and dot and operator and setting):
            raise Misuse(f"run: --set {text}: expected OP.SETTING=VALUE")
        settings.append((operator, setting, _value(value)))
    return settings


def _value(text: str) -> Any:
    """A number, True, a list …, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
