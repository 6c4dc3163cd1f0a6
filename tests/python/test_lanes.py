"""Lanes: the threads of Python operators, how they get work, and how the GIL goes from one to the next."""

from __future__ import annotations

import hashlib
import statistics
import sys
import threading
import time

import numpy as np
import pytest
from graphs import collect, eventually, numbers

import penstock as ps
from penstock import _core

FREE_WORK = bytes(60_000)


@pytest.fixture
def patient_python():
    """A thread that keeps the GIL is asked for it after ten seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(before)


def busy():
    """Some microseconds of Python that keep the GIL."""
    for _ in range(800):
        pass


def seen_meanwhile(count):
    """How many messages a sink on a lane of its own has seen when a source that keeps the GIL has made its last."""
    seen = []
    seen_at_the_end = []

    @ps.operator(capacity=count)
    def source():
        yield 0
        hashlib.sha256(FREE_WORK)  # free of the GIL: the other lane comes, and is awake from now on
        for i in range(1, count):
            busy()
            yield i
        seen_at_the_end.append(len(seen))

    @ps.operator(instances=2, capacity=count)
    def sink(x):
        seen.append(x)

    ps.run(sink(source()))
    assert sorted(seen) == list(range(count))
    return seen_at_the_end[0]


def test_the_gil_goes_to_the_lane_that_has_work(patient_python):
    """Without that the other lane gets it when the source has ended, or after ten seconds."""
    assert statistics.median(seen_meanwhile(2_000) for _ in range(9)) > 10


@pytest.mark.parametrize("interval_s", [1e-6, 0.005, 10])
def test_the_gil_goes_round(interval_s):
    """Many lanes of short Python operators, some of which give up the GIL, and nothing is lost or out of order."""
    before, working = sys.getswitchinterval(), _core._working_lanes()
    sys.setswitchinterval(interval_s)

    @ps.operator(instances=4, capacity=3)
    def short(x):
        return x

    @ps.operator(instances=3, capacity=2)
    def free(x):
        hashlib.sha256(FREE_WORK[: 4_000 * (x % 3)])
        return x

    @ps.operator(instances=2, capacity=4)
    def long(x):
        busy()
        return x

    try:
        assert collect(long(free(short(numbers(3_000))))) == list(range(3_000))
    finally:
        sys.setswitchinterval(before)
    assert eventually(lambda: _core._working_lanes() <= working), "each change of the count is undone"


def test_posts_from_many_threads():
    """Threads put messages into feeds of one run, whose lanes fall asleep and are woken all the time."""
    count, feeds = 2_000, [ps.feed(capacity=4) for _ in range(6)]
    found = [[] for _ in feeds]

    def keep(into):
        def kept(x):
            into.append(x)

        return kept

    @ps.operator(instances=2)
    def pass_on(x):
        return x

    def program(feed):
        for i in range(count):
            feed.put(i)
        feed.close()

    threads = [threading.Thread(target=program, args=(feed,)) for feed in feeds]
    for thread in threads:
        thread.start()
    ps.run(*(pass_on(feed) >> keep(into) for feed, into in zip(feeds, found, strict=True)))
    for thread in threads:
        thread.join()
    assert found == [list(range(count))] * len(feeds)


@pytest.mark.parametrize("rest", [lambda: None, lambda: time.sleep(0.001)], ids=["busy", "asleep"])
@pytest.mark.parametrize("between", [False, True], ids=["python", "c++"])
def test_a_body_may_wait_for_what_comes_of_its_last_message(rest, between):
    """Also with the GIL, and on the thread that the next operator runs on as well."""
    answers = []
    in_time = []

    @ps.operator
    def ask():
        for i in range(40):
            yield np.full((2, 2, 3), i, np.uint8)
            deadline = time.monotonic() + 60
            while len(answers) <= i and time.monotonic() < deadline:
                rest()
            in_time.append(len(answers) > i)

    @ps.operator
    def answer(image):
        answers.append(int(ps.as_tensor(image).numpy()[0, 0, 0]))

    asked = ask()
    ps.run(answer(ps.resize(asked, (1, 1)) if between else asked))
    assert answers == list(range(40))
    assert all(in_time)
