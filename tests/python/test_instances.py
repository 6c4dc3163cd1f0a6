"""Several objects at work at once."""

from __future__ import annotations

import random
import threading
import time

import cv2
import numpy as np
import pytest
from graphs import Gate, Meeting, collect, eventually, numbers

import penstock as ps


def test_four_instances_work_at_the_same_time():
    """None of the four gets out before all are in."""
    meeting = Meeting(4)

    @ps.operator(instances=4)
    def together(x):
        meeting.meet()
        return x

    assert collect(together(numbers(8))) == list(range(8))


def test_four_instances_that_sleep_take_the_time_of_one():
    def seconds(instances):
        @ps.operator(instances=instances)
        def nap(x):
            time.sleep(0.02)
            return x

        begun = time.monotonic()
        assert collect(nap(numbers(20))) == list(range(20))
        return time.monotonic() - begun

    assert seconds(4) < 0.6 * seconds(1)


def test_the_instance_that_was_busy_last_gets_the_next_message():
    """Its thread may be awake still."""
    feed, gates, by, arrived = ps.feed(), [Gate(), Gate()], {}, []

    @ps.operator(instances=2)
    class Work:
        def __call__(self, x):
            by[x] = self
            if x < len(gates):
                gates[x].wait()
            return x

    run = ps.start(feed >> Work() >> (lambda x: arrived.append(x)))
    for x, gate in enumerate(gates):
        feed.put(x)
        assert eventually(gate.entered.is_set)
    for x, gate in enumerate(gates):
        gate.open()
        assert eventually(lambda x=x: x in arrived)
    feed.put(2)
    feed.close()
    run.wait()
    assert by[0] is not by[1]
    assert by[2] is by[1]


def test_one_object_is_never_entered_twice_at_once():
    @ps.operator(instances=4)
    class Exclusive:
        def __init__(self):
            self.lock = threading.Lock()

        def __call__(self, x):
            assert self.lock.acquire(blocking=False)
            time.sleep(0)
            self.lock.release()
            return x

    assert len(collect(Exclusive()(numbers(300)))) == 300


def test_order_input_restores_the_order():
    first_waits = Gate()

    @ps.operator(instances=2)
    def work(x):
        if x == 0:
            first_waits.wait()
        if x == 1:
            first_waits.open()
        return x

    assert collect(work(numbers(10))) == list(range(10))


def test_order_arrival_does_not():
    second_out = Gate()
    found = []

    @ps.operator(instances=2, order="arrival")
    def work(x):
        if x == 0:
            second_out.wait()
        return x

    @ps.operator
    def sink(x):
        found.append(x)
        if x == 1:
            second_out.open()

    ps.run(numbers(2) >> work >> sink)
    assert found == [1, 0]


def test_random_delays_keep_the_order():
    rng = random.Random(3)
    delays = [rng.random() * 0.003 for _ in range(200)]

    @ps.operator(instances=5)
    def work(x):
        time.sleep(delays[x])
        return x if x % 3 else None

    assert collect(work(numbers(200))) == [x for x in range(200) if x % 3]


def test_each_instance_has_its_own_thread_and_stream():
    places = set()
    meeting = Meeting(3)

    @ps.operator(instances=3)
    def work(x):
        meeting.meet()
        places.add((threading.get_ident(), ps.current_stream().id))
        return x

    collect(work(numbers(3)))
    assert len(places) == 3
    assert len({thread for thread, _ in places}) == 3
    assert len({stream for _, stream in places}) == 3


def test_a_linear_chain_shares_one_thread():
    threads = []

    @ps.operator
    def note(x):
        threads.append(threading.get_ident())
        return x

    ps.run(numbers(5) >> note >> note >> note)
    assert len(set(threads)) == 1


def test_an_object_that_is_no_function_is_copied_for_each_instance():
    class Stateful:
        def __init__(self):
            self.busy = threading.Lock()
            self.barrier = None

        def __deepcopy__(self, memo):
            return Stateful()

        def __call__(self, x):
            assert self.busy.acquire(blocking=False)
            meeting.meet()
            self.busy.release()
            return x

    meeting = Meeting(2)
    assert collect(ps.operator(Stateful(), instances=2)(numbers(4))) == [0, 1, 2, 3]


def test_python_branches_run_at_the_same_time_once_they_let_go_of_the_gil():
    """Two operators that wait for one another: neither is alone with the thread."""
    meeting = Meeting(2)

    @ps.operator
    def left(x):
        meeting.meet()
        return x

    @ps.operator
    def right(x):
        meeting.meet()
        return x

    source = numbers(3)
    assert sorted(collect(ps.merge(left(source), right(source)))) == [0, 0, 1, 1, 2, 2]


@pytest.mark.slow
def test_an_opencv_chain_uses_both_cores():
    """Three stages of OpenCV work, which it does without the GIL: two of them at a time."""
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        image = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), dtype=np.uint8)

        inside, most = set(), []

        @ps.operator
        def blur(x):
            inside.add(threading.get_ident())
            most.append(len(inside))
            result = cv2.GaussianBlur(x, (31, 31), 9)
            inside.discard(threading.get_ident())
            return result

        @ps.operator
        def frames():
            for _ in range(24):
                yield image

        collect(frames() >> blur >> blur >> blur)
    finally:
        cv2.setNumThreads(threads_before)
    assert max(most) >= 2
    assert sum(count >= 2 for count in most) > len(most) / 3


def test_a_slow_instance_holds_at_most_its_own_message():
    """Back-pressure: a source waits when all instances are busy and the edges are full."""
    gate = Gate()
    made = []

    @ps.operator
    def source():
        for i in range(100):
            made.append(i)
            yield i

    @ps.operator(instances=2, capacity=4)
    def stuck(x):
        gate.wait()
        return x

    run = ps.start(stuck(source()))
    gate.wait_entered()
    assert eventually(lambda: run.stats().edges[("source", "out", "stuck", "x")].depth == 4)
    time.sleep(0.05)
    assert len(made) <= 12
    gate.open()
    run.wait()
    assert len(made) == 100


def test_a_block_around_yields_is_left_in_between_and_entered_again():
    stream, seen = ps.Stream("cpu"), []

    @ps.operator
    def source():
        own = ps.current_stream("cpu")
        with stream:
            for number in range(200):
                seen.append(ps.current_stream("cpu"))
                yield number
        seen.append(ps.current_stream("cpu"))
        assert seen[-1] is not stream
        assert seen[-1] == own

    @ps.operator
    def work(x):
        assert ps.current_stream("cpu") != stream
        return x

    assert collect(work(source()), device="cpu") == list(range(200))
    assert seen[:-1] == [stream] * 200


def test_a_block_around_yields_ends_with_the_run():
    left = []

    @ps.operator
    def source():
        with ps.Stream("cpu") as stream:
            try:
                while True:
                    yield 1
            finally:
                left.append(ps.current_stream("cpu") == stream)

    running = ps.iterate(source(), device="cpu")
    assert next(running) == 1
    running.close()
    assert left == [True]
    assert ps.current_stream("cpu") is None
