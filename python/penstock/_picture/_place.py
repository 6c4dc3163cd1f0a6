"""The second half of the layout: where each box is, and the way of each edge."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ._layers import Layers, Link, Spot, layers_of, share
from ._plan import Plan

_BETWEEN = 16.0  # neighbours in a row
_BEND = 10.0  # the room of an edge that passes a row
_GAP = 46.0  # rows, at least
_CHANNEL = 16.0  # edges that go up, beside the boxes
_CROSSING = 200.0  # how much longer a way may be to cross one edge less
_PASSES = 120

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float


@dataclass
class Placed:
    boxes: dict[str, Box]
    ways: list[list[Point]]
    """For each edge the points it goes through. It is upright at each of them, but for those that go up."""
    up: list[bool]
    """Whether it goes up: below the sender's row to the side, beside it all, above the receiver's row back."""
    width: float
    height: float


def place(plan: Plan, sizes: dict[str, tuple[float, float]], margin: float = 12.0) -> Placed:
    """Boxes of these sizes, from top to bottom."""
    layers = layers_of(plan)
    for row in layers.rows:
        for spot in row:
            spot.width, spot.height = sizes.get(spot.name, (_BEND, 0.0))
    _spread(layers.rows)
    tops, heights = _levels(layers, margin)
    boxes = {
        name: Box(spot.x - spot.width / 2, tops[spot.row] + (heights[spot.row] - spot.height) / 2, *sizes[name])
        for name, spot in layers.spots.items()
    }
    ways = _ways(plan, layers, boxes, tops, heights)
    left = min([box.x for box in boxes.values()] + [x for way in ways for x, _ in way], default=0.0)
    shift = margin - left
    boxes = {name: Box(box.x + shift, box.y, box.width, box.height) for name, box in boxes.items()}
    ways = [[(x + shift, y) for x, y in way] for way in ways]
    right = max([box.x + box.width for box in boxes.values()] + [x for way in ways for x, _ in way], default=0.0)
    bottom = max(
        [box.y + box.height for box in boxes.values()] + [ways[number][2][1] + _CHANNEL for number in layers.back],
        default=0.0,
    )
    up = [number in layers.back for number in range(len(ways))]
    return Placed(boxes, ways, up, right + margin, bottom + margin)


def _spread(rows: list[list[Spot]]) -> None:
    """Each spot to the mean of its neighbours above and below, as near as its row allows."""
    for row in rows:
        x = 0.0
        for spot in row:
            spot.x = x + spot.width / 2
            x += spot.width + _BETWEEN
        for spot in row:
            spot.x -= x / 2
    for turn in range(_PASSES):
        is_last = turn >= _PASSES // 2
        for row in rows if turn % 2 == 0 else reversed(rows):
            wanted = [_wanted(spot, turn % 2 == 0, is_last) for spot in row]
            _move(row, wanted)
    for row in rows:
        _move(row, [_under(spot) for spot in row])


def _move(row: list[Spot], wanted: list[tuple[float, float]]) -> None:
    for spot, x in zip(row, _apart(row, wanted), strict=True):
        spot.x = x


def _under(spot: Spot) -> tuple[float, float]:
    """Right below the one above, in a chain; else where it is."""
    if len(spot.above) != 1 or len(spot.above[0].upper.below) != 1:
        return spot.x, 1.0
    link = spot.above[0]
    return _upper_x(link) - (link.enters - 0.5) * spot.width, 1.0


def _wanted(spot: Spot, is_down: bool, both: bool) -> tuple[float, float]:
    """Where it would be best, and how much that matters: a bend more than a box, so that long edges and chains are
    straight.
    """
    links: list[tuple[Link, bool]] = []
    if is_down or both:
        links += [(link, True) for link in spot.above]
    if not is_down or both:
        links += [(link, False) for link in spot.below]
    if not links:
        return spot.x, 0.1
    total = weights = 0.0
    for link, is_above in links:
        other, at_other, at_own = (
            (link.upper, link.leaves, link.enters) if is_above else (link.lower, link.enters, link.leaves)
        )
        is_alone = len(link.upper.below) == len(link.lower.above) == 1
        weight = 16.0 if not spot.name and not other.name else 4.0 if is_alone else 1.0
        total += weight * (other.x + (at_other - 0.5) * other.width - (at_own - 0.5) * spot.width)
        weights += weight
    return total / weights, 8.0 if not spot.name else 1.0


def _apart(row: list[Spot], wanted: list[tuple[float, float]]) -> list[float]:
    """The least squares solution in which nobody overlaps: pools of adjacent violators."""
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + _BETWEEN)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for (x, weight), offset in zip(wanted, offsets, strict=True):
        pools.append((x - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, of_a, count_a), (b, of_b, count_b) = pools[-2:]
            pools[-2:] = [((a * of_a + b * of_b) / (of_a + of_b), of_a + of_b, count_a + count_b)]
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _levels(layers: Layers, margin: float) -> tuple[list[float], list[float]]:
    """The top of each row and its height. Where edges go far to the side the rows are farther apart."""
    tops, heights = [], []
    y = margin + (_CHANNEL * 2 if layers.back else 0.0)
    for row in layers.rows:
        height = max((spot.height for spot in row), default=0.0)
        tops.append(y)
        heights.append(height)
        aside = max((abs(_upper_x(link) - _lower_x(link)) for spot in row for link in spot.below), default=0.0)
        y += height + min(_GAP + aside * 0.10, 96.0)
    return tops, heights


def _upper_x(link: Link) -> float:
    return link.upper.x + (link.leaves - 0.5) * link.upper.width


def _lower_x(link: Link) -> float:
    return link.lower.x + (link.enters - 0.5) * link.lower.width


def _ways(
    plan: Plan, layers: Layers, boxes: dict[str, Box], tops: list[float], heights: list[float]
) -> list[list[Point]]:
    ways: list[list[Point]] = []
    channels: dict[bool, int] = {True: 0, False: 0}
    for number, edge in enumerate(plan.edges):
        if number in layers.back:
            ways.append(_way_up(plan, number, layers, boxes, channels, tops, heights))
            continue
        sender, receiver = boxes[edge.sender], boxes[edge.receiver]
        links = layers.pieces[number]
        way = [(_upper_x(links[0]), sender.y + sender.height)]
        for link in links[:-1]:
            row = link.lower.row
            way += [(link.lower.x, tops[row]), (link.lower.x, tops[row] + heights[row])]
        ways.append([*way, (_lower_x(links[-1]), receiver.y)])
    return ways


def _way_up(
    plan: Plan,
    number: int,
    layers: Layers,
    boxes: dict[str, Box],
    channels: dict[bool, int],
    tops: list[float],
    heights: list[float],
) -> list[Point]:
    edge = plan.edges[number]
    operators = {operator.name: operator for operator in plan.operators}
    sender, receiver = boxes[edge.sender], boxes[edge.receiver]
    first, last = sorted((layers.spots[edge.sender].row, layers.spots[edge.receiver].row))
    beside = [spot for row in layers.rows[first : last + 1] for spot in row]
    right = max(spot.x + spot.width / 2 for spot in beside)
    left = min(spot.x - spot.width / 2 for spot in beside)
    out = sender.x + sender.width * share(edge.output, operators[edge.sender].outputs)
    into = receiver.x + receiver.width * share(edge.input, operators[edge.receiver].inputs)
    crossed_right, crossed_left = _crossed(layers, layers.spots[edge.sender], layers.spots[edge.receiver], out, into)
    cost_right = (right - out) + (right - into) + _CROSSING * crossed_right
    is_right = cost_right <= (out - left) + (into - left) + _CROSSING * crossed_left
    channels[is_right] += 1
    away = _CHANNEL * channels[is_right]
    x = right + away if is_right else left - away
    below, above = tops[last] + heights[last], tops[first]
    return [
        (out, sender.y + sender.height),
        (out, below),
        (x, below),
        (x, above),
        (into, above),
        (into, receiver.y),
    ]


def _crossed(layers: Layers, sender: Spot, receiver: Spot, out: float, into: float) -> tuple[int, int]:
    """How many edges are crossed on the way to the right side and to the left."""
    leaving = [_upper_x(link) - out for spot in layers.rows[sender.row] for link in spot.below]
    entering = [_lower_x(link) - into for spot in layers.rows[receiver.row] for link in spot.above]
    aside = [*leaving, *entering]
    return sum(x > 1.0 for x in aside), sum(x < -1.0 for x in aside)
