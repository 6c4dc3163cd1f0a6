"""What a run counts."""

from __future__ import annotations

import time

import pytest
from graphs import Gate, eventually, numbers

import penstock as ps


@ps.operator
def work(x):
    time.sleep(0.002)
    return x


@ps.operator
def sink(x):
    pass


def test_operators():
    stats = ps.run(numbers(20) >> work >> sink)
    one = stats.operators["work"]
    assert one.activations == 20
    assert one.rate > 0
    assert 0 < one.busy <= 1.5
    assert 0.002 <= one.p50 <= one.p99
    assert one.skipped == 0
    assert one.last_error is None


def test_edges():
    stats = ps.run(numbers(20) >> work >> sink)
    edge = stats.edges[("numbers", "out", "work", "x")]
    assert edge.passed == 20
    assert edge.capacity == 4
    assert edge.depth == 0
    assert 0 <= edge.fill <= 1
    assert (edge.dropped, edge.unpaired, edge.copies) == (0, 0, 0)
    assert set(stats.edges) == {("numbers", "out", "work", "x"), ("work", "out", "sink", "x")}


def test_latency():
    stats = ps.run(numbers(20) >> work >> sink)
    latency = stats.latency("numbers", "sink")
    assert latency.count == 20
    assert 0.002 <= latency.p50 <= latency.p99
    with pytest.raises(ps.GraphError, match="'sikn'.*'sink'"):
        stats.latency("numbers", "sikn")


def test_they_are_mappings_too():
    stats = ps.run(numbers(3) >> sink)
    assert stats["operators"]["sink"]["activations"] == 3
    assert "p99" in dict(stats.operators["sink"])
    assert set(stats) == {"seconds", "operators", "edges", "latencies"}
    assert len(stats.edges[("numbers", "out", "sink", "x")]) == 8
    with pytest.raises(KeyError, match=r"'snik'.*'sink'"):
        stats.operators["snik"]
    with pytest.raises(KeyError):
        stats["nothing"]
    assert "sink: 3 runs" in repr(stats)


def test_they_are_live():
    gate = Gate()

    @ps.operator
    def waits(x):
        if x == 2:
            gate.wait()

    run = ps.start(numbers(5) >> waits)
    gate.wait_entered()
    assert run.stats().operators["waits"].activations == 2
    gate.open()
    assert run.wait().operators["waits"].activations == 5
    assert run.stats().operators["waits"].activations == 5


def test_how_long_a_sender_waited_for_room():
    gate = Gate()

    @ps.operator
    def slow(x):
        gate.wait()

    run = ps.start(numbers(20) >> work >> slow)
    edge = ("work", "out", "slow", "x")
    assert run.stats().edges[edge].blocked < 1
    gate.wait_entered()
    assert eventually(lambda: run.stats().edges[edge].depth == 4)
    before = run.stats()
    time.sleep(0.1)
    after = run.stats()
    waited = after.edges[edge].blocked * after.seconds - before.edges[edge].blocked * before.seconds
    assert waited > 0.05
    gate.open()
    stats = run.wait()
    assert 0 < stats.edges[edge].blocked < 1
    assert stats.edges[edge].blocked == run.stats().edges[edge].blocked


def test_a_body_that_still_runs_counts_as_busy():
    gate = Gate()

    @ps.operator
    def slow(x):
        gate.wait()

    run = ps.start(numbers(1) >> slow)
    gate.wait_entered()
    time.sleep(0.1)
    stats = run.stats()
    assert stats.operators["slow"].activations == 0
    assert stats.operators["slow"].busy * stats.seconds >= 0.1
    gate.open()
    run.wait()


def test_who_shares_a_thread():
    @ps.operator
    def first(x):
        return x

    @ps.operator(instances=3)
    def three(x):
        return x

    stats = ps.run(numbers(2) >> first >> three >> sink)
    lanes = {name: one.lanes for name, one in stats.operators.items()}
    assert lanes["numbers"] == lanes["first"] == lanes["sink"] == (0,)
    assert sorted(lanes["three"]) == [1, 2, 3]
    assert stats.workers >= 1


def test_the_plan_can_be_read():
    run = ps.start(numbers(1) >> sink)
    run.wait()
    assert "numbers" in run.plan()
    assert "sink" in run.plan()
