"""Flows: how they are connected, merged and refused."""

from __future__ import annotations

import itertools

import pytest
from graphs import Gate, collect, eventually, listed, numbers

import penstock as ps


@ps.operator
def double(x):
    return 2 * x


@ps.operator
def pair(a, b):
    return (a, b)


def test_a_chain_by_arrows():
    assert collect(numbers(3) >> double >> double) == [0, 4, 8]


def test_arrow_into_a_tuple_gives_a_tuple_of_flows():
    flows = numbers(3) >> (double, lambda x: -x)
    assert isinstance(flows, tuple)
    assert len(flows) == 2
    assert collect(flows[0]) == [0, 2, 4]
    assert collect(flows[1]) == [0, -1, -2]


def test_a_tuple_of_flows_goes_into_as_many_inputs():
    assert collect(numbers(3) >> (double, lambda x: -x) >> pair) == [(0, 0), (2, -1), (4, -2)]


def test_a_tuple_of_flows_into_one_input_is_a_merge():
    a, b = listed([1, 2], "a"), listed([3, 4], "b")
    assert sorted(collect((a, b) >> double)) == [2, 4, 6, 8]


def test_run_takes_tuples_of_flows():
    seen = []
    ps.run(numbers(2) >> (lambda x: seen.append(x), lambda x: seen.append(-x)))
    assert sorted(seen) == [-1, 0, 0, 1]


def test_calls_nest():
    source = numbers(3)
    assert collect(pair(source, double(source))) == [(0, 0), (1, 2), (2, 4)]


def test_all_that_is_reached_runs_and_nothing_else():
    ran = []

    @ps.operator
    def unreached(x):
        ran.append(x)

    source = numbers(2)
    source >> unreached
    assert collect(source >> double) == [0, 2]
    assert ran == []


def test_several_senders_into_one_port_are_a_fair_merge():
    both_wait = Gate()
    order = []

    @ps.operator(capacity=16)
    def sink(x):
        if not order:
            both_wait.wait()
        order.append(x)

    a = listed([("a", i) for i in range(8)], "a")
    b = listed([("b", i) for i in range(8)], "b")
    flow = a >> sink
    b >> flow
    run = ps.start(flow)
    both_wait.wait_entered()

    # Nothing is taken while the sink waits: both edges fill up before it goes on.
    def depths():
        stats = run.stats()
        return [stats.edges[(name, "out", "sink", "x")].passed for name in "ab"]

    assert eventually(lambda: depths() == [8, 8])
    both_wait.open()
    run.wait()
    names = [name for name, _ in order[2:-2]]
    assert all(x != y for x, y in itertools.pairwise(names))
    assert [i for name, i in order if name == "a"] == list(range(8))


def test_merge_keeps_origins_and_order_of_each():
    seen = []

    @ps.operator
    def look(x):
        seen.append((ps.message().origin.source, ps.message().origin.number, x))

    ps.run(ps.merge(listed([1, 2, 3], "a"), listed([4, 5], "b")) >> look)
    assert sorted(seen) == [("a", 0, 1), ("a", 1, 2), ("a", 2, 3), ("b", 0, 4), ("b", 1, 5)]
    assert [x for _, _, x in seen if x < 4] == [1, 2, 3]


def test_one_output_by_name():
    @ps.operator(outputs=("boxes", "mask"))
    def detect(x):
        return (x, -x)

    found = detect(numbers(3))
    assert collect(found["mask"]) == [0, -1, -2]
    assert collect(pair(found["boxes"], found["mask"])) == [(0, 0), (1, -1), (2, -2)]
    with pytest.raises(ps.GraphError, match="'maks'.*'mask'"):
        found["maks"]


def test_a_flow_is_not_iterated_by_mistake():
    with pytest.raises(TypeError, match=r"ps\.iterate"):
        list(numbers(2))


def test_fan_out_shares_the_object():
    thing = object()
    same = []
    source = listed([thing])
    ps.run(source >> (lambda x: same.append(x), lambda x: same.append(x)))
    assert same[0] is thing
    assert same[1] is thing


def test_unconnected_required_inputs_are_refused():
    with pytest.raises(ps.GraphError, match=r'pair: its input "b" is not connected'):
        ps.run(pair(numbers(1)))


def test_an_optional_input_may_stay_unconnected():
    @ps.operator(optional="b")
    def either(a, b):
        return (a, b)

    assert collect(either(numbers(2))) == [(0, None), (1, None)]


def test_a_missing_input_may_be_sent_later():
    source = numbers(2)
    flow = pair(source)
    assert (double(source) >> flow) is flow
    assert collect(flow) == [(0, 0), (1, 2)]


def test_one_more_sender_has_to_say_where_it_goes():
    source = numbers(1)
    flow = pair(source, source)
    with pytest.raises(ps.GraphError, match=r"all of its inputs \(a, b\) have a sender; use ps.merge"):
        source >> flow


def test_words_about_unknown_inputs_are_refused():
    with pytest.raises(ps.GraphError, match="optional= names an input 'bb'"):
        ps.operator(lambda a, b: a, optional=("bb",))


def test_a_cycle_without_a_first_message_is_refused():
    flow = double(numbers(1))
    again = double(flow)
    again >> flow
    with pytest.raises(ps.GraphError, match=r"double -> double_2 -> double is a cycle with no first message"):
        ps.run(again)


def test_nothing_to_run():
    with pytest.raises(ps.GraphError, match="nothing to run"):
        ps.run()


def test_what_is_no_flow_is_named():
    with pytest.raises(ps.ArgumentTypeError, match="expected a flow, found int"):
        ps.run(3)
    with pytest.raises(ps.ArgumentTypeError, match="found int"):
        numbers(1) >> 3


def test_a_source_takes_nothing():
    @ps.operator
    def source():
        yield 1

    with pytest.raises(ps.GraphError, match="it is a source"):
        numbers(1) >> source


def test_values_of_words_are_checked():
    for words in (
        {"batch": 0},
        {"batch": "2"},
        {"capacity": 0},
        {"policy": "drop"},
        {"order": "out"},
        {"join": "number"},
        {"on_error": "ignore"},
        {"instances": 0},
        {"window": 0},
        {"every_ms": -1},
        {"per": "camera"},
        {"sync": "all"},
        {"isolation": "moon"},
        {"window": 2, "batch": 2},
    ):
        with pytest.raises(ps.GraphError):
            ps.run(ps.operator(lambda x: x, **words)(numbers(1)))


def test_options_of_a_run_are_checked():
    for options in (
        {"workers": 0},
        {"workers": "2"},
        {"streams": "many"},
        {"on_error": "never"},
        {"max_age_ms": -1},
    ):
        with pytest.raises(ps.GraphError):
            ps.run(numbers(1), **options)


@pytest.mark.parametrize("streams", ["chain", "per_operator", "single", "default"])
@pytest.mark.parametrize("workers", [1, 4])
def test_the_same_results_whatever_the_streams_and_workers(streams, workers):
    source = numbers(30)
    flow = pair(double(source), source >> (lambda x: x + 1))
    assert collect(flow, streams=streams, workers=workers) == [(2 * i, i + 1) for i in range(30)]


def test_a_result_larger_than_all_edges_goes_through():
    assert collect(numbers(2000) >> double >> double) == [4 * i for i in range(2000)]


def test_flow_and_operator_say_what_they_are():
    assert repr(numbers(1)) == "<penstock.Flow of numbers>"
    assert "pair(a, b)" in repr(pair)
