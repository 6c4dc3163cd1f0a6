"""Streams and events: what they are, waits between them, and the current stream."""

import copy
import ctypes
import gc
import pickle
import threading

import numpy as np
import pytest
from helpers import PATIENCE_S, SCALE, Gate, check_python, eventually, host, in_thread

import penstock as ps

FIRST = 1 << 62


def test_a_stream_is_an_int():
    stream = host()
    assert isinstance(stream, int)
    assert stream == FIRST + stream.id == stream.handle == int(stream)
    assert hash(stream) == hash(FIRST + stream.id)
    assert {int(stream): "x"}[stream] == "x"
    assert ctypes.c_void_p(stream).value == FIRST + stream.id
    assert bool(stream)
    assert stream.device == "cpu"
    assert repr(stream) == f"<penstock.Stream {stream.id} on cpu>"


def test_ids_are_never_used_twice():
    ids = set()
    for _ in range(500):
        stream = host()
        assert stream.id not in ids
        ids.add(stream.id)


@pytest.mark.parametrize("name", ["id", "handle", "device"])
def test_attributes_are_read_only(name):
    with pytest.raises(AttributeError):
        setattr(host(), name, 1)


def test_only_gpu_streams_speak_cudas_protocol():
    assert not hasattr(host(), "__cuda_stream__")


def test_copies_are_the_stream_and_pickles_are_refused():
    stream = host()
    assert copy.copy(stream) is stream
    assert copy.deepcopy(stream) is stream
    assert copy.deepcopy([stream])[0] is stream
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(ps.StreamError, match="pickled"):
            pickle.dumps(stream, protocol)


def test_a_new_stream_is_idle():
    stream = host()
    assert stream.query() is True
    assert stream.sync() is None
    event = stream.record()
    assert isinstance(event, ps.Event)
    assert event.query() is True
    assert event.sync() is None
    assert event.result() is None


def test_query_and_sync(gate):
    stream = host()
    event = stream.launch(gate)
    assert not stream.query()
    assert not event.query()
    assert not stream.record().query()
    gate.open()
    stream.sync()
    assert stream.query()
    assert event.query()


def test_tasks_of_a_stream_run_in_order():
    stream, seen = host(), []
    for i in range(300):
        stream.launch(seen.append, i)
    stream.sync()
    assert seen == list(range(300))


def test_streams_run_beside_one_another(gate):
    a, b = host(2)
    a.launch(gate)
    assert b.launch(lambda: 3).result() == 3
    assert not a.query()


def test_a_dropped_stream_still_runs_its_work(gate):
    seen = threading.Event()
    stream = host()
    stream.launch(gate)
    stream.launch(seen.set)
    del stream
    gate.open()
    assert seen.wait(PATIENCE_S)


def test_an_event_is_a_moment(gate):
    stream, seen = host(), []
    stream.launch(seen.append, 1)
    early = stream.record()
    stream.launch(gate)
    early.sync()
    assert seen == [1]
    assert not stream.query()


def test_wait_for_a_stream_is_for_what_is_queued_now(gate):
    a, b = host(2)
    late = Gate()
    seen = []
    a.launch(gate)
    a.launch(seen.append, "a")
    b.wait(a)
    a.launch(late)
    event = b.launch(seen.append, "b")
    gate.open()
    event.sync()
    assert seen == ["a", "b"]
    assert not a.query()
    late.open()


def test_wait_for_an_event_and_for_itself(gate):
    a, b = host(2)
    seen = []
    a.launch(gate)
    event = a.launch(seen.append, "a")
    b.wait(event)
    b.wait(b)
    done = b.launch(seen.append, "b")
    assert not done.query()
    gate.open()
    done.sync()
    assert seen == ["a", "b"]


def test_wait_for_a_tensor_is_for_all_its_uses(gate):
    reader, other = host(2)
    x = ps.zeros((4,), "uint8", device="cpu")
    reader.launch(gate, x)
    other.wait(x)
    event = other.launch(lambda: 1)
    assert gate.entered.wait(PATIENCE_S)
    assert not event.query()
    gate.open()
    assert event.result() == 1


@pytest.mark.parametrize("what", [None, 1, "stream", object(), np.zeros(3), FIRST])
def test_wait_takes_nothing_else(what):
    with pytest.raises(ps.ArgumentTypeError, match="no stream, event or tensor"):
        host().wait(what)


def test_a_task_may_not_wait_for_itself():
    stream = host()
    with pytest.raises(ps.StreamError, match="would wait for itself"):
        stream.launch(stream.sync).result()
    with pytest.raises(ps.StreamError, match="would wait for itself"):
        stream.sync()


def test_blocking_waits_inside_of_tasks():
    streams = host(8)

    def deep(level):
        return 0 if level == 0 else 1 + streams[level - 1].launch(deep, level - 1).result()

    assert streams[-1].launch(deep, 7).result() == 7


def test_crossing_waits_of_64_streams():
    streams, seen = host(64), []
    rounds = 10 * SCALE
    for turn in range(rounds):
        for i, stream in enumerate(streams):
            stream.launch(seen.append, (turn, i))
            streams[(i * 7 + turn) % 64].wait(stream)
            stream.wait(streams[(i * 11 + 5) % 64])
    for stream in reversed(streams):
        stream.sync()
    assert len(seen) == 64 * rounds
    for i in range(64):
        assert [turn for turn, of in seen if of == i] == list(range(rounds))


