"""The memory cache from Python: reuse, statistics, size classes."""

import gc
import itertools
import random
import threading
from collections import Counter

import numpy as np
import pytest
from helpers import PATIENCE_S, SCALE, in_thread

import penstock as ps

MEGA = 1 << 20
FIELDS = [
    "hits", "misses", "bytes_live", "bytes_idle", "bytes_peak", "blocks", "waits", "steals", "evictions",
]  # fmt: skip


def take(count):
    return ps.empty((count,), "uint8", device="cpu")


def stats():
    return ps.memory.stats("cpu")


@pytest.fixture(autouse=True)
def fresh():
    limit = ps.memory.limit("cpu")
    gc.collect()
    ps.memory.clear("cpu")
    ps.memory.reset_peak("cpu")
    yield
    gc.collect()
    ps.memory.set_limit(limit, "cpu")
    ps.memory.clear("cpu")


def test_the_fields():
    assert list(stats()) == FIELDS
    assert all(type(value) is int for value in stats().values())
    assert type(ps.memory.limit("cpu")) is int
    assert ps.memory.limit("cpu") > 0
    assert ps.memory.snapshot("cpu") == []


def test_live_idle_and_peak():
    a, b = take(MEGA), take(3 * MEGA)
    now = stats()
    assert (now["bytes_live"], now["bytes_idle"], now["bytes_peak"], now["blocks"]) == (4 * MEGA, 0, 4 * MEGA, 2)
    del a
    now = stats()
    assert (now["bytes_live"], now["bytes_idle"], now["bytes_peak"], now["blocks"]) == (3 * MEGA, MEGA, 4 * MEGA, 2)
    del b
    ps.memory.clear("cpu")
    now = stats()
    assert (now["bytes_live"], now["bytes_idle"], now["blocks"]) == (0, 0, 0)
    assert now["bytes_peak"] == 4 * MEGA
    ps.memory.reset_peak("cpu")
    assert stats()["bytes_peak"] == 0


def test_hits_and_misses():
    before = stats()
    for _ in range(10):
        take(MEGA)
    now = stats()
    assert now["misses"] - before["misses"] == 1
    assert now["hits"] - before["hits"] == 9


def test_views_share_and_the_last_one_gives_back():
    x = take(MEGA)
    view, address = x[10:], x.data
    del x
    other = take(MEGA)
    assert other.data != address
    assert stats()["blocks"] == 2
    del view
    assert take(MEGA).data == address


def test_what_is_wrapped_counts_nothing():
    array = np.zeros(MEGA, "uint8")
    x = ps.as_tensor(array)
    y = x[5:]
    assert stats()["blocks"] == 0
    assert stats()["bytes_live"] == 0
    del x, y
    assert stats()["bytes_idle"] == 0
    assert ps.memory.snapshot("cpu") == []


def test_memory_comes_back_at_once():
    address = take(MEGA).data
    for _ in range(10):
        assert take(MEGA).data == address


def test_other_shapes_use_the_same_memory():
    address = ps.empty((1024, 1024), "uint8", device="cpu").data
    assert ps.empty((256, 1000), "float32", device="cpu").data == address


def test_any_thread_uses_it():
    x = take(MEGA)
    address = x.data
    del x
    assert in_thread(lambda: take(MEGA).data) == address
    kept = [take(MEGA)]
    address = kept[0].data
    in_thread(kept.clear)
    assert take(MEGA).data == address
    assert stats()["blocks"] == 1


def test_the_same_stream_uses_it_without_a_wait(gate):
    stream = ps.Stream("cpu")
    stream.launch(gate)
    with stream:
        x = take(MEGA)
        ps.uses(x, stream, write=True)
        address = x.data
        del x
        waits = stats()["waits"]
        assert take(MEGA).data == address
    assert stats()["waits"] == waits


def test_others_do_not_get_what_is_in_use(gate):
    stream, other = ps.Stream("cpu"), ps.Stream("cpu")
    x = take(MEGA)
    stream.launch(gate, x)
    address = x.data
    assert gate.entered.wait(PATIENCE_S)
    del x
    assert take(MEGA).data != address
    with other:
        assert take(MEGA).data != address
    gate.open()
    stream.sync()
    assert {take(MEGA).data, *(kept.data for kept in [take(MEGA), take(MEGA)])} & {address}


def test_memory_in_use_by_a_task_is_not_reused_under_it(gate):
    """Many short tensors while readers of earlier ones are still to come: each sees its own."""
    stream, wrong = ps.Stream("cpu"), []
    stream.launch(gate)

    def look(x, value):
        if not (x.numpy() == value).all():
            wrong.append(value)

    for value in range(100):
        x = take(10_000)
        x.numpy()[:] = value
        stream.launch(look, x, value)
        del x
    gate.open()
    stream.sync()
    assert wrong == []


