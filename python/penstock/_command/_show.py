"""``penstock show FILE``: the graph of a program, which is not run."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import NoReturn

from .. import _picture, _run
from .._node import Node
from .._picture._plan import Plan, plan_of_nodes
from ._failure import Misuse
from ._program import run_file

FORMATS = {"text": _picture.text, "svg": _picture.draw, "dot": _picture.dot, "json": _picture.as_json}


class _Found(BaseException):
    """Instead of the run: the program goes no further. No handler of the program's own is meant to see it."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes


def show(options: argparse.Namespace, arguments: list[str]) -> int:
    """Prints the graph, or writes it to a file."""
    drawn = FORMATS[_format(options)](plan_of_file(options, arguments))
    if options.output is None:
        sys.stdout.write(drawn)
        sys.stdout.flush()
        return 0
    try:
        Path(options.output).write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise Misuse(f"show: {options.output} can't be written: {error.strerror}") from None
    return 0


def _format(options: argparse.Namespace) -> str:
    """As asked for; else what the ending of the output says."""
    if options.format is not None:
        return str(options.format)
    ending = Path(options.output or "").suffix.lstrip(".").replace("gv", "dot")
    return ending if ending in FORMATS else "text"


def plan_of_file(options: argparse.Namespace, arguments: list[str]) -> Plan:
    """Of the first graph that the program would run. What it prints goes to stderr."""
    _run.preparations.append(_stop)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            run_file(options, arguments)
    except _Found as found:
        return plan_of_nodes(found.nodes)
    finally:
        _run.preparations.remove(_stop)
    raise Misuse(f"show: {options.file} runs no graph")


def _stop(nodes: list[Node]) -> NoReturn:
    for prepare in _run.preparations:
        if prepare is not _stop:
            prepare(nodes)
    raise _Found(nodes)
