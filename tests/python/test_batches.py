"""Batches: lists of 1 to n, when they go, and what comes back."""

from __future__ import annotations

import time

import pytest
from graphs import Gate, collect, collect_with_stats, eventually, listed, numbers

import penstock as ps


def test_a_full_batch_goes():
    sizes = []

    @ps.operator(batch=4, max_delay_ms=60_000, capacity=16)
    def batched(xs):
        assert isinstance(xs, list)
        sizes.append(len(xs))
        return [10 * x for x in xs]

    assert collect(batched(numbers(12))) == [10 * i for i in range(12)]
    assert sizes == [4, 4, 4]


def test_what_is_left_goes_at_the_end():
    sizes = []

    @ps.operator(batch=4, max_delay_ms=60_000, capacity=16)
    def batched(xs):
        sizes.append(len(xs))
        return xs

    assert collect(batched(numbers(6))) == list(range(6))
    assert sizes == [4, 2]


def test_without_a_delay_a_batch_goes_with_what_waits():
    gate = Gate()
    sizes = []

    @ps.operator(batch=8, capacity=16)
    def batched(xs):
        sizes.append(len(xs))
        if len(sizes) == 1:
            gate.wait()
        return xs

    feed = ps.feed(16)
    run = ps.start(batched(feed))
    feed.put(0)
    gate.wait_entered()
    for i in range(1, 6):
        feed.put(i)
    assert eventually(lambda: run.stats().edges[("feed", "out", "batched", "xs")].passed == 6)
    gate.open()
    feed.close()
    run.wait()
    assert sizes == [1, 5]


def test_a_batch_goes_when_its_oldest_is_old_enough():
    went = []

    @ps.operator(batch=8, max_delay_ms=30)
    def batched(xs):
        went.append((len(xs), time.monotonic()))
        return xs

    feed = ps.feed()
    with ps.start(batched(feed)):
        begun = time.monotonic()
        feed.put(1)
        assert eventually(lambda: went)
        feed.close()
    assert went[0][0] == 1
    assert went[0][1] - begun >= 0.029


def test_a_batch_is_of_all_senders_and_each_item_keeps_its_origin():
    seen = []

    @ps.operator(batch=4, max_delay_ms=60_000)
    def batched(xs):
        origins = ps.message().origin
        assert isinstance(origins, list)
        assert [(o.source, o.number) for o in origins] == [tuple(x) for x in xs]
        return xs

    @ps.operator
    def look(x):
        seen.append(((ps.message().origin.source, ps.message().origin.number), x))

    a = listed([("a", i) for i in range(4)], "a")
    b = listed([("b", i) for i in range(4)], "b")
    ps.run(batched([a, b]) >> look)
    assert len(seen) == 8
    assert all(origin == x for origin, x in seen)


def test_none_emits_nothing_for_its_item():
    @ps.operator(batch=3, max_delay_ms=60_000)
    def batched(xs):
        return [x if x % 2 else None for x in xs]

    @ps.operator(optional="b")
    def pair(a, b):
        return (a, b)

    source = numbers(6)
    assert collect(pair(source, batched(source))) == [(i, i if i % 2 else None) for i in range(6)]


@pytest.mark.parametrize("result", [lambda xs: xs[:-1], lambda xs: [*xs, 0], lambda xs: len(xs), lambda xs: None])
def test_another_length_is_an_error(result):
    batched = ps.operator(result, batch=2, max_delay_ms=60_000, name="batched")
    with pytest.raises(ps.GraphError, match="batched: with batch= the result is a list of the same length"):
        collect(batched(numbers(4)))


def test_one_bad_item_fails_alone():
    calls = []

    @ps.operator(batch=4, max_delay_ms=60_000, on_error="skip")
    def batched(xs):
        calls.append(list(xs))
        if 2 in xs:
            raise ValueError("two")
        return xs

    found, stats = collect_with_stats(batched(numbers(4)))
    assert found == [0, 1, 3]
    assert calls == [[0, 1, 2, 3], [0], [1], [2], [3]]
    assert stats.operators["batched"].skipped == 1
    assert isinstance(stats.operators["batched"].last_error, ValueError)


def test_a_bad_item_raises_as_itself():
    @ps.operator(batch=4, max_delay_ms=60_000)
    def batched(xs):
        if 2 in xs:
            raise ValueError("two")
        return xs

    with pytest.raises(ValueError, match="two") as info:
        collect(batched(numbers(4)))
    assert any("numbers #2" in note for note in info.value.__notes__)


def test_several_inputs_come_as_one_list_each():
    sizes = []

    @ps.operator(batch=3, max_delay_ms=60_000)
    def batched(xs, ys):
        assert len(xs) == len(ys)
        sizes.append(len(xs))
        return [(x, y) for x, y in zip(xs, ys, strict=True)]

    source = numbers(7)
    assert collect(batched(source, source >> (lambda x: -x))) == [(i, -i) for i in range(7)]
    assert sizes == [3, 3, 1]


def test_several_outputs_of_a_batch():
    @ps.operator(batch=2, max_delay_ms=60_000, outputs=("a", "b"))
    def batched(xs):
        return [(x, None) if x % 2 else {"b": x} for x in xs]

    flow = batched(numbers(4))
    assert collect(flow["a"]) == [1, 3]
    assert collect(batched(numbers(4))["b"]) == [0, 2]


def test_batches_by_several_instances_keep_the_order():
    @ps.operator(batch=3, instances=3)
    def batched(xs):
        return xs

    assert collect(batched(numbers(100))) == list(range(100))


def test_the_explicit_form_gets_and_emits_lists():
    class Batched(ps.Operator):
        def setup(self, spec):
            spec.input("in")
            spec.output("out")

        def compute(self, inputs, outputs, context):
            xs = inputs.receive("in")
            assert isinstance(xs, list)
            outputs.emit([x + 1 for x in xs], "out")

    assert collect(Batched(batch=4)(numbers(10))) == list(range(1, 11))
