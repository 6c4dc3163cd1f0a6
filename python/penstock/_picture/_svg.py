"""The graph as one SVG that needs nothing else: boxes from top to bottom, light or dark as the page is."""

from __future__ import annotations

import itertools
from html import escape
from typing import Any

from ._measured import Measured
from ._place import Box, Placed, Point, place
from ._plan import Edge, Operator, Plan, plan_of
from ._style import NAME, NOTE, PORT, STYLE, letters, lines_of, shortened, width_of

_PAD = 10.0
_LINE = 16.0
_PORTS = 15.0
_HEAD = 7.0
_TURN = 14.0
_MOST_PORTS = 8  # with more of them their names are left to the tooltips
_STEPS = (0.15, 0.4, 0.65, 0.85)


def draw(plan: Any, stats: Any = None) -> str:
    """An SVG of a ``Plan`` or of a flow. ``stats``: what a run of it gave; boxes then show rate, median time and busy
    share, edges how full they were and what was lost, and the bottleneck is marked.
    """
    if not isinstance(plan, Plan):
        plan = plan_of(plan)
    measured = Measured(plan, stats)
    cards = {operator.name: _Card(operator, measured) for operator in plan.operators}
    placed = place(plan, {name: card.size for name, card in cards.items()})
    width, height = round(placed.width), round(placed.height)
    pills = _pills(plan, placed, measured)
    title = f"A graph of {len(plan.operators)} operators"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ps" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{title}" style="max-width:100%;height:auto">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
    ]
    for edge, way, up in zip(plan.edges, placed.ways, placed.up, strict=True):
        parts.append(_edge(edge, way, up, measured))
    parts += [_pill(edge, pill, measured) for edge, pill in zip(plan.edges, pills, strict=True) if pill is not None]
    parts += [cards[name].draw(box) for name, box in placed.boxes.items()]
    return "\n".join([*parts, "</svg>", ""])


class _Card:
    """What is in a box."""

    def __init__(self, operator: Operator, measured: Measured) -> None:
        self._operator = operator
        self._share = measured.share(operator)
        self._is_hot = measured.bottleneck == operator.name
        self._name = shortened(operator.name, 28)
        self._notes = lines_of(operator.notes, 24)
        self._numbers = lines_of(measured.numbers(operator), 17)
        self._inputs = _shown(operator.inputs)
        self._outputs = _shown(operator.outputs)
        texts = [width_of(self._name, NAME), *(width_of(line, NOTE) for line in [*self._notes, *self._numbers])]
        texts += [len(ports) * (max(map(letters, ports)) + 1.5) * PORT * 0.61 for ports in self._ports() if ports]
        texts.append(14.0 * max(len(operator.inputs), len(operator.outputs)))
        rows = 1 + len(self._notes) + len(self._numbers) + self._is_hot
        above_below = _PORTS * sum(1 for ports in self._ports() if ports)
        bar = 6.0 if self._share is not None else 0.0
        self.size = (max(*texts, 60.0) + 2 * _PAD, rows * _LINE + 14.0 + above_below + bar)

    def _ports(self) -> tuple[list[str], list[str]]:
        return self._inputs, self._outputs

    def draw(self, box: Box) -> str:
        step = 0 if self._share is None else sum(self._share >= limit for limit in _STEPS)
        hot = " hot" if self._is_hot else ""
        parts = [f'<g class="box{hot}"><title>{escape(self._tooltip())}</title>']
        at = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        parts.append(f'<rect class="rim s{step}" {at} rx="7"/>')
        x, y = box.x + box.width / 2, box.y + 7.0 + (_PORTS if self._inputs else 0.0)
        lines = [("name", self._name), *(("note", line) for line in self._notes)]
        lines += [("note mark", "sets the pace" if self._operator.is_source else "bottleneck")] if self._is_hot else []
        for kind, line in [*lines, *(("note", line) for line in self._numbers)]:
            y += _LINE
            parts.append(_text(kind, x, y - 4.0, line))
        parts += _names(self._inputs, box, box.y + 12.0)
        parts += _names(self._outputs, box, box.y + box.height - 5.0)
        if self._share is not None:
            room = box.width - 2 * _PAD
            at = f'x="{box.x + _PAD:.1f}" y="{y + 2.0:.1f}" width="{room * self._share:.1f}" height="4"'
            parts.append(f'<rect class="bar" {at} rx="2"/>')
        return "".join([*parts, "</g>"])

    def _tooltip(self) -> str:
        one = self._operator
        lines = [one.name, *one.notes]
        lines += [f"in: {', '.join(one.inputs)}"] if one.inputs else []
        lines += [f"out: {', '.join(one.outputs)}"] if one.outputs else []
        return "\n".join([*lines, *self._numbers])


