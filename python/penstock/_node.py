"""A graph as it is written in Python: nodes that know who sends to them. A run compiles those that it reaches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import _core
from ._words import nearest, options_of
from .errors import GraphError

_serial = itertools.count()


class Node:
    """One use of an operator."""

    def __init__(
        self,
        kind: str,
        make: Callable[[int], Any] | None,
        inputs: list[dict[str, Any]],
        outputs: list[dict[str, Any]],
        words: Mapping[str, Any],
        *,
        form: str = "call",
        native: Callable[[bool], _core._NodeSpec] | None = None,
    ) -> None:
        self.kind = kind
        self.make = make
        self.inputs = inputs
        self.outputs = outputs
        self.words = dict(words)
        self.form = form
        self.native = native  # gives the C++ operator, on a lane or not
        self.senders: list[tuple[str, Node, str]] = []  # (input, node, its output or "")
        self.serial = next(_serial)

    @property
    def label(self) -> str:
        return str(self.words.get("name") or self.kind)

    def check_port(self, ports: list[dict[str, Any]], kind: str, name: str) -> str:
        """The name, or GraphError with the nearest."""
        names = [str(port["name"]) for port in ports]
        if name not in names:
            known = ", ".join(repr(one) for one in names) or "none"
            raise GraphError(f"{self.label}: no {kind} {name!r}; it has {known}; {nearest(name, names)}")
        return name

    def check_output(self, name: str) -> str:
        return self.check_port(self.outputs, "output", name)

    def connect(self, port: str, sender: Node, output: str) -> None:
        self.senders.append((port, sender, output))

    def is_connected(self, port: str) -> bool:
        return any(to == port for to, _, _ in self.senders)


def reach(nodes: Iterable[Node]) -> list[Node]:
    """The nodes, and all whose messages come to them, in the order in which they were written."""
    found: dict[int, Node] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        waiting.extend(sender for _, sender, _ in node.senders)
    return sorted(found.values(), key=lambda node: node.serial)


def names_of_nodes(nodes: list[Node]) -> list[str]:
    """Those that were given; the others are called by their kind, from the second on with a number."""
    given = {node.words["name"] for node in nodes if node.words.get("name")}
    names: list[str] = []
    for node in nodes:
        name = node.words.get("name")
        if not name:
            name, number = node.kind, 1
            while name in given:
                number += 1
                name = f"{node.kind}_{number}"
            given.add(name)
        names.append(name)
    return names


def _check_types(node: Node, port: str, sender: Node, output: str) -> None:
    """What an output says it gives has to fit what an input says it takes."""
    gives = next((p.get("class") for p in sender.outputs if p["name"] == output or not output), None)
    takes = next((p.get("class") for p in node.inputs if p["name"] == port or not port), None)
    if isinstance(gives, type) and isinstance(takes, type) and not issubclass(gives, takes):
        raise GraphError(
            f"graph: {sender.label}.{output or 'out'} gives {gives.__name__}, "
            f"{node.label}.{port or 'in'} takes {takes.__name__}"
        )


def _is_on_lanes(node: Node) -> bool:
    """What only passes messages on between Python operators does so on their thread."""
    return all(sender.native is None for _, sender, _ in node.senders)


def build(nodes: list[Node]) -> _core._Graph:
    """The graph of exactly these nodes. GraphError for what can't be connected."""
    graph = _core._Graph()
    index: dict[int, int] = {}
    for node, name in zip(nodes, names_of_nodes(nodes), strict=True):
        options = {**options_of(node.words), "name": name}
        if node.native is not None:
            index[id(node)] = graph.add_native(node.native(_is_on_lanes(node)), options)
            for port in node.outputs:
                if "policy" in port:
                    graph.set_output(index[id(node)], port)
            continue
        index[id(node)] = graph.add(
            node.kind,
            options,
            node.inputs,
            node.outputs,
            node.form,
            node.make,
            node.words.get("ready"),
            node.words.get("stream_pool"),
        )
    for node in nodes:
        for to, sender, output in node.senders:
            _check_types(node, to, sender, output)
            graph.connect(index[id(sender)], output, index[id(node)], to)
    return graph
