"""Pictures of graphs: as SVG, for Graphviz, as text and as JSON. None of them needs another program or package."""

from __future__ import annotations

from ._dot import dot
from ._plan import Edge, Operator, Plan, plan_of
from ._svg import draw
from ._text import as_json, text

__all__ = ["Edge", "Operator", "Plan", "as_json", "dot", "draw", "plan_of", "text"]
