"""The graph as text for people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import Any

from ._plan import Edge, Operator, Plan

_COLUMNS = 80


def text(plan: Plan) -> str:
    """A block of lines for each operator, in the order in which messages meet them; 80 columns."""
    blocks = [_block(operator, plan) for operator in _in_order(plan)]
    count, edges = len(plan.operators), len(plan.edges)
    head = f"{count} operator{'s' * (count != 1)}, {edges} edge{'s' * (edges != 1)}"
    return "\n\n".join([head, *blocks]) + "\n"


def _block(operator: Operator, plan: Plan) -> str:
    notes = ["source"] if operator.is_source else []
    notes += operator.notes
    if not operator.is_python:
        notes.append("C++")
    lines = _wrapped(operator.name + (f"  ({', '.join(notes)})" if notes else ""), "", "    ")
    wide = max(map(len, [*operator.inputs, *operator.outputs, ""]))
    for port in operator.inputs:
        coming = [edge for edge in plan.edges if (edge.receiver, edge.input) == (operator.name, port)]
        lines += _port(port, wide, "<-", [f"{edge.sender}.{edge.output}{_how(edge)}" for edge in coming])
    for port in operator.outputs:
        going = [edge for edge in plan.edges if (edge.sender, edge.output) == (operator.name, port)]
        if going or len(operator.outputs) > 1:
            lines += _port(port, wide, "->", [f"{edge.receiver}.{edge.input}" for edge in going])
    return "\n".join(lines)


def _port(port: str, wide: int, arrow: str, others: list[str]) -> list[str]:
    first = f"  {port:<{wide}} {arrow} "
    lines: list[str] = []
    for other in others or ["nobody"]:
        begin = first if not lines else " " * len(first)
        lines += _wrapped(other, begin, " " * min(len(first) + 2, 30))
    return lines


def _how(edge: Edge) -> str:
    policy = "" if edge.policy == "block" else f", {edge.policy}"
    return f" (holds {edge.capacity}{policy}{', closes a cycle' if edge.is_back else ''})"


def _wrapped(line: str, begin: str, following: str) -> list[str]:
    return textwrap.wrap(
        line, _COLUMNS, initial_indent=begin, subsequent_indent=following, break_on_hyphens=False, break_long_words=True
    )


def _in_order(plan: Plan) -> list[Operator]:
    """Senders before receivers, as far as cycles allow; else as they were written."""
    waits = {operator.name: 0 for operator in plan.operators}
    for edge in plan.edges:
        waits[edge.receiver] += not edge.is_back
    by_name = {operator.name: operator for operator in plan.operators}
    free = [name for name, count in waits.items() if count == 0]
    ordered: list[Operator] = []
    while free:
        ordered.append(by_name.pop(free.pop(0)))
        for edge in plan.edges:
            if edge.sender == ordered[-1].name and not edge.is_back:
                waits[edge.receiver] -= 1
                if waits[edge.receiver] == 0:
                    free.append(edge.receiver)
    return [*ordered, *by_name.values()]


def as_json(plan: Plan) -> str:
    """``operators`` and ``edges`` with the fields of ``Operator`` and ``Edge``."""
    return json.dumps(dataclasses.asdict(plan), indent=2, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return str(getattr(value, "__name__", value))
