"""Imaging operations as operators: called with data they work now, with a flow they become a C++ node of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import _core
from ._flow import Flow, connect, flow_or_none, flows_of
from ._node import Node
from ._words import check_words


class Operation:
    """A configured operation: for ``>>``, for a flow, or for data."""

    _input_count = 1

    def __init__(
        self,
        kind: str,
        call: Callable[[Any], Any],
        native: Callable[[], _core._NodeSpec],
        words: Mapping[str, Any],
    ) -> None:
        check_words(kind, words)
        self._kind = kind
        self._call = call
        self._native = native
        self._words = dict(words)

    @property
    def label(self) -> str:
        return str(self._words.get("name") or self._kind)

    def __call__(self, src: Any, **words: Any) -> Any:
        if flow_or_none(src) is None and not isinstance(src, (list, tuple)):
            return self._call(src)
        if isinstance(src, (list, tuple)) and not any(isinstance(one, Flow) for one in src):
            return self._call(src)
        check_words(self._kind, words)
        ports = [{"name": "in"}], [{"name": "out"}]
        node = Node(self._kind, None, *ports, {**self._words, **words}, native=lambda _: self._native())
        for sender in flows_of(src):
            node.connect("in", sender._node, sender._output)
        return Flow(node)

    def __rshift__(self, consumer: Any) -> Any:
        from ._operator import Chain, as_operator

        return Chain([self]) >> as_operator(consumer)

    def __rrshift__(self, senders: Any) -> Any:
        return connect(flows_of(senders), self)

    def __repr__(self) -> str:
        return f"<penstock operation {self.label}>"


class _Nothing:
    def __repr__(self) -> str:
        return "<nothing>"


NOTHING = _Nothing()
"""In place of ``src``: the operation is configured, for ``>>``."""


def is_graph(src: Any) -> bool:
    """The call makes a node, or configures one, in place of working now."""
    return src is NOTHING or isinstance(src, Flow)