def _shown(ports: tuple[str, ...]) -> list[str]:
    """One port needs no name: there is no other that could be meant."""
    return [shortened(port, 12) for port in ports] if 2 <= len(ports) <= _MOST_PORTS else []


def _names(ports: list[str], box: Box, y: float) -> list[str]:
    step = box.width / max(len(ports), 1)
    return [_text("port", box.x + step * (number + 0.5), y, port) for number, port in enumerate(ports)]


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _edge(edge: Edge, way: list[Point], up: bool, measured: Measured) -> str:
    said, is_loss = measured.edge(edge)
    held = f"holds {edge.capacity}, {edge.policy}"
    title = "\n".join([f"{edge.sender}.{edge.output} → {edge.receiver}.{edge.input}", held, *said])
    (x, y), thick = way[-1], 1.4 + 2.6 * measured.fill(edge)
    path = _way_up(way) if up else _way_down(way)
    drops = " drops" if edge.policy != "block" else ""
    parts = [f'<g class="edge{" loss" if is_loss else ""}"><title>{escape(title)}</title>']
    parts.append(f'<path class="way{drops}" d="{path}" style="stroke-width:{thick:.1f}"/>')
    parts.append(f'<path class="head" d="M{x - 4:.1f} {y - _HEAD:.1f}h8L{x:.1f} {y:.1f}z"/>')
    return "".join([*parts, "</g>"])


def _pill(edge: Edge, pill: Box, measured: Measured) -> str:
    said, is_loss = measured.edge(edge)
    at = f'x="{pill.x:.1f}" y="{pill.y:.1f}" width="{pill.width:.1f}" height="{pill.height:.1f}"'
    label = _text("", pill.x + pill.width / 2, pill.y + pill.height - 4.5, " · ".join(said))
    return f'<g class="pill{" loss" if is_loss else ""}"><rect {at} rx="7.5"/>{label}</g>'


def _way_down(way: list[Point]) -> str:
    path = f"M{way[0][0]:.1f} {way[0][1]:.1f}"
    for number, ((x0, y0), (x1, y1)) in enumerate(itertools.pairwise(way)):
        if number == len(way) - 2:
            y1 -= _HEAD - 1.0
        middle = (y0 + y1) / 2
        path += f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    return path


def _way_up(way: list[Point]) -> str:
    (out, start), (_, below), (x, _), (_, above), (into, _), (_, end) = way
    r = 6.0
    a, b = (1 if x >= out else -1), (1 if x >= into else -1)
    return (
        f"M{out:.1f} {start:.1f}V{below + _TURN - r:.1f}q0 {r} {a * r} {r}H{x - a * r:.1f}q{a * r} 0 {a * r} {-r}"
        f"V{above - _TURN - _HEAD + r:.1f}q0 {-r} {-b * r} {-r}H{into + b * r:.1f}q{-b * r} 0 {-b * r} {r}"
        f"V{end - _HEAD + 1.0:.1f}"
    )


def _pills(plan: Plan, placed: Placed, measured: Measured) -> list[Box | None]:
    """A place for the words of each edge, on the edge and on nothing else where that can be had."""
    taken = list(placed.boxes.values())
    pills: list[Box | None] = []
    for edge, way, up in zip(plan.edges, placed.ways, placed.up, strict=True):
        said = measured.edge(edge)[0]
        if not said:
            pills.append(None)
            continue
        width = width_of(" · ".join(said), PORT) + 12.0
        spots = [Box(x - width / 2, y - 7.5, width, 15.0) for x, y in _along(way[2:4] if up else way)]
        spots = [Box(max(2.0, min(b.x, placed.width - width - 2.0)), b.y, b.width, b.height) for b in spots]
        best = min(spots, key=lambda spot: sum(_overlap(spot, other) for other in taken))
        taken.append(best)
        pills.append(best)
    return pills


def _along(way: list[Point]) -> list[Point]:
    """Points of the curve, those in the middle of its pieces first."""
    points = []
    for t in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
        s = 1.0 - t
        for (x0, y0), (x1, y1) in itertools.pairwise(way):
            points.append((s * s * (1 + 2 * t) * x0 + t * t * (3 - 2 * t) * x1, y0 + (y1 - y0) * (1.5 * t * s + t**3)))
    return points


def _overlap(a: Box, b: Box) -> float:
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(wide, 0.0) * max(high, 0.0)