def test_random_sizes_stay_bounded(seed):
    chance = random.Random(seed)
    kept, most = [], 8 * MEGA
    ps.memory.set_limit(most, "cpu")
    for _ in range(2000 * SCALE):
        kept.append(take(chance.randrange(1, 200_000)))
        if len(kept) > 10:
            kept.pop(chance.randrange(len(kept)))
        now = stats()
        assert now["bytes_live"] + now["bytes_idle"] <= most
        assert now["bytes_live"] >= sum(x.nbytes for x in kept)
    assert stats()["bytes_peak"] <= most
    assert stats()["hits"] > stats()["evictions"]


def test_size_classes_waste_little():
    for count in [1, 255, 257, 511, 1000, 1025, 4097, 5 * 1024 + 1, 100_000, MEGA + 1, 3 * MEGA + 1]:
        ps.memory.clear("cpu")
        x = take(count)
        assert count <= stats()["bytes_live"] <= max(count * 1.25, count + 256)
        del x


def test_the_sum_is_exact_while_threads_work(seed):
    stop, wrong = threading.Event(), []
    most = 4 * MEGA
    ps.memory.set_limit(most, "cpu")

    def work(own):
        chance, kept = random.Random(own), []
        while not stop.is_set():
            kept.append(take(chance.randrange(1, 100_000)))
            if len(kept) > 5:
                kept.pop(0)

    threads = [threading.Thread(target=work, args=(seed + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300 * SCALE):
        now = stats()
        if now["bytes_live"] + now["bytes_idle"] > most:
            wrong.append(now)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    gc.collect()
    now = stats()
    assert now["bytes_live"] == 0
    assert now["bytes_idle"] == sum(block["bytes"] for block in ps.memory.snapshot("cpu"))


def test_the_snapshot_says_who_holds_what():
    x = take(MEGA)
    idle = take(2 * MEGA)
    address = idle.data
    del idle
    blocks = {block["address"]: (block["bytes"], block["live"]) for block in ps.memory.snapshot("cpu")}
    assert blocks == {x.data: (MEGA, True), address: (2 * MEGA, False)}


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 300, 320, 400, 640, 768, 900, 1100, 5000, 70_000, MEGA + 1])
def test_memory_is_aligned(count):
    kept = [take(count) for _ in range(20)]
    assert all(x.data % 256 == 0 for x in kept)
    assert len({x.data for x in kept}) == 20


def test_neighbours_do_not_overlap(seed):
    chance = random.Random(seed)
    kept = [take(chance.randrange(1, 5000)) for _ in range(300)]
    for value, x in enumerate(kept):
        x.numpy()[:] = value % 251
    assert all((x.numpy() == value % 251).all() for value, x in enumerate(kept))
    ends = sorted((x.data, x.data + x.nbytes) for x in kept)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(ends))


def test_empty_tensors_take_next_to_nothing():
    kept = [ps.empty((0, 5), "float32", device="cpu") for _ in range(10)]
    assert stats()["bytes_live"] <= 256 * len(kept)


def test_threads_that_end_leave_their_memory_to_others():
    def work():
        take(MEGA).numpy()[:] = 1

    for _ in range(50):
        in_thread(work)
    assert stats()["blocks"] == 1


def test_streams_that_go_leave_their_memory_to_others():
    for _ in range(50):
        stream = ps.Stream("cpu")
        with stream:
            x = ps.zeros((MEGA,), "uint8")
        stream.sync()
        del x, stream
    assert stats()["blocks"] <= 2


def test_steals_are_counted():
    a, b = ps.Stream("cpu"), ps.Stream("cpu")
    with a:
        x = take(MEGA)
        address = x.data
        del x
    before = stats()["steals"]
    with b:
        assert take(MEGA).data == address
    assert stats()["steals"] == before + 1


@pytest.mark.parametrize("device", ["cuda:99", "nothing", 3])
def test_the_device_is_checked(device):
    for call in (ps.memory.stats, ps.memory.limit, ps.memory.clear, ps.memory.snapshot, ps.memory.reset_peak):
        with pytest.raises(ps.Error, match="device"):
            call(device)


def test_live_blocks_are_counted_by_size():
    kept = [take(n * 1000) for n in (1, 1, 2, 3)]
    sizes = Counter(block["bytes"] for block in ps.memory.snapshot("cpu") if block["live"])
    assert sum(sizes.values()) == len(kept)
    assert sizes[1024] == 2
