"""``ps.view``: the frames of a flow in a browser page on this machine."""

from __future__ import annotations

from typing import Any

from .. import _run
from .._flow import Flow, fed
from .._node import Node, names_of_nodes
from .._words import check_words
from ..errors import GraphError
from ._frames import Watch
from ._page import Page

__all__ = ["view"]


def view(flow: Any, *, port: int | None = None, name: str | None = None) -> Flow:
    """Shows frames (u8, HWC RGB or HW) in a browser page, and passes them on; its address is printed on stderr.

    All views of a run share one page, with a tile for each source. It is served on 127.0.0.1 alone, on a free port or
    ``port``, to whoever has the whole address. The newest frame is encoded when somebody looks, on no thread of the
    pipeline: a slow browser, or none, slows nothing. The page ends with the run.
    """
    if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535):
        raise GraphError(f"view: port={port!r} does not fit: an int from 0 to 65535 (0: any that is free)")
    words = {"name": name}
    check_words("view", words)
    node = Node("view", Maker(port or 0), [{"name": "in"}], [{"name": "out"}], words)
    return fed(node, flow, "show")


class Maker:
    """Makes what watches the frames of one view; which page it belongs to is known when a run begins."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, instance: int) -> tuple[Any, Any]:
        raise GraphError("view: it works in a run")


class _PageMaker(Maker):
    def __init__(self, port: int, page: Page, label: str) -> None:
        super().__init__(port)
        self._page = page
        self._label = label

    def __call__(self, instance: int) -> tuple[Any, Any]:
        watch = Watch(self._page, self._label)
        return watch, watch.close


def _share_page(nodes: list[Node]) -> None:
    """One page for all views of the run that begins."""
    if not any(isinstance(node.make, Maker) for node in nodes):
        return
    names = zip(nodes, names_of_nodes(nodes), strict=True)
    labels = {label: node for node, label in names if isinstance(node.make, Maker)}
    ports = sorted({node.make.port for node in labels.values() if isinstance(node.make, Maker)} - {0})
    if len(ports) > 1:
        raise GraphError(
            f"view: ports {ports[0]} and {ports[1]} in one run: its views share one page, so name one port"
        )
    page = Page(list(labels), ports[0] if ports else 0)
    for label, node in labels.items():
        assert isinstance(node.make, Maker)
        node.make = _PageMaker(node.make.port, page, label)


_run.preparations.append(_share_page)
