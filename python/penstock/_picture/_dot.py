"""The graph in Graphviz's language."""

from __future__ import annotations

from ._plan import Plan


def dot(plan: Plan) -> str:
    """For ``dot -Tsvg`` and the like."""
    lines = ["digraph penstock {", "  rankdir=TB;", '  node [shape=box, style=rounded, fontname="monospace"];']
    lines.append('  edge [fontname="monospace", fontsize=10];')
    for operator in plan.operators:
        label = "\\n".join(_escaped(part) for part in [operator.name, *operator.notes])
        lines.append(f'  {_quoted(operator.name)} [label="{label}"];')
    for edge in plan.edges:
        words = [f'label="{_escaped(f"{edge.output} → {edge.input}")}\\n{edge.policy} {edge.capacity}"']
        if edge.policy != "block":
            words.append("style=dashed")
        if edge.is_back:
            words.append("constraint=false")
        lines.append(f"  {_quoted(edge.sender)} -> {_quoted(edge.receiver)} [{', '.join(words)}];")
    return "\n".join([*lines, "}", ""])


def _escaped(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split())


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
