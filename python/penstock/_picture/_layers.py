"""The first half of the layout: in which row an operator stands, and in which order those of a row.

After Sugiyama: edges that close cycles are left out, an edge over several rows gets a bend in each row between, and
the order of each row is that of the means of its neighbours, swept down and up until no crossing goes away.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from ._plan import Edge, Plan

_SWEEPS = 24


@dataclass(eq=False)
class Spot:
    """A place in a row: an operator's, or the bend of an edge (then ``name`` is empty)."""

    name: str
    row: int
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0  # its middle
    above: list[Link] = field(default_factory=list)
    below: list[Link] = field(default_factory=list)


@dataclass(eq=False)
class Link:
    """A piece of an edge between two neighbouring rows. Where it leaves and enters: 0 left to 1 right of the spot."""

    upper: Spot
    lower: Spot
    leaves: float
    enters: float


@dataclass
class Layers:
    rows: list[list[Spot]]
    spots: dict[str, Spot]
    pieces: dict[int, list[Link]]  # by the edge's number, from above to below
    back: list[int]  # numbers of edges that go up


def share(port: str, ports: tuple[str, ...]) -> float:
    """Where a port is on its side of the box, 0 to 1."""
    return (ports.index(port) + 0.5) / len(ports) if port in ports else 0.5


def layers_of(plan: Plan) -> Layers:
    back = _back_edges(plan)
    row = _rows(plan, back)
    back = {number for number in back if row[plan.edges[number].sender] >= row[plan.edges[number].receiver]}
    spots = {operator.name: Spot(operator.name, row[operator.name]) for operator in plan.operators}
    rows: list[list[Spot]] = [[] for _ in range(max(row.values(), default=-1) + 1)]
    for spot in spots.values():
        rows[spot.row].append(spot)
    operators = {operator.name: operator for operator in plan.operators}
    pieces: dict[int, list[Link]] = {}
    for number, edge in enumerate(plan.edges):
        if number in back:
            continue
        leaves = share(edge.output, operators[edge.sender].outputs)
        enters = share(edge.input, operators[edge.receiver].inputs)
        pieces[number] = _chain(spots[edge.sender], spots[edge.receiver], leaves, enters, rows)
    _order(rows)
    return Layers(rows, spots, pieces, sorted(back))


def _chain(upper: Spot, lower: Spot, leaves: float, enters: float, rows: list[list[Spot]]) -> list[Link]:
    links: list[Link] = []
    at = upper
    for row in range(upper.row + 1, lower.row + 1):
        following = lower if row == lower.row else Spot("", row)
        if following is not lower:
            rows[row].append(following)
        link = Link(at, following, leaves if at is upper else 0.5, enters if following is lower else 0.5)
        at.below.append(link)
        following.above.append(link)
        links.append(link)
        at = following
    return links


def _back_edges(plan: Plan) -> set[int]:
    """Those that close cycles: as the plan says, and whatever else it takes."""
    going: dict[str, list[tuple[int, Edge]]] = {operator.name: [] for operator in plan.operators}
    back = set()
    for number, edge in enumerate(plan.edges):
        if edge.is_back or edge.sender == edge.receiver:
            back.add(number)
        else:
            going[edge.sender].append((number, edge))
    done: dict[str, bool] = {}  # False while what is below it is visited
    for name in going:
        if name in done:
            continue
        done[name] = False
        stack = [(name, iter(going[name]))]
        while stack:
            at, edges = stack[-1]
            for number, edge in edges:
                if edge.receiver not in done:
                    done[edge.receiver] = False
                    stack.append((edge.receiver, iter(going[edge.receiver])))
                    break
                if not done[edge.receiver]:
                    back.add(number)
            else:
                done[at] = True
                stack.pop()
    return back


def _rows(plan: Plan, back: set[int]) -> dict[str, int]:
    """As far from the top as the longest way to it; what nobody sends to stands right above its first receiver."""
    edges = [edge for number, edge in enumerate(plan.edges) if number not in back]
    row = {operator.name: 0 for operator in plan.operators}
    for _ in plan.operators:
        is_settled = True
        for edge in edges:
            if row[edge.receiver] <= row[edge.sender]:
                row[edge.receiver] = row[edge.sender] + 1
                is_settled = False
        if is_settled:
            break
    receivers = {edge.receiver for edge in edges}
    for name in row:
        below = [row[edge.receiver] for edge in edges if edge.sender == name]
        if name not in receivers and below:
            row[name] = min(below) - 1
    return row


def _order(rows: list[list[Spot]]) -> None:
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        is_down = sweep % 2 == 0
        for row in rows if is_down else reversed(rows):
            places = {id(spot): float(n) for one in rows for n, spot in enumerate(one)}
            row.sort(key=lambda spot: _mean(spot, places, is_down))
        _swap_neighbours(rows)
        count = _crossings(rows)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    rows[:] = best


def _mean(spot: Spot, places: dict[int, float], is_down: bool) -> float:
    if is_down:
        near = [places[id(link.upper)] + link.leaves for link in spot.above]
    else:
        near = [places[id(link.lower)] + link.enters for link in spot.below]
    return sum(near) / len(near) if near else places[id(spot)] + 0.5


def _swap_neighbours(rows: list[list[Spot]]) -> None:
    places = {id(spot): float(n) for row in rows for n, spot in enumerate(row)}
    for row in rows:
        for number in range(len(row) - 1):
            left, right = row[number], row[number + 1]
            if _crossings_of(left, right, places) > _crossings_of(right, left, places):
                row[number], row[number + 1] = right, left
                places[id(right)], places[id(left)] = float(number), float(number + 1)


def _crossings_of(left: Spot, right: Spot, places: dict[int, float]) -> int:
    """Of the edges of two neighbours, if they stand in this order."""
    above = [
        (places[id(link.upper)] + link.leaves, places[id(other.upper)] + other.leaves)
        for link in left.above
        for other in right.above
    ]
    below = [
        (places[id(link.lower)] + link.enters, places[id(other.lower)] + other.enters)
        for link in left.below
        for other in right.below
    ]
    return sum(of_left > of_right for of_left, of_right in [*above, *below])


def _crossings(rows: list[list[Spot]]) -> int:
    return sum(_crossings_between(upper, lower) for upper, lower in itertools.pairwise(rows))


def _crossings_between(upper: list[Spot], lower: list[Spot]) -> int:
    place = {id(spot): n for n, spot in enumerate(lower)}
    ends = [
        (n + link.leaves, place[id(link.lower)] + link.enters) for n, spot in enumerate(upper) for link in spot.below
    ]
    return sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for number, a in enumerate(ends) for b in ends[number + 1 :])
