"""Joins: which messages of several inputs belong together."""

from __future__ import annotations

import pytest
from graphs import Gate, collect, collect_with_stats, listed, numbers

import penstock as ps


@ps.operator
def pair(a, b):
    return (a, b)


@ps.operator(optional="b")
def pair_optional(a, b):
    return (a, b)


@ps.operator
def odd(x):
    return x if x % 2 else None


def test_detect_beside_the_frame_itself_with_drops():
    """source -> detect -> draw plus source -> draw, where detect finds nothing in some frames."""

    @ps.operator
    def detect(frame):
        return f"boxes of {frame}" if frame % 3 else None

    @ps.operator
    def draw(frame, boxes):
        return (frame, boxes)

    frames = numbers(20)
    found, stats = collect_with_stats(draw(frames, detect(frames)))
    assert found == [(i, f"boxes of {i}") for i in range(20) if i % 3]
    assert stats.edges[("numbers", "out", "draw", "frame")].unpaired == 7


def test_an_optional_input_gives_none_where_nothing_comes():
    frames = numbers(6)
    assert collect(pair_optional(frames, odd(frames))) == [(i, i if i % 2 else None) for i in range(6)]


def test_a_gap_is_known_at_once():
    """A frame without boxes does not wait for the next one that has some."""
    gate = Gate()
    seen = []

    @ps.operator
    def detect(frame):
        if frame == 1:
            gate.wait()

    @ps.operator(optional="boxes")
    def draw(frame, boxes):
        seen.append((frame, boxes))
        if frame == 0:
            gate.open()

    frames = numbers(2)
    ps.run(draw(frames, detect(frames)))
    assert seen == [(0, None), (1, None)]


def test_drops_of_an_edge_leave_gaps_and_not_shifts():
    gate = Gate()

    @ps.operator(capacity=1, policy="drop_newest")
    def slow(x):
        gate.wait()
        return x

    @ps.operator(capacity=64)
    def together(a, b):
        return (a, b)

    @ps.operator
    def source():
        for i in range(12):
            if i == 11:
                gate.open()
            yield i

    frames = source()
    found, stats = collect_with_stats(together(frames, slow(frames)))
    assert found
    assert all(a == b for a, b in found)
    dropped = stats.edges[("source", "out", "slow", "x")].dropped
    assert dropped == 12 - len(found)
    assert stats.edges[("source", "out", "together", "a")].unpaired == dropped


def test_different_sources_are_joined_by_number():
    a, b = listed("abcd", "letters"), listed([10, 11, 12, 13], "tens")
    assert collect(pair(a, b)) == [("a", 10), ("b", 11), ("c", 12), ("d", 13)]


def test_a_dropped_one_leaves_a_gap_between_different_sources():
    a, b = listed("abcd", "letters"), odd(listed([10, 11, 12, 13], "tens"))
    assert collect(pair(a, b)) == [("b", 11), ("d", 13)]


def test_mixed_ancestry():
    """Inputs of a common source by origin first, then the groups by number."""

    @ps.operator
    def three(a, b, c):
        return (a, b, c)

    left, right = numbers(4), listed("wxyz", "right")
    flow = three(left, left >> (lambda x: -x), right)
    assert collect(flow) == [(0, 0, "w"), (1, -1, "x"), (2, -2, "y"), (3, -3, "z")]
    flow = three(left, odd(left), right)
    assert collect(flow) == [(1, 1, "x"), (3, 3, "z")]


def test_the_result_has_the_first_required_inputs_origin():
    origins = []

    @ps.operator
    def look(x):
        origins.append(ps.message().origin)

    ps.run(pair(listed([1], "first"), listed([2], "second")) >> look)
    assert origins == [("first", 0, None)]

    @ps.operator(optional="a")
    def second_is_required(a, b):
        return (a, b)

    origins.clear()
    ps.run(second_is_required(listed([1], "first"), listed([2], "second")) >> look)
    assert origins == [("second", 0, None)]


def test_by_position_the_nth_with_the_nth():
    frames = numbers(6)

    @ps.operator(join="position")
    def by_position(a, b):
        return (a, b)

    assert collect(by_position(frames, odd(frames))) == [(0, 1), (1, 3), (2, 5)]


def test_latest_runs_for_each_new_message():
    first, second = ps.feed(), ps.feed()
    seen = []
    gates = [Gate() for _ in range(4)]

    @ps.operator(join="latest")
    def latest(a, b):
        seen.append((a, b))
        gates[len(seen) - 1].open()

    with ps.start(latest(first, second)):
        first.put("a0")
        second.put("b0")
        assert gates[0].opened.wait(20)
        second.put("b1")
        assert gates[1].opened.wait(20)
        first.put("a1")
        assert gates[2].opened.wait(20)
        first.close()
        second.put("b2")
        assert gates[3].opened.wait(20)
        second.close()
    assert seen == [("a0", "b0"), ("a0", "b1"), ("a1", "b1"), ("a1", "b2")]


def timed(values, name):
    @ps.operator(name=name)
    def source():
        for seconds, value in values:
            ps.message().time = seconds
            yield value

    return source()


def test_within_joins_by_time():
    @ps.operator(join=ps.within(ms=10))
    def near(a, b):
        return (a, b)

    a = timed([(0.000, "a0"), (0.100, "a1"), (0.200, "a2")], "a")
    b = timed([(0.004, "b0"), (0.150, "b?"), (0.195, "b2")], "b")
    found, stats = collect_with_stats(near(a, b))
    assert found == [("a0", "b0"), ("a2", "b2")]
    assert stats.edges[("a", "out", "near", "a")].unpaired == 1
    assert stats.edges[("b", "out", "near", "b")].unpaired == 1


def test_within_is_checked():
    with pytest.raises(ps.GraphError, match="ms=-1"):
        ps.within(ms=-1)


@pytest.mark.parametrize("drop", [2, 3, 5])
def test_branches_that_drop_differently(drop):
    """Whatever each branch drops, what comes together belongs together."""
    source = numbers(60)
    a = source >> (lambda x: x if x % drop else None)
    b = source >> (lambda x: x if x % 7 else None)
    assert collect(pair(a, b)) == [(i, i) for i in range(60) if i % drop and i % 7]


def test_a_long_branch_beside_a_short_one():
    """The short one waits in its edge and in the join; nothing is lost and nothing deadlocks."""
    source = numbers(100)
    long = source
    for _ in range(12):
        long = long >> (lambda x: x)
    assert collect(pair(source, long)) == [(i, i) for i in range(100)]


def test_many_outputs_of_one_activation_join_the_one_message():
    @ps.operator
    def tiles(x):
        yield (x, 0)
        yield (x, 1)

    source = numbers(3)
    assert collect(ps.operator(lambda t: t)(tiles(source))) == [(i, j) for i in range(3) for j in range(2)]


def test_a_branch_that_ends_early_ends_the_join():
    source = numbers(10)
    few = ps.operator(lambda x: x, count=3)(source)
    assert collect(pair(source, few)) == [(0, 0), (1, 1), (2, 2)]
