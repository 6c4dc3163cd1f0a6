"""Order between streams that share tensors: the hazards of others, with slow producers."""

import ctypes
import gc
import random
import threading

import numpy as np
import pytest
from helpers import PATIENCE_S, SCALE, eventually, host

import penstock as ps

BYTES = 100_000


def empty(count=BYTES):
    return ps.empty((count,), "uint8", device="cpu")


def fill(x, value):
    x.numpy()[:] = value


def values(x):
    return set(np.unique(x.numpy()).tolist())


@pytest.fixture
def fresh_cache():
    limit = ps.memory.limit("cpu")
    ps.memory.clear("cpu")
    yield
    ps.memory.set_limit(limit, "cpu")


# A consumer that names no stream, its own, or another: each sees what the slow producer writes.
CONSUMERS = {
    "numpy": lambda x: values(x),
    "copy": lambda x: values(x.copy()),
    "copy_to an array": lambda x: (lambda a: (x.copy_to(a), set(np.unique(a).tolist()))[1])(np.zeros(BYTES, "uint8")),
    "dlpack": lambda x: set(np.unique(np.from_dlpack(x)).tolist()),
    "buffer": lambda x: set(bytes(memoryview(x))),
    "array interface": lambda x: set(
        np.unique(np.asarray(type("A", (), {"__array_interface__": x.__array_interface__})())).tolist()
    ),
    "view": lambda x: values(x[BYTES // 2 :: 7]),
    "task": lambda x: host().launch(values, x).result(),
    "task through a view": lambda x: host().launch(values, x[5:]).result(),
    "task in with": lambda x: in_with(x),
    "second task": lambda x: host().launch(lambda y: values(y), host().launch(lambda y: y, x).result()).result(),
}


def in_with(x):
    with host():
        y = x.copy()
    return values(y)


@pytest.mark.parametrize("name", CONSUMERS)
@pytest.mark.parametrize("producer", ["task", "with", "uses", "returned"])
def test_a_consumer_sees_what_a_slow_producer_writes(gate, producer, name):
    """Hazards 6 and 13: any consumer, any way to produce, no order named."""
    stream, x = host(), empty()
    fill(x, 1)
    if producer == "task":
        stream.launch(gate)
        stream.launch(fill, x, 2, writes=x)
    elif producer == "with":
        source = ps.as_tensor(np.full(BYTES, 2, "uint8"))
        stream.launch(gate)
        with stream:
            source.copy_to(x)
    elif producer == "uses":
        stream.launch(gate)
        stream.launch(lambda: fill_raw(x, 2))
        ps.uses(x, stream, write=True)
    else:
        made = threading.Event()
        kept = []

        def make():
            kept.append(empty())
            fill(kept[0], 1)
            made.set()
            gate()
            fill(kept[0], 2)
            return kept[0]

        stream.launch(make)
        assert made.wait(PATIENCE_S)
        x = kept[0]
    opener = threading.Timer(0.02, gate.open)
    opener.start()
    if producer == "returned":
        # Its point is known when the task is over; until then it is the task's own.
        stream.sync()
    assert CONSUMERS[name](x) == {2}
    opener.join()


def fill_raw(x, value):
    """Writes past Penstock, as a library's kernel does."""
    ctypes.memset(x.data, value, x.nbytes)


def test_three_streams_and_a_steal(gate, fresh_cache):
    """Hazard 1: the block of a stalled stream, taken over by one that another waited for."""
    a, b, c = host(3)
    size = 1 << 20
    ps.memory.set_limit(2 * size, "cpu")
    a.launch(gate)
    with a:
        x = ps.empty((size,), "uint8")
        address = x.data
        a.launch(lambda: ctypes.memset(address, 1, size))
        ps.uses(x, a, write=True)
        del x
    with b:
        large = ps.empty((4 * size,), "uint8")
    with c:
        y = [ps.empty((size,), "uint8"), ps.empty((size,), "uint8")]
        for z in y:
            c.launch(fill, z, 2, writes=z)
    assert gate.entered.wait(PATIENCE_S)
    opener = threading.Timer(0.02, gate.open)
    opener.start()
    assert [values(z) for z in y] == [{2}, {2}]
    a.sync()
    assert [values(z) for z in y] == [{2}, {2}]
    assert large.nbytes == 4 * size
    opener.join()


def test_a_side_stream_still_uses_what_its_owner_dropped(gate, fresh_cache):
    """Hazards 2 and 3: used on a side stream, dropped on the main one, allocated anew there."""
    main, side, third = host(3)
    seen = []
    with main:
        x = empty()
    main.launch(fill, x, 7, writes=x)
    side.launch(gate)
    side.wait(x)
    address = x.data
    side.launch(lambda: seen.append(read_raw(address)))
    ps.uses(x, side)
    del x
    for stream in (main, third):
        with stream:
            y = [empty() for _ in range(3)]
            for z in y:
                stream.launch(fill, z, 9, writes=z)
        stream.sync()
    gate.open()
    side.sync()
    assert seen == [{7}]


def read_raw(address):
    return set(ctypes.string_at(address, BYTES))


def test_an_owner_lives_until_the_last_use_is_over(gate):
    """Hazard 4: the foreign deleter may not come before the work that reads."""
    log = []
    array = np.full(BYTES, 5, "uint8")
    stream = host()
    x = ps.as_tensor(array, on_release=lambda: log.append("released"))
    stream.launch(gate)
    stream.launch(lambda: log.append(values(ps.as_tensor(array))))
    ps.uses(x, stream)
    del x
    assert log == []
    gate.open()
    stream.sync()
    assert eventually(lambda: len(log) == 2)
    assert log == [{5}, "released"]


def test_an_export_that_lives_holds_the_memory(fresh_cache):
    """Hazard 5: our tensor, a consumer's array, and ours dropped."""
    x = empty()
    fill(x, 3)
    arrays = [np.from_dlpack(x), np.asarray(x.numpy()), np.frombuffer(memoryview(x), "uint8")]
    address = x.data
    del x
    others = [empty() for _ in range(20)]
    for y in others:
        fill(y, 4)
    assert address not in {y.data for y in others}
    assert all((array == 3).all() for array in arrays)
    del arrays
    assert empty().data == address


def test_views_protect_the_whole_block(gate, fresh_cache):
    """Hazard 13: a use of a view with an offset, the base dropped."""
    stream, seen = host(), []
    x = empty()
    fill(x, 6)
    stream.launch(gate)
    stream.launch(lambda view: seen.append(values(view)), x[1000:2000])
    address = x.data
    del x
    others = [empty() for _ in range(5)]
    for y in others:
        fill(y, 8)
    assert address not in {y.data for y in others}
    gate.open()
    stream.sync()
    assert seen == [{6}]


def test_streams_come_and_go_while_frees_are_pending(fresh_cache):
    """Hazard 12: handles are reused, points are not."""
    wrong, events = [], []

    def look(x, value):
        if values(x) != {value}:
            wrong.append(value)

    for value in range(100 * SCALE):
        producer, consumer = host(2)
        x = empty(5000)
        producer.launch(fill, x, value % 251, writes=x)
        del producer
        events.append(consumer.launch(look, x, value % 251))
        del x, consumer
    gc.collect()
    for event in events:
        event.sync()
    assert wrong == []


def test_deleters_on_any_thread():
    """Hazard 10: the last reference goes on a thread that has no GIL, and in the middle of another task."""
    released = []
    stream = host()
    for n in range(50 * SCALE):
        x = ps.as_tensor(np.zeros(100, "uint8"), on_release=lambda n=n: released.append(n))
        with stream:
            y = x.copy()  # done by a worker, which holds the last reference
        del x, y
    stream.sync()
    assert eventually(lambda: len(released) == 50 * SCALE)
    assert sorted(released) == list(range(50 * SCALE))


def test_the_gil_and_the_queues(seed):
    """Hazards 11 and 14: tasks that launch, wait, allocate and drop, from many threads."""
    streams, stop = host(6), []

    def work(own):
        chance = random.Random(own)
        x = ps.zeros((1000,), "int64", device="cpu")
        for _ in range(40 * SCALE):
            stream = chance.choice(streams)
            event = stream.launch(lambda x: x.numpy().__iadd__(1).sum(), x, writes=x)
            kind = chance.randrange(6)
            if kind == 0:
                event.result()
            elif kind == 1:
                with chance.choice(streams):
                    x.copy()
            elif kind == 2:
                chance.choice(streams).wait(x)
            elif kind == 3:
                chance.choice(streams).launch(lambda: host().launch(int).result())
            elif kind == 4:
                chance.choice(streams).query()
        stop.append((x.numpy() == 40 * SCALE).all())

    threads = [threading.Thread(target=work, args=(seed + n,), daemon=True) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S * 2)
    assert stop == [True] * 6


def test_a_source_is_not_changed_under_a_copy(gate):
    """Hazard 15: the buffer is written again only after the copy out of it."""
    stream, x = host(), empty()
    fill(x, 1)
    stream.launch(gate)
    with stream:
        copied = x.copy()
    opener = threading.Timer(0.02, gate.open)
    opener.start()
    ps.zeros((BYTES,), "uint8", device="cpu").copy_to(x)  # at once, so it waits for the reader
    assert values(x) == {0}
    assert values(copied) == {1}
    opener.join()


def test_a_capsule_is_ready_when_it_is_made(gate):
    """Hazard 16: whoever takes the capsule later asks nobody."""
    stream, x = host(), empty()
    stream.launch(gate)
    stream.launch(fill, x, 4, writes=x)
    opener = threading.Timer(0.02, gate.open)
    opener.start()
    capsule = x.__dlpack__()
    taken = np.from_dlpack(
        type("Held", (), {"__dlpack__": lambda self, **kw: capsule, "__dlpack_device__": lambda self: (1, 0)})()
    )
    assert set(np.unique(taken).tolist()) == {4}
    opener.join()


def test_a_reader_and_a_writer_in_place(gate):
    """Hazard 19: the same tensor to two consumers, one of them in place."""
    first, second, x = *host(2), empty()
    fill(x, 1)
    seen = []

    def look(x):
        gate()
        seen.append(values(x))

    first.launch(look, x)
    second.launch(fill, x, 2, writes=x)
    assert gate.entered.wait(PATIENCE_S)
    assert not second.query()
    gate.open()
    second.sync()
    assert seen == [{1}]
    assert values(x) == {2}


def test_uses_orders_and_with_wait_off_does_not(gate):
    producer, consumer, x = *host(2), empty()
    producer.launch(gate)
    producer.launch(fill, x, 1, writes=x)
    ps.uses(x, consumer, wait=False)
    left_out = consumer.launch(lambda: "ran")
    assert left_out.result() == "ran"
    ps.uses(x, consumer)
    behind = consumer.launch(lambda: "behind")
    assert gate.entered.wait(PATIENCE_S)
    assert not behind.query()
    gate.open()
    assert behind.result() == "behind"


def test_a_noted_use_is_waited_for(gate):
    library, consumer, x = *host(2), empty()
    library.launch(gate)
    ps.uses(x, library)
    reader = consumer.launch(lambda x: 1, x)
    writer = consumer.launch(lambda: 2, writes=x)
    assert reader.result() == 1
    assert not writer.query()
    gate.open()
    assert writer.result() == 2


@pytest.mark.parametrize("wrong", [None, 3, "s", object()])
def test_uses_wants_a_stream(wrong):
    with pytest.raises(ps.Error, match="stream"):
        ps.uses(empty(3), wrong)
