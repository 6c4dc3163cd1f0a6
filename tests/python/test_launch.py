"""Python functions in stream order: what launch() waits for, gives and raises."""

import threading
import time
import weakref

import numpy as np
import pytest
from helpers import PATIENCE_S, Gate, host, is_gone, throw

import penstock as ps

FIRST = 1 << 62


def test_launch_gives_what_the_function_returned():
    stream = host()
    value = object()
    event = stream.launch(lambda: value)
    assert event.result() is value
    assert event.result() is value
    assert event.sync() is None
    assert stream.launch(lambda: None).result() is None


def test_arguments_of_any_name():
    stream = host()

    def function(*args, **kw):
        return args, kw

    names = {"fn": 1, "self": 2, "args": 3, "kw": 4, "stream": 5, "device": 6}
    assert stream.launch(function, 1, 2, **names).result() == ((1, 2), names)


@pytest.mark.parametrize("what", [None, 3, "f"])
def test_launch_wants_a_function(what):
    with pytest.raises(ps.ArgumentTypeError, match="not callable"):
        host().launch(what)


@pytest.mark.parametrize("writes", [3, "x", [3], np.zeros(3), None])
def test_writes_are_tensors(writes):
    with pytest.raises(ps.ArgumentTypeError, match="writes"):
        host().launch(print, writes=writes)


def test_a_read_only_tensor_is_no_target():
    with pytest.raises(ps.TensorError, match="read-only"):
        host().launch(print, writes=ps.as_tensor(b"abc"))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: ((x,), {}),
        lambda x: (([x],), {}),
        lambda x: (({"a": (1, [x])},), {}),
        lambda x: ((), {"x": x}),
        lambda x: ((), {"x": [{"y": x}]}),
        lambda x: ((x[1:],), {}),
    ],
    ids=["argument", "list", "dict of tuple of list", "keyword", "nested keyword", "view"],
)
def test_tensors_among_the_arguments_are_waited_for(gate, wrap):
    producer, consumer = host(2)
    x = ps.zeros((4,), "uint8", device="cpu")

    def fill(x):
        gate()
        x.numpy()[:] = 7

    producer.launch(fill, x, writes=x)
    args, kw = wrap(x)
    ran = threading.Event()
    event = consumer.launch(lambda *args, **kw: ran.set(), *args, **kw)
    assert gate.entered.wait(PATIENCE_S)
    assert not ran.wait(0.05)
    gate.open()
    event.sync()
    assert ran.is_set()
    assert x.numpy().tolist() == [7] * 4


def test_readers_run_together_and_a_writer_waits_for_them():
    readers = [Gate(), Gate()]
    x = ps.zeros((4,), "uint8", device="cpu")
    for reader in readers:
        host().launch(reader, x)
    for reader in readers:
        assert reader.entered.wait(PATIENCE_S)
    write = host().launch(lambda: x.numpy().fill(1), writes=[x])
    assert not write.query()
    readers[0].open()
    assert not write.query()
    readers[1].open()
    write.sync()


@pytest.mark.parametrize("nest", [lambda x: x, lambda x: [x], lambda x: {"a": (x,)}], ids=["plain", "list", "dict"])
def test_returned_tensors_are_there_when_the_task_is(gate, nest):
    stream, other = host(2)
    kept = {}

    def make():
        kept["x"] = x = ps.zeros((4,), "uint8")
        kept["made"].set()
        gate()
        x.numpy()[:] = 9
        return nest(x)

    kept["made"] = threading.Event()
    event = stream.launch(make)
    assert kept["made"].wait(PATIENCE_S)
    gate.open()
    event.sync()
    assert other.launch(lambda x: int(x.numpy()[0]), kept["x"]).result() == 9


def test_the_uses_of_a_tensor_are_over_when_numpy_returns(gate):
    stream = host()
    x = ps.zeros((4,), "uint8", device="cpu")
    stream.launch(gate, x, writes=x)
    stream.launch(lambda x: x.numpy().fill(3), x, writes=x)
    opener = threading.Timer(0.05, gate.open)
    opener.start()
    assert x.numpy().tolist() == [3] * 4
    opener.join()


