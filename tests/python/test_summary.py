"""What is said of a run's speed, on real runs: each has one thing that holds it up."""

from __future__ import annotations

import os
import re
import time

import pytest

import penstock as ps
from penstock._command._summary import duration, number, summary


def spin(seconds):
    """Work of this thread; it keeps the GIL."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def camera(count, wait_s=0.0, **words):
    @ps.operator(name="camera", **words)
    def camera():
        for i in range(count):
            if wait_s:
                time.sleep(wait_s)
            yield i

    return camera()


def op(name, wait_s=0.0, work_s=0.0, **words):
    @ps.operator(name=name, **words)
    def body(x):
        if wait_s:
            time.sleep(wait_s)
        if work_s:
            spin(work_s)
        return x

    return body


def sink(name="sink", **words):
    return op(name, outputs=(), **words)


def said(flow):
    processor_s = time.process_time()
    stats = ps.run(flow)
    return summary(stats, time.process_time() - processor_s)


def test_the_first_line_says_how_fast_it_was():
    first = said(camera(40, 0.002) >> sink())[0]
    assert "sink ran 40 times" in first
    assert " a second · camera to sink in " in first


def test_a_slow_source_sets_the_pace():
    lines = said(camera(60, 0.005) >> op("work", wait_s=0.001) >> sink())
    assert lines[1].startswith("camera sets the pace: it gives ")
    assert re.search(r"its output is (never full|full \d % of the time)\.", lines[1])
    assert "The busiest of the others is work, " in lines[1]
    assert len(lines) == 2


def test_a_slow_operator_in_the_middle():
    lines = said(camera(80) >> op("work", wait_s=0.005) >> sink())
    assert lines[1].startswith("work is the bottleneck: busy ")
    assert "its input full" in lines[1]
    assert re.search(r"its output (never|\d % of it) full", lines[1])
    assert lines[1].endswith("cores): give it instances=2.")


def test_the_advice_is_true():
    """Instances of what lets go of the GIL make it faster."""
    alone = ps.run(camera(60) >> op("work", wait_s=0.005) >> sink()).seconds
    four = ps.run(camera(60) >> op("work", wait_s=0.005, instances=4) >> sink()).seconds
    assert four < 0.6 * alone


def test_a_slow_sink():
    lines = said(camera(80) >> op("work", wait_s=0.001) >> sink(wait_s=0.005))
    assert lines[1].startswith("sink is the bottleneck: busy ")
    assert "its input full" in lines[1]
    assert "output" not in lines[1]


def test_of_two_that_are_full_the_last_is_named():
    lines = said(camera(80) >> op("first", wait_s=0.003) >> op("second", wait_s=0.012) >> sink())
    assert lines[1].startswith("second is the bottleneck")


def test_a_source_that_is_paced():
    lines = said(camera(20, every_ms=20) >> op("work", wait_s=0.001) >> sink())
    said_rate = re.fullmatch(r"Nothing is busy: camera gives (.*) a second, and all of it gets through\.", lines[1])
    assert 20 < float(said_rate[1]) < 60


def test_a_live_source_whose_messages_are_dropped():
    lines = said(camera(80, 0.003) >> op("work", wait_s=0.012, policy="drop_oldest") >> sink())
    assert lines[1].startswith("work is the bottleneck")
    assert "its input" not in lines[1]
    (loss,) = [line for line in lines[2:] if "dropped" in line]
    assert loss.startswith("camera to work: ")
    assert " of 80 messages were dropped: work is busy " in loss


def test_operators_that_share_one_python_thread():
    for _ in range(4):  # a body that the system stops for long looks free of the GIL, and gets a thread
        lines = said(camera(60) >> op("a", work_s=0.002) >> op("b", work_s=0.002) >> sink("c", work_s=0.0015))
        if "take turns" in lines[1]:
            break
    assert "take turns on one Python thread, which they fill (" in lines[1]
    for name in "ab":
        assert f"{name} " in lines[1].split("(")[1]


def test_an_operator_that_keeps_the_gil():
    lines = said(camera(40) >> op("work", work_s=0.005) >> sink())
    assert lines[1].startswith("work is the bottleneck")
    assert "instances=2 helps if it lets go of the GIL" in lines[1]


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core")
def test_instances_that_wait_for_the_gil():
    lines = said(camera(60) >> op("work", work_s=0.01, instances=4) >> sink())
    assert lines[1].startswith("work is the bottleneck")
    assert "the GIL" in lines[1]


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core")
def test_operators_that_wait_for_the_gil():
    lines = said(camera(60) >> op("one", work_s=0.005, instances=2) >> op("two", work_s=0.005, instances=2) >> sink())
    assert "one" in lines[1]
    assert "two" in lines[1]
    assert "the GIL" in lines[1]


def test_instances_that_sleep_do_not_wait_for_the_gil():
    lines = said(camera(200) >> op("work", wait_s=0.01, instances=4) >> sink())
    assert lines[1].startswith("work is the bottleneck, each of 4 instances")
    assert lines[1].endswith("or try instances=5.")


def test_short_work():
    lines = said(camera(200_000) >> op("a") >> op("b") >> sink())
    assert lines[1].startswith("The work on a message is so short")


def test_unpaired_messages_are_told():
    def halves(x):
        return x if x % 2 else None

    source = camera(20, 0.005)
    both = ps.operator(lambda a, b: None, name="both")
    lines = said(both(source >> ps.operator(halves, name="halves"), source))
    assert any(line.endswith("discarded at both: their partners did not come.") for line in lines)


def test_copies_and_exceptions_are_told():
    @ps.operator(on_error="skip")
    def fails(x):
        if int(x[0]) % 2:
            raise ValueError("odd")
        return x

    @ps.operator
    def arrays():
        import numpy as np

        for i in range(20):
            time.sleep(0.005)
            yield np.full(4, i)

    @ps.operator(writes=("x",))
    def writer(x):
        x[:] = 0

    source = arrays()
    lines = said_of_all(source >> fails >> sink(), source >> writer)
    assert any("messages were copied: writer writes into" in line for line in lines)
    assert "fails: 10 exceptions were passed over, the last: ValueError: odd" in lines


def said_of_all(*flows):
    return summary(ps.run(*flows))


def test_a_run_that_is_too_short_names_nothing():
    assert len(said(camera(1) >> sink())) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.34, "12.3 s"), (0.0123, "12.3 ms"), (0.001, "1 ms"), (2.5e-6, "2.5 us"), (3e-8, "30 ns"), (1234, "1,234 s")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (12.34, "12.3"), (1234.5, "1,234"), (2.5e6, "2.5 M")])
def test_numbers(value, text):
    assert number(value) == text
