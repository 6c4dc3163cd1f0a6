"""Pictures of graphs: nothing overlaps, nothing is clipped, and what was measured is there."""

import re
import types
import xml.etree.ElementTree as ElementTree
from html import unescape

import pytest
from pictures import CHAIN, LOOP, PLANS, WALL, plan

import penstock as ps
from penstock import _picture
from penstock._picture._place import place
from penstock._picture._style import letters, lines_of, shortened

SVG = "{http://www.w3.org/2000/svg}"
SIZES = {"name": 13, "note": 11, "port": 10, "": 10}


def stats_of(plan, busy=None, fill=None, dropped=None, unpaired=None):
    operators = {
        one.name: types.SimpleNamespace(busy=(busy or {}).get(one.name, 0.1), rate=29.97, p50=0.0123, skipped=0)
        for one in plan.operators
    }
    edges = {
        edge.key: types.SimpleNamespace(
            fill=(fill or {}).get(edge.sender, 0.0),
            blocked=(fill or {}).get(edge.sender, 0.0),
            dropped=(dropped or {}).get(edge.sender, 0),
            unpaired=(unpaired or {}).get(edge.sender, 0),
        )
        for edge in plan.edges
    }
    return types.SimpleNamespace(operators=operators, edges=edges)


def rectangle(element):
    return tuple(float(element.get(name)) for name in ("x", "y", "width", "height"))