def test_an_exception_poisons_the_stream_and_the_first_wins():
    stream, seen = host(), []
    good = stream.launch(lambda: 1)
    first, second = ValueError("first"), KeyError("second")
    bad = stream.launch(throw, first)
    skipped = stream.launch(seen.append, 1)
    also = stream.launch(throw, second)
    assert good.result() == 1
    for event in (bad, skipped, also):
        with pytest.raises(ValueError, match="first") as caught:
            event.result()
        assert caught.value is first
        with pytest.raises(ValueError, match="first"):
            event.sync()
        assert event.query() is True
    with pytest.raises(ValueError, match="first"):
        stream.sync()
    assert seen == []
    stream.sync()
    assert stream.launch(lambda: 2).result() == 2
    stream.record().sync()


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), ps.TensorError("t"), StopIteration(), MemoryError()]
)
def test_any_exception_comes_out_as_it_is(error):
    stream = host()
    with pytest.raises(type(error)) as caught:
        stream.launch(throw, error).result()
    assert caught.value is error
    with pytest.raises(type(error)):
        stream.sync()


def test_an_exception_has_its_traceback():
    with pytest.raises(ValueError, match="here") as caught:
        host().launch(throw, ValueError("here")).result()
    assert "throw" in [entry.name for entry in caught.traceback]


def test_poison_goes_where_the_order_goes():
    a, b, c = host(3)
    x = ps.zeros((4,), "uint8", device="cpu")
    a.launch(throw, ValueError("a"), writes=x)
    reader = b.launch(lambda x: 1, x)
    with pytest.raises(ValueError, match="a"):
        reader.result()
    with pytest.raises(ValueError, match="a"):
        x.numpy()
    assert c.launch(lambda: 2).result() == 2
    for stream in (a, b):
        with pytest.raises(ValueError, match="a"):
            stream.sync()


def test_a_failed_reader_is_not_the_tensors_error(gate):
    writer, reader = host(2)
    x = ps.zeros((4,), "uint8", device="cpu")
    writer.launch(lambda x: x.numpy().fill(5), x, writes=x)

    def fail(x):
        gate()
        raise ValueError("reader")

    reader.launch(fail, x)
    assert gate.entered.wait(PATIENCE_S)
    opener = threading.Timer(0.05, gate.open)
    opener.start()
    assert x.numpy().tolist() == [5] * 4
    opener.join()
    copied = x.copy()
    x.copy_to(copied)
    assert copied.numpy().tolist() == [5] * 4
    with pytest.raises(ValueError, match="reader"):
        reader.sync()


def test_sync_ends_although_others_go_on_queueing():
    """The producer is always two slow tasks ahead, for 20 of them; sync() is for the first two."""
    stream, gates, steps = host(), [Gate(), Gate()], []
    for blocked in gates:
        stream.launch(blocked)

    def produce():
        for step in range(20):
            time.sleep(0.08)
            gates.append(Gate())
            stream.launch(gates[-1])
            gates[step].open()
            steps.append(step)
        for blocked in gates:
            blocked.open()

    thread = threading.Thread(target=produce)
    thread.start()
    stream.sync()
    taken = len(steps)
    thread.join()
    assert taken < 15, "sync() waited for what was queued after it was called"
    stream.sync()


def test_sync_leaves_later_errors_to_the_next(gate):
    stream = host()
    seen = []
    stream.launch(gate)
    opener = threading.Timer(0.05, gate.open)

    def later():
        assert gate.entered.wait(PATIENCE_S)
        time.sleep(0.02)
        stream.launch(throw, ValueError("later"))
        seen.append(1)
        gate.open()

    thread = threading.Thread(target=later)
    thread.start()
    stream.sync()
    thread.join()
    with pytest.raises(ValueError, match="later"):
        stream.sync()
    stream.sync()
    opener.cancel()


def test_what_a_task_holds_is_let_go():
    class Thing:
        pass

    stream, thing = host(), Thing()
    reference = weakref.ref(thing)
    event = stream.launch(lambda thing: 1, thing)
    del thing
    event.sync()
    assert is_gone(reference)
    thing = Thing()
    reference = weakref.ref(thing)
    event = stream.launch(lambda: 1, writes=())
    event = stream.launch(lambda thing=thing: thing)
    del thing
    assert event.result() is reference()
    del event
    stream.sync()
    assert is_gone(reference)
