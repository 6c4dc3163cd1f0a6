"""What a picture is drawn of: the compiled graph, with the names of ports and the words of its operators."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .._flow import flows_of
from .._node import Node, build, reach
from .._words import options_of

# What is said elsewhere: by the name, by the edges, by fields of their own.
_SAID = ("name", "instances", "join", "capacity", "policy")


@dataclass(frozen=True)
class Operator:
    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    instances: int = 1
    join: str | None = None
    """How its inputs are joined; None where there is one."""
    is_source: bool = False
    is_python: bool = True
    words: dict[str, Any] = field(default_factory=dict)
    """The other words of ``ps.operator`` that were given: batch, max_delay_ms, …"""

    @property
    def notes(self) -> list[str]:
        """What there is to say beside the name, in a few words each."""
        said = [] if re.fullmatch(rf"{re.escape(self.kind)}(_\d+)?", self.name) else [self.kind]
        if self.instances > 1:
            said.append(f"{self.instances} instances")
        words = dict(self.words)
        if (batch := words.pop("batch", 1)) > 1:
            delay = words.pop("max_delay_ms", 0)
            said.append(f"batch {batch}" + (f" in {delay:g} ms" if delay else ""))
        if self.join not in (None, "origin"):
            said.append(f"joins by {self.join}")
        return said + [f"{word} {_plain(value)}" for word, value in words.items()]


@dataclass(frozen=True)
class Edge:
    sender: str
    output: str
    receiver: str
    input: str
    capacity: int
    policy: str
    is_back: bool = False
    """It closes a cycle."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What statistics call it."""
        return (self.sender, self.output, self.receiver, self.input)


@dataclass(frozen=True)
class Plan:
    operators: tuple[Operator, ...]
    edges: tuple[Edge, ...]


def plan_of(*flows: Any) -> Plan:
    """Of all that the flows reach, without running it. GraphError for a graph that can't run."""
    return plan_of_nodes(reach(flow._node for flow in flows_of(list(flows))))


def plan_of_nodes(nodes: Iterable[Node]) -> Plan:
    """The same of nodes that are all there are."""
    nodes = list(nodes)
    compiled = json.loads(build(nodes).plan_json())
    operators = [_operator(node, one) for node, one in zip(nodes, compiled["nodes"], strict=True)]
    by_name = {operator.name: operator for operator in operators}
    edges = [
        Edge(
            one["from"],
            by_name[one["from"]].outputs[one["from_port"]],
            one["to"],
            by_name[one["to"]].inputs[one["to_port"]],
            one["capacity"],
            one["policy"],
            one["back"],
        )
        for one in compiled["edges"]
    ]
    return Plan(tuple(operators), tuple(edges))


def _operator(node: Node, compiled: dict[str, Any]) -> Operator:
    inputs = tuple(str(port["name"]) for port in node.inputs)
    return Operator(
        name=compiled["name"],
        kind=compiled["kind"].lstrip("_"),
        inputs=inputs,
        outputs=tuple(str(port["name"]) for port in node.outputs),
        instances=compiled["instances"],
        join=compiled["join"] if len(inputs) > 1 else None,
        is_source=compiled["source"],
        is_python=node.native is None,
        words={word: value for word, value in options_of(node.words).items() if word not in _SAID},
    )


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return str(getattr(value, "__name__", value))
