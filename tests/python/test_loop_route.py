"""Cycles and routes."""

from __future__ import annotations

import pytest
from graphs import collect, collect_with_stats, numbers

import penstock as ps


@ps.operator
def up(x):
    return x + 1 if x < 5 else None


def test_a_cycle_begins_with_its_first_messages_and_ends_when_it_is_empty():
    seen = []

    @ps.operator
    def step(x):
        seen.append(x)
        return x + 1 if x < 5 else None

    cycle = ps.loop(first=[0])
    y = step(cycle)
    y >> cycle
    ps.run(y)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_several_first_messages():
    cycle = ps.loop(first=[0, 10])
    y = ps.operator(lambda x: x + 1 if x % 10 < 3 else None)(cycle)
    y >> cycle
    found = collect(y)
    assert sorted(found) == [1, 2, 3, 11, 12, 13]


def test_state_that_goes_round_joins_by_position():
    """A running sum: each number with what came back of the one before."""

    @ps.operator
    def add(x, state):
        return x + state

    state = ps.loop(first=[0])
    total = add(numbers(6), state)
    total >> state
    assert collect(total) == [0, 1, 3, 6, 10, 15]


def test_a_loop_needs_first_messages():
    with pytest.raises(ps.GraphError, match="first message"):
        ps.loop(first=[])


def test_a_loop_that_is_not_closed_ends():
    assert collect(up(ps.loop(first=[1, 2]))) == [2, 3]


def test_a_run_with_a_loop_runs_again():
    cycle = ps.loop(first=[3])
    y = up(cycle)
    y >> cycle
    assert collect(y) == [4, 5]
    assert collect(y) == [4, 5]


def test_stop_ends_a_cycle():
    @ps.operator
    def on(x):
        return x + 1

    cycle = ps.loop(first=[0])
    y = on(cycle)
    y >> cycle
    for x in ps.iterate(y):
        if x > 100:
            break


def test_a_route_sends_each_to_the_operator_of_its_key():
    flow = ps.route(numbers(8), lambda x: x % 3, {0: lambda x: ("zero", x), 1: lambda x: ("one", x)})
    found, stats = collect_with_stats(flow)
    assert sorted(found) == [("one", 1), ("one", 4), ("one", 7), ("zero", 0), ("zero", 3), ("zero", 6)]
    assert stats.operators["route"].unmatched == 2


def test_none_is_the_case_for_all_others():
    flow = ps.route(numbers(6), lambda x: x, {1: lambda x: "one", None: lambda x: x})
    found, stats = collect_with_stats(flow)
    assert sorted(map(str, found)) == ["0", "2", "3", "4", "5", "one"]
    assert stats.operators["route"].unmatched == 0


def test_keys_are_compared_as_in_a_dict():
    flow = ps.route(numbers(4), lambda x: "even" if x % 2 == 0 else "odd", {"even": lambda x: x})
    assert collect(flow) == [0, 2]


def test_a_route_to_chains_and_classes():
    @ps.operator
    class Times:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return x * self.factor

    flow = ps.route(numbers(4), lambda x: x % 2, {0: Times(10) >> Times(10), 1: Times(3)})
    assert sorted(collect(flow)) == [0, 3, 9, 200]


def test_routed_messages_join_with_the_unrouted():
    @ps.operator(optional="b")
    def pair(a, b):
        return (a, b)

    source = numbers(5)
    found = collect(pair(source, ps.route(source, lambda x: x % 2, {1: lambda x: -x})))
    assert found == [(0, None), (1, -1), (2, None), (3, -3), (4, None)]


def test_both_ways_join_again():
    @ps.operator
    def pair(a, b):
        return (a, b)

    source = numbers(6)
    routed = ps.route(source, lambda x: x % 2, {0: lambda x: ("even", x), 1: lambda x: ("odd", x)})
    assert sorted(collect(pair(source, routed))) == [(i, ("odd" if i % 2 else "even", i)) for i in range(6)]


def test_a_key_that_raises_ends_the_run():
    with pytest.raises(ZeroDivisionError):
        collect(ps.route(numbers(2), lambda x: 1 // x, {1: up}))


def test_routes_are_checked():
    with pytest.raises(ps.GraphError, match="at least one case"):
        ps.route(numbers(1), lambda x: x, {})
    with pytest.raises(ps.ArgumentTypeError, match="key is a function"):
        ps.route(numbers(1), 3, {1: up})
