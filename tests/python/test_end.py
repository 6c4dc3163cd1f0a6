"""How runs end: by themselves, by stop(), by a deadlock that is found."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest
from graphs import Gate, collect, eventually, listed, numbers
from helpers import check_python

import penstock as ps


@ps.operator
def forever():
    number = 0
    while True:
        yield number
        number += 1


def test_count_ends_an_operator_and_its_senders():
    made = []

    @ps.operator
    def source():
        for i in range(10_000):
            made.append(i)
            yield i

    assert collect(ps.operator(lambda x: x, count=3)(source())) == [0, 1, 2]
    assert len(made) < 10_000


def test_count_on_a_source():
    assert collect(forever(count=4)) == [0, 1, 2, 3]


def test_an_operator_ends_when_a_required_input_has():
    @ps.operator
    def pair(a, b):
        return (a, b)

    assert collect(pair(numbers(3), forever())) == [(0, 0), (1, 1), (2, 2)]


def test_an_optional_input_that_ends_does_not_end_it():
    @ps.operator(optional="b")
    def pair(a, b):
        return (a, b)

    assert collect(pair(numbers(4), numbers(2))) == [(0, 0), (1, 1), (2, None), (3, None)]


def test_stop_ends_the_sources_and_drains_the_rest():
    gate = Gate()
    made, seen = [], []

    @ps.operator
    def source():
        number = 0
        while True:
            made.append(number)
            yield number
            number += 1

    @ps.operator
    def sink(x):
        gate.wait()
        seen.append(x)

    run = ps.start(source() >> sink)
    gate.wait_entered()
    run.stop()
    gate.open()
    run.wait()
    assert seen == made[: len(seen)]
    assert len(made) - len(seen) <= 1  # one may have been made and not emitted when the source ended


def test_stop_twice_and_after_the_end():
    run = ps.start(numbers(2))
    run.wait()
    run.stop()
    run.stop()
    assert run.is_over


def test_wait_with_a_timeout():
    gate = Gate()

    @ps.operator
    def sink(x):
        gate.wait()

    run = ps.start(numbers(1) >> sink)
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.05)
    gate.open()
    assert run.wait(timeout=20).operators["sink"].activations == 1


def test_wait_raises_each_time():
    @ps.operator
    def failing(x):
        raise ValueError("no")

    run = ps.start(numbers(1) >> failing)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            run.wait()


def test_a_run_as_a_context_manager_is_stopped_at_the_end():
    seen = threading.Event()

    @ps.operator
    def sink(x):
        seen.set()

    with ps.start(forever() >> sink) as run:
        assert seen.wait(20)
    assert run.is_over


def test_an_exception_in_the_block_goes_first():
    @ps.operator
    def failing(x):
        raise ValueError("of the run")

    with pytest.raises(KeyError, match="of the block"), ps.start(numbers(1) >> failing):
        raise KeyError("of the block")


def test_awaiting_a_run():
    async def main():
        stats = await ps.start(numbers(5) >> (lambda x: x))
        assert stats.operators["lambda"].activations == 5
        many = await asyncio.gather(*(ps.start(numbers(3), numbers(2)) for _ in range(5)))
        assert len(many) == 5

        @ps.operator
        def failing(x):
            raise ValueError("awaited")

        with pytest.raises(ValueError, match="awaited"):
            await ps.start(numbers(1) >> failing)

    asyncio.run(main())


def test_the_loop_goes_on_while_a_run_is_awaited():
    gate = Gate()

    @ps.operator
    def sink(x):
        gate.wait()

    async def main():
        run = ps.start(numbers(1) >> sink)
        task = asyncio.ensure_future(run)
        await asyncio.sleep(0.01)
        assert not task.done()
        gate.open()
        await task

    asyncio.run(main())


def test_a_deadlock_is_found_within_a_second_and_says_who_waits_for_whom():
    @ps.operator(join="position", capacity=2)
    def pair(a, b):
        return (a, b)

    @ps.operator
    def after_ten(x):
        return x if x >= 10 else None

    source = numbers(40)
    begun = time.monotonic()
    with pytest.raises(ps.DeadlockError) as info:
        collect(pair(source, after_ten(source)))
    assert time.monotonic() - begun < 1.0
    text = str(info.value)
    assert 'pair waits for a message on "b" from after_ten' in text
    assert "numbers waits for room in its edge to pair.a" in text


def test_a_message_that_never_comes_where_nothing_can_go_on():
    """A feed that is open is something outside that may go on: no deadlock."""
    feed = ps.feed()

    @ps.operator
    def pair(a, b):
        return (a, b)

    run = ps.start(pair(feed, numbers(3)))
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.5)
    feed.close()
    run.wait(timeout=20)


def test_a_clock_is_no_deadlock():
    @ps.operator(every_ms=300, count=2)
    def tick():
        return time.monotonic()

    first, second = collect(tick())
    assert second - first >= 0.29


def test_ready_is_asked_again():
    asked = []

    def ready():
        asked.append(1)
        return len(asked) > 5

    assert collect(ps.operator(lambda x: x, ready=ready, name="shy")(numbers(2))) == [0, 1]
    assert len(asked) > 5


def test_a_slow_sink_holds_up_its_source():
    """A full queue waits: nothing is lost, nothing fails, and the source is never far ahead."""
    made, ahead = [], []

    @ps.operator
    def source():
        for i in range(300):
            made.append(i)
            yield i

    @ps.operator
    def sink(x):
        ahead.append(len(made) - x)
        time.sleep(0.0002)

    stats = ps.run(source() >> sink)
    assert len(ahead) == 300
    assert max(ahead) <= 8
    assert stats.edges[("source", "out", "sink", "x")].dropped == 0


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_policies_that_drop_count_it(policy):
    gate = Gate()
    seen = []

    @ps.operator
    def source():
        for i in range(20):
            if i == 19:
                gate.open()
            yield i

    @ps.operator(policy=policy, capacity=2)
    def sink(x):
        gate.wait()
        seen.append(x)

    stats = ps.run(source() >> sink)
    edge = stats.edges[("source", "out", "sink", "x")]
    assert edge.dropped + len(seen) == 20
    if policy == "drop_oldest":
        assert seen[-1] == 19


def test_messages_that_are_too_old_are_dropped():
    gate = Gate()
    seen = []

    @ps.operator(max_age_ms=50, capacity=8)
    def sink(x):
        if x == 0:
            gate.wait()
        seen.append(x)

    run = ps.start(numbers(5) >> sink)
    gate.wait_entered()
    assert eventually(lambda: run.stats().edges[("numbers", "out", "sink", "x")].passed == 5)
    time.sleep(0.06)
    gate.open()
    stats = run.wait()
    assert seen == [0]
    assert stats.edges[("numbers", "out", "sink", "x")].dropped == 4


def test_max_age_of_a_run():
    gate = Gate()

    @ps.operator(capacity=8)
    def sink(x):
        if x == 0:
            gate.wait()

    run = ps.start(numbers(5) >> sink, max_age_ms=50)
    gate.wait_entered()
    assert eventually(lambda: run.stats().edges[("numbers", "out", "sink", "x")].passed == 5)
    time.sleep(0.06)
    gate.open()
    assert run.wait().edges[("numbers", "out", "sink", "x")].dropped == 4


def test_a_run_with_nothing_in_it_ends():
    assert collect(numbers(0)) == []
    assert collect(ps.merge(numbers(0), numbers(0))) == []


def test_messages_are_let_go():
    class Thing:
        pass

    references = []

    @ps.operator
    def source():
        for _ in range(20):
            thing = Thing()
            references.append(weakref.ref(thing))
            yield thing

    ps.run(source() >> (lambda x: None))
    gc.collect()
    assert eventually(lambda: all(reference() is None for reference in references), 5.0)


def test_runs_side_by_side():
    runs = [ps.start(numbers(200) >> (lambda x: x) >> (lambda x: x)) for _ in range(8)]
    for run in runs:
        assert run.wait(20).operators["lambda"].activations == 200


def test_exit_with_a_run_in_flight():
    """The interpreter's exit stops what runs, at once where it can, and never crashes."""
    printed = check_python("""
        import penstock as ps, time
        @ps.operator
        def forever():
            while True:
                yield 1
        @ps.operator
        def sink(x):
            time.sleep(0.001)
        run = ps.start(forever() >> sink)
        time.sleep(0.1)
        print("leaves")
    """)
    assert printed.strip() == "leaves"


def test_exit_with_an_operator_that_never_returns():
    begun = time.monotonic()
    check_python("""
        import penstock as ps, threading
        entered = threading.Event()
        @ps.operator
        def stuck(x):
            entered.set()
            threading.Event().wait()
        @ps.operator
        def source():
            yield 1
        run = ps.start(source() >> stuck)
        assert entered.wait(20)
    """)
    assert time.monotonic() - begun < 8


def test_many_sources_and_one_sink():
    found = collect(ps.merge(*(listed(range(20), f"source{i}") for i in range(16))))
    assert sorted(found) == sorted([*range(20)] * 16)
