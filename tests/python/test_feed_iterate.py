"""The ends of a graph that a program holds."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from graphs import Gate, eventually, numbers

import penstock as ps


def test_what_is_put_comes_out_in_order():
    feed = ps.feed()
    found = []

    def program():
        for i in range(50):
            feed.put(i)
        feed.close()

    thread = threading.Thread(target=program)
    thread.start()
    ps.run(feed >> (lambda x: found.append(x)))
    thread.join()
    assert found == list(range(50))


def test_messages_may_be_put_before_the_run():
    feed = ps.feed(capacity=8)
    for i in range(5):
        feed.put(i)
    feed.close()
    assert list(ps.iterate(feed)) == [0, 1, 2, 3, 4]


def test_a_full_feed_is_a_timeout():
    feed = ps.feed(capacity=2)
    feed.put(1)
    feed.put(2, timeout=0)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        feed.put(3, timeout=0.05)
    assert time.monotonic() - begun >= 0.05
    with pytest.raises(TimeoutError):
        feed.put(3, timeout=0)


def test_put_waits_for_room():
    feed = ps.feed(capacity=1)
    gate = Gate()
    found = []

    @ps.operator(capacity=1)
    def sink(x):
        if x == 0:
            gate.wait()
        found.append(x)

    run = ps.start(feed >> sink)
    feed.put(0)
    gate.wait_entered()
    threading.Timer(0.05, gate.open).start()
    for i in range(1, 10):
        feed.put(i, timeout=20)
    feed.close()
    run.wait(20)
    assert found == list(range(10))


def test_a_closed_feed_takes_nothing():
    feed = ps.feed()
    feed.close()
    with pytest.raises(ps.Error, match="close"):
        feed.put(1)
    feed.close()
    assert list(ps.iterate(feed)) == []


def test_putting_into_a_run_that_is_over():
    feed = ps.feed()
    run = ps.start(feed >> (lambda x: x))
    run.stop()
    run.wait(20)
    with pytest.raises(ps.Error, match="over"):
        feed.put(1)


def test_a_put_that_waits_is_woken_when_the_run_fails():
    feed = ps.feed(capacity=1)
    gate = Gate()

    @ps.operator(capacity=1)
    def failing(x):
        gate.wait()
        raise ValueError("no")

    run = ps.start(feed >> failing)
    feed.put(0)
    gate.wait_entered()
    threading.Timer(0.05, gate.open).start()

    def put_on():
        for i in range(1, 10):
            feed.put(i, timeout=20)

    with pytest.raises(ps.Error):
        put_on()
    with pytest.raises(ValueError, match="no"):
        run.wait(20)


def test_several_threads_put():
    feed = ps.feed()
    found = []

    def program(first):
        for i in range(100):
            feed.put((first, i))

    run = ps.start(feed >> (lambda x: found.append(x)))
    threads = [threading.Thread(target=program, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.close()
    run.wait(20)
    for n in range(4):
        assert [i for first, i in found if first == n] == list(range(100))


def test_a_feed_as_a_context_manager_closes():
    with ps.feed() as feed:
        feed.put(1)
    assert list(ps.iterate(feed)) == [1]


def test_none_is_no_message():
    with pytest.raises(ps.GraphError, match="None"):
        ps.feed().put(None)


def test_a_feeds_object_stays_the_same():
    feed = ps.feed()
    array = np.zeros(3)
    feed.put(array)
    feed.close()
    (found,) = ps.iterate(feed)
    assert found is array


def test_iterate_gives_all_messages_in_order():
    assert list(ps.iterate(numbers(100) >> (lambda x: x * 2))) == [2 * i for i in range(100)]


def test_iterate_runs_at_most_so_many_ahead():
    made = []

    @ps.operator
    def source():
        for i in range(100):
            made.append(i)
            yield i

    messages = ps.iterate(ps.operator(lambda x: x, capacity=1)(source()), ahead=2)
    assert next(messages) == 0
    time.sleep(0.05)
    # Taken: 1; ahead: 2; in the two edges and in hand: a few.
    assert len(made) <= 16
    messages.close()


def test_leaving_the_loop_stops_the_graph():
    ended = []

    @ps.operator
    def forever():
        try:
            while True:
                yield 1
        finally:
            ended.append(1)

    for number, x in enumerate(ps.iterate(forever())):
        assert x == 1
        if number == 10:
            break
    assert eventually(lambda: ended == [1])


def test_an_exception_in_the_loop_stops_the_graph():
    ended = []

    @ps.operator
    def forever():
        try:
            while True:
                yield 1
        finally:
            ended.append(1)

    def leave():
        for _ in ps.iterate(forever()):
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert eventually(lambda: ended == [1])


def test_what_an_operator_raises_comes_out_of_the_loop():
    @ps.operator
    def failing(x):
        if x == 3:
            raise ValueError("three")
        return x

    with pytest.raises(ValueError, match="three"):
        list(ps.iterate(failing(numbers(10)), ahead=1))


def test_a_wrong_graph_is_refused():
    @ps.operator
    def pair(a, b):
        return a

    with pytest.raises(ps.GraphError, match="not connected"):
        next(ps.iterate(pair(numbers(1))))
    with pytest.raises(ps.GraphError, match="ahead=0"):
        ps.iterate(numbers(1), ahead=0)


def test_iterating_and_feeding_in_one_thread():
    feed = ps.feed(capacity=4)
    messages = ps.iterate(feed >> (lambda x: x + 1))
    feed.put(1)
    assert next(messages) == 2
    feed.put(5)
    assert next(messages) == 6
    feed.close()
    assert list(messages) == []


def test_two_loops_side_by_side():
    a, b = ps.iterate(numbers(5)), ps.iterate(numbers(5))
    assert [x + y for x, y in zip(a, b, strict=True)] == [0, 2, 4, 6, 8]
