"""What a run measured, in the words of a picture."""

from __future__ import annotations

from typing import Any

from ._plan import Edge, Operator, Plan

# Shares of the time, those of the summary of a run.
_BUSY = 0.7
_CROWDED = 0.8
_OFTEN = 0.2


class Measured:
    """The statistics of a run, or none of them."""

    def __init__(self, plan: Plan, stats: Any) -> None:
        self._operators = {} if stats is None else stats.operators
        self._edges = {} if stats is None else stats.edges
        self.bottleneck = self._bottleneck(plan)
        """The name of the operator that sets the pace, if one does."""

    def _bottleneck(self, plan: Plan) -> str | None:
        """One that works most of the time, while more comes than it takes and what it gives is taken."""
        share = {one.name: self.share(one) or 0.0 for one in plan.operators}
        busy = [name for name, part in share.items() if part >= _BUSY]
        full = {name: self._full([edge for edge in plan.edges if edge.receiver == name]) for name in busy}
        taken = [name for name in busy if self._full([e for e in plan.edges if e.sender == name]) < _CROWDED]
        crowded = [name for name in taken if full[name] >= _OFTEN]
        return max(crowded or busy, key=lambda name: (full[name] if crowded else 0.0, share[name]), default=None)

    def _full(self, edges: list[Edge]) -> float:
        """Share of the time that the fullest of them had no room; 1 for one that drops instead."""
        known = [self._edges[edge.key] for edge in edges if edge.key in self._edges]
        return max((1.0 if one.dropped else float(one.blocked) for one in known), default=0.0)

    def share(self, operator: Operator) -> float | None:
        """Of the time that its instances worked, 0 to 1."""
        if operator.name not in self._operators:
            return None
        return min(float(self._operators[operator.name].busy) / max(operator.instances, 1), 1.0)

    def numbers(self, operator: Operator) -> list[str]:
        share = self.share(operator)
        if share is None:
            return []
        one = self._operators[operator.name]
        said = [f"{_rate(one.rate)}/s", f"{_time(one.p50)}", f"busy {share:.0%}"]
        return [*said, f"{one.skipped} skipped"] if one.skipped else said

    def edge(self, edge: Edge) -> tuple[list[str], bool]:
        """What there is to say, and whether messages were lost. Edges that are nearly empty say nothing."""
        one = self._edges.get(edge.key)
        if one is None:
            return [], False
        said = [f"{min(one.fill, 1.0):.0%} full"] if one.fill >= 0.1 else []
        said += [f"{one.dropped} dropped"] if one.dropped else []
        said += [f"{one.unpaired} unpaired"] if one.unpaired else []
        return said, bool(one.dropped or one.unpaired)

    def fill(self, edge: Edge) -> float:
        one = self._edges.get(edge.key)
        return 0.0 if one is None else min(float(one.fill), 1.0)


def _rate(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"
