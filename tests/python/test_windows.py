"""Sliding windows within a source, and objects for each source."""

from __future__ import annotations

import threading

import pytest
from graphs import collect, listed, numbers

import penstock as ps


def test_the_first_result_comes_after_n():
    @ps.operator(window=3)
    def windows(xs):
        assert isinstance(xs, list)
        return tuple(xs)

    assert collect(windows(numbers(5))) == [(0, 1, 2), (1, 2, 3), (2, 3, 4)]


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_stride(stride):
    @ps.operator(window=3, stride=stride)
    def windows(xs):
        return tuple(xs)

    assert collect(windows(numbers(12))) == [(i, i + 1, i + 2) for i in range(0, 10, stride)]


def test_what_is_left_at_the_end_is_dropped():
    @ps.operator(window=4)
    def windows(xs):
        return tuple(xs)

    assert collect(windows(numbers(3))) == []


def test_a_window_lies_within_one_source():
    @ps.operator(window=2)
    def windows(xs):
        return tuple(xs)

    flow = ps.merge(listed("abc", "letters"), listed([1, 2, 3], "digits"))
    found = collect(windows(flow))
    assert sorted(map(str, found)) == sorted(map(str, [("a", "b"), ("b", "c"), (1, 2), (2, 3)]))


def test_a_window_has_its_newest_inputs_origin_and_gaps_before():
    @ps.operator(window=3, stride=2)
    def windows(xs):
        return tuple(xs)

    @ps.operator(optional="window")
    def beside(x, window):
        return (x, window, ps.message().origin.number)

    source = numbers(6)
    assert collect(beside(source, windows(source))) == [
        (0, None, 0),
        (1, None, 1),
        (2, (0, 1, 2), 2),
        (3, None, 3),
        (4, (2, 3, 4), 4),
        (5, None, 5),
    ]


def test_per_source_has_an_object_and_an_order_for_each():
    seen = {}

    @ps.operator(per="source")
    class Counter:
        def __init__(self):
            self.count = 0
            self.sources = set()

        def __call__(self, x):
            self.sources.add(ps.message().origin.source)
            assert len(self.sources) == 1
            self.count += 1
            seen.setdefault(ps.message().origin.source, []).append((self.count, x))
            return x

    flow = ps.merge(listed(range(10), "a"), listed(range(20), "b"), listed(range(5), "c"))
    assert len(collect(Counter()(flow))) == 35
    assert seen == {name: [(i + 1, i) for i in range(count)] for name, count in (("a", 10), ("b", 20), ("c", 5))}


def test_sources_don_t_wait_for_one_another():
    """One source's object that is busy does not hold up another's."""
    other_done = threading.Event()

    @ps.operator(per="source")
    def slow(x):
        if x == "wait":
            assert other_done.wait(20)
        else:
            other_done.set()
        return x

    assert sorted(collect(slow(ps.merge(listed(["wait"], "a"), listed(["go"], "b"))))) == ["go", "wait"]