def test_tasks_that_wait_across_64_streams():
    streams = host(64)
    x = ps.zeros((64,), "int64", device="cpu")

    def add(i):
        x.numpy()[i] += 1
        return i

    events = []
    for i, stream in enumerate(streams):
        before = list(events)
        events.append(stream.launch(lambda i, before: (sum(e.result() for e in before[-2:]), add(i))[1], i, before))
    assert [event.result() for event in events] == list(range(64))
    assert x.numpy().tolist() == [1] * 64


def test_threads_share_streams():
    streams, count = host(4), 50 * SCALE
    total = [0] * 4

    def add(i):
        total[i] += 1

    def hammer(seed):
        for n in range(count):
            i = (seed + n) % 4
            event = streams[i].launch(add, i)
            if n % 7 == 0:
                event.result()
            if n % 11 == 0:
                streams[(i + 1) % 4].wait(streams[i])

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stream in streams:
        stream.sync()
    assert sum(total) == 8 * count


def test_with_makes_it_current():
    a, b = host(2)
    assert ps.current_stream("cpu") is None
    with a as entered:
        assert entered is a
        assert ps.current_stream("cpu") == a == ps.current_stream()
        assert ps.current_stream("cpu").id == a.id
        with b:
            assert ps.current_stream() == b
            with a:
                assert ps.current_stream() == a
            assert ps.current_stream() == b
        assert ps.current_stream() == a
    assert ps.current_stream("cpu") is None


def test_with_and_exceptions():
    a, b = host(2)
    with pytest.raises(ValueError, match="out"), a, b:
        raise ValueError("out")
    assert ps.current_stream("cpu") is None


def test_with_is_of_its_thread():
    stream = host()
    with stream:
        assert in_thread(ps.current_stream, "cpu") is None
        assert in_thread(enter_and_ask, host()) is None
        assert ps.current_stream("cpu") == stream


def enter_and_ask(stream):
    with stream:
        assert ps.current_stream("cpu") == stream
    return ps.current_stream("cpu")


def test_leaving_out_of_turn_is_an_error():
    a, b = host(2)
    with pytest.raises(ps.StreamError, match="out of turn"):
        a.__exit__(None, None, None)
    a.__enter__()
    b.__enter__()
    with pytest.raises(ps.StreamError, match="out of turn"):
        a.__exit__(None, None, None)
    b.__exit__(None, None, None)
    a.__exit__(None, None, None)
    assert ps.current_stream("cpu") is None


def test_a_task_has_its_stream_current_and_leaves_none_behind():
    a, b = host(2)
    with b:
        assert a.launch(ps.current_stream, "cpu").result() == a
        assert a.launch(ps.current_stream).result() == a
        a.launch(b.__enter__).result()
        assert a.launch(ps.current_stream, "cpu").result() == a
        assert ps.current_stream("cpu") == b
    assert ps.current_stream("cpu") is None
    a.launch(b.__enter__).result()
    with pytest.raises(ps.StreamError, match="out of turn"):
        a.launch(b.__exit__, None, None, None).result()
    with pytest.raises(ps.StreamError):
        a.sync()


def test_the_device_is_that_of_the_current_stream():
    with host():
        assert ps.empty((2,), "uint8").device == "cpu"
        assert ps.Stream().device == "cpu"
    assert ps.Stream().device == ("cuda:0" if ps.device_count() else "cpu")


def test_work_is_done_at_once_outside_and_queued_inside(gate):
    stream = host()
    source = ps.as_tensor(np.arange(4, dtype="uint8"))
    target = np.zeros(4, "uint8")
    source.copy_to(target)
    assert target.tolist() == [0, 1, 2, 3]
    target[:] = 0
    stream.launch(gate)
    with stream:
        copied = ps.as_tensor(target)
        source.copy_to(copied)
        zeros = ps.zeros((3,), "uint8")
    assert gate.entered.wait(PATIENCE_S)
    assert target.tolist() == [0] * 4
    gate.open()
    assert copied.numpy().tolist() == [0, 1, 2, 3]
    assert zeros.numpy().tolist() == [0] * 3
    stream.sync()


def test_the_current_stream_lives_although_nobody_holds_it():
    with host():
        gc.collect()
        x = ps.zeros((1000,), "uint8")
        del x
        gc.collect()
        assert ps.current_stream("cpu").launch(lambda: 5).result() == 5


def test_a_limit_on_work_in_flight():
    stream, flight = host(), ps.InFlight(2)
    gates = [Gate() for _ in range(3)]
    added = []

    def produce():
        for blocked in gates:
            flight.add(stream.launch(blocked))
            added.append(blocked)

    thread = threading.Thread(target=produce)
    thread.start()
    assert gates[0].entered.wait(PATIENCE_S)
    assert eventually(lambda: len(added) == 2)
    assert flight.count == flight.limit == 2
    for blocked in gates:
        blocked.open()
    thread.join(PATIENCE_S)
    assert eventually(lambda: flight.count == 0)
    assert flight.peak == 2


def test_an_interrupt_ends_a_sync():
    out = check_python("""
        import os, signal, threading, time
        import penstock as ps

        stream, free = ps.Stream("cpu"), threading.Event()
        x = ps.zeros((4,), "uint8", device="cpu")
        entered = threading.Event()
        def block():
            entered.set()
            free.wait(60)
        event = stream.launch(block, writes=x)
        entered.wait(30)
        for wait in (stream.sync, event.sync, event.result, x.numpy):
            sent = []
            def send():
                sent.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)
            threading.Timer(0.1, send).start()
            try:
                wait()
            except KeyboardInterrupt:
                late = time.monotonic() - sent[0]
                assert late < 1.0, late
                print("interrupted")
        free.set()
        stream.sync()
        print("over")
    """)
    assert out.split() == ["interrupted"] * 4 + ["over"]