def boxes_of(svg):
    """Of each operator: its box, its texts with their places and classes."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if (group.get("class") or "").split()[0] == "box":
            name = group.find(f"{SVG}title").text.split("\n")[0]
            texts = [
                (one.get("class"), float(one.get("x")), float(one.get("y")), one.text)
                for one in group.iter(f"{SVG}text")
            ]
            found[name] = rectangle(group.find(f"{SVG}rect")), texts, group
    return found


def curve_points(path):
    """Points along an edge that goes down: moves and cubic curves with absolute numbers."""
    numbers = [float(one) for one in re.findall(r"-?\d+\.?\d*", path)]
    points, at = [], (numbers[0], numbers[1])
    for first in range(2, len(numbers), 6):
        x1, y1, x2, y2, x3, y3 = numbers[first : first + 6]
        for t in [n / 12 for n in range(13)]:
            s = 1 - t
            points.append(
                (
                    s**3 * at[0] + 3 * s * s * t * x1 + 3 * s * t * t * x2 + t**3 * x3,
                    s**3 * at[1] + 3 * s * s * t * y1 + 3 * s * t * t * y2 + t**3 * y3,
                )
            )
        at = (x3, y3)
    return points


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("has_stats", [False, True])
def test_boxes_do_not_overlap_and_are_on_the_paper(plan, has_stats):
    svg = _picture.draw(plan, stats_of(plan) if has_stats else None)
    width, height = (float(ElementTree.fromstring(svg).get(name)) for name in ("width", "height"))
    boxes = [box for box, _, _ in boxes_of(svg).values()]
    assert len(boxes) == len(plan.operators)
    for number, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= height
        for u, v, p, q in boxes[number + 1 :]:
            assert x + w <= u or u + p <= x or y + h <= v or v + q <= y


@pytest.mark.parametrize("plan", PLANS)
def test_texts_are_inside_of_their_boxes(plan):
    shown = boxes_of(_picture.draw(plan, stats_of(plan, busy={plan.operators[0].name: 0.9})))
    for (left, top, width, height), texts, _ in shown.values():
        assert texts
        for kind, x, y, text in texts:
            size = SIZES[kind.split()[0]]
            half = letters(text) * 0.61 * size / 2
            assert left <= x - half
            assert x + half <= left + width
            assert top <= y - size * 0.8
            assert y + size * 0.25 <= top + height


@pytest.mark.parametrize("plan", PLANS)
def test_edges_pass_no_box(plan):
    svg = _picture.draw(plan)
    shown = boxes_of(svg)
    down = [
        (edge, group)
        for edge, group in zip(
            plan.edges,
            (g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if (g.get("class") or "").startswith("edge")),
            strict=True,
        )
        if not edge.is_back
    ]
    for edge, group in down:
        points = curve_points(group.find(f"{SVG}path").get("d"))
        for name, ((x, y, w, h), _, _) in shown.items():
            if name not in (edge.sender, edge.receiver):
                assert not any(x + 1 < u < x + w - 1 and y + 1 < v < y + h - 1 for u, v in points), (edge, name)


@pytest.mark.parametrize("plan", PLANS)
def test_edges_lead_from_box_to_box(plan):
    placed = place(plan, {one.name: (90.0, 40.0) for one in plan.operators})
    for edge, way in zip(plan.edges, placed.ways, strict=True):
        sender, receiver = placed.boxes[edge.sender], placed.boxes[edge.receiver]
        assert way[0][1] == pytest.approx(sender.y + sender.height)
        assert sender.x < way[0][0] < sender.x + sender.width
        assert way[-1][1] == pytest.approx(receiver.y)
        assert receiver.x < way[-1][0] < receiver.x + receiver.width


@pytest.mark.parametrize("plan", PLANS)
def test_edges_that_go_up_pass_no_box(plan):
    placed = place(plan, {one.name: (90.0, 40.0 + 7 * (number % 9)) for number, one in enumerate(plan.operators)})
    for edge, way, up in zip(plan.edges, placed.ways, placed.up, strict=True):
        assert up <= edge.is_back
        if up:
            assert placed.boxes[edge.sender].y + placed.boxes[edge.sender].height > placed.boxes[edge.receiver].y
            (out, _), (_, below), (x, _), (_, above), (into, _), _ = way
            for box in placed.boxes.values():
                left, right, top, bottom = box.x, box.x + box.width, box.y, box.y + box.height
                assert not (left < x < right and top < below and bottom > above), edge
                assert not (top < below + 14 < bottom and left < max(x, out) and right > min(x, out)), edge
                assert not (top < above - 14 < bottom and left < max(x, into) and right > min(x, into)), edge


def test_senders_are_above_receivers():
    for one in PLANS:
        placed = place(one, {operator.name: (90.0, 40.0) for operator in one.operators})
        for edge in one.edges:
            if not edge.is_back:
                assert placed.boxes[edge.sender].y < placed.boxes[edge.receiver].y


def test_a_chain_is_straight():
    for one, chain in ((CHAIN, {"camera", "resize", "detect", "sink"}), (WALL, {"join", "draw", "wall", "sink"})):
        placed = place(one, {operator.name: (60.0 + 10 * n, 40.0) for n, operator in enumerate(one.operators)})
        for edge, way in zip(one.edges, placed.ways, strict=True):
            if {edge.sender, edge.receiver} <= chain:
                assert abs(way[0][0] - way[-1][0]) < 0.01


def test_what_can_be_drawn_without_crossings_is():
    crossed = plan("x -> end.x", "y -> end.y", "z -> end.z", "a -> z", "b -> x", "c -> y")
    placed = place(crossed, {one.name: (60.0, 40.0) for one in crossed.operators})
    assert sorted("abc", key=lambda name: placed.boxes[name].x) == ["b", "c", "a"]
    assert sorted("xyz", key=lambda name: placed.boxes[name].x) == ["x", "y", "z"]


def test_a_back_edge_goes_round_the_boxes():
    placed = place(LOOP, {one.name: (90.0, 40.0) for one in LOOP.operators})
    (way,) = (way for edge, way in zip(LOOP.edges, placed.ways, strict=True) if edge.is_back)
    beside = way[2][0]
    assert way[3][0] == beside
    between = [placed.boxes[name] for name in ("numbers", "loop", "tracker")]
    assert all(beside < box.x or beside > box.x + box.width for box in between)


def test_a_cycle_that_nobody_marked_is_drawn():
    assert len(boxes_of(_picture.draw(plan("a -> b", "b -> c", "c -> a")))) == 3


def test_measurements_are_in_the_picture():
    stats = stats_of(WALL, busy={"detect": 0.94}, fill={"merge": 0.88}, dropped={"cam2": 1200}, unpaired={"track": 7})
    svg = _picture.draw(WALL, stats)
    shown = boxes_of(svg)
    texts = [text for _, _, _, text in shown["detect"][1]]
    assert "30.0/s · 12.3 ms" in texts
    assert "busy 94%" in texts
    assert [name for name, (_, found, _) in shown.items() if "bottleneck" in [t[3] for t in found]] == ["detect"]
    said = [
        text.text for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if "pill" in (g.get("class") or "") for text in g
    ]
    assert sorted(filter(None, said)) == ["1200 dropped", "7 unpaired", "88% full", "88% full"]
    assert "bottleneck" not in _picture.draw(WALL)
    assert "busy" not in _picture.draw(WALL)


def test_the_share_is_that_of_each_instance():
    two = plan("a -> b", operators={"b": {"instances": 4}})
    svg = _picture.draw(two, stats_of(two, busy={"a": 0.75, "b": 2.0}))
    texts = {name: [text for *_, text in found] for name, (_, found, _) in boxes_of(svg).items()}
    assert "busy 50%" in texts["b"]
    assert "bottleneck" in texts["a"]


@pytest.mark.parametrize(
    ("busy", "fill", "expected"),
    [
        ({"resize": 0.9, "detect": 0.95}, {}, "detect"),
        ({"resize": 0.9, "detect": 0.95}, {"camera": 0.5}, "resize"),  # the only one with a queue before it
        ({"resize": 0.95, "detect": 0.9}, {"camera": 0.9, "resize": 0.85}, "detect"),  # what it gives is not taken
        ({"resize": 0.95, "detect": 0.8}, {"camera": 0.4, "resize": 0.6}, "detect"),
    ],
)
def test_the_bottleneck_has_a_queue_before_it_and_none_behind(busy, fill, expected):
    shown = boxes_of(_picture.draw(CHAIN, stats_of(CHAIN, busy=busy, fill=fill)))
    assert [name for name, (_, _, group) in shown.items() if "hot" in group.get("class")] == [expected]


def test_a_source_sets_the_pace():
    svg = _picture.draw(
        plan("a -> b", operators={"a": {"is_source": True}}), stats_of(plan("a -> b"), busy={"a": 0.99, "b": 0.3})
    )
    assert "sets the pace" in svg
    assert "bottleneck" not in svg


def test_nobody_is_the_bottleneck_of_an_idle_graph():
    assert "bottleneck" not in _picture.draw(CHAIN, stats_of(CHAIN, busy={"detect": 0.6}))


def test_words_lie_on_no_box_and_not_on_each_other():
    for one in (CHAIN, WALL):
        svg = _picture.draw(one, stats_of(one, fill={operator.name: 0.5 for operator in one.operators}))
        pills = [
            rectangle(g.find(f"{SVG}rect"))
            for g in ElementTree.fromstring(svg).iter(f"{SVG}g")
            if "pill" in (g.get("class") or "")
        ]
        assert len(pills) == len(one.edges)
        taken = [box for box, _, _ in boxes_of(svg).values()]
        for pill in pills:
            x, y, w, h = pill
            assert all(x + w <= u or u + p <= x or y + h <= v or v + q <= y for u, v, p, q in taken)
            taken.append(pill)


def test_real_statistics_fit():
    @ps.operator
    def numbers():
        yield from range(50)

    flow = numbers() >> (lambda x: x)
    svg = _picture.draw(flow, ps.run(flow))
    assert set(boxes_of(svg)) == {"numbers", "lambda"}
    assert svg.count("busy") >= 2


def test_light_and_dark():
    svg = _picture.draw(CHAIN)
    assert "@media (prefers-color-scheme:dark)" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    used = set(re.findall(r"var\((--\w+)\)", svg))
    light, dark = (set(re.findall(r"(--\w+):", block)) for block in re.findall(r"\.ps\{(.*?)\}", svg, re.DOTALL))
    assert used <= light
    assert light == dark


def test_names_are_escaped_and_shortened():
    odd = plan('<b>&"x"\\ -> ' + "long_" * 20)
    shown = boxes_of(_picture.draw(odd))
    assert set(shown) == {'<b>&"x"\\', "long_" * 20}
    assert letters(shown["long_" * 20][1][0][3]) <= 28
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcdef…ijk"
    assert letters(shortened("検出器検出器検出器", 9)) <= 9
    assert lines_of(["one", "two", "three"], 9) == ["one · two", "three"]


def test_tooltips_name_ports_and_policies():
    svg = unescape(_picture.draw(LOOP))
    assert "tracker.state → loop.in\nholds 4, block" in svg
    assert "in: frame, state" in svg
