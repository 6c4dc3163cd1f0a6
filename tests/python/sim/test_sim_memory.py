"""The cache on a GPU: reuse across streams, limits, and no memory left."""

from __future__ import annotations

import gc

import pytest
import simulated
from helpers import eventually, in_thread

import penstock as ps

COUNT = 1 << 20


@pytest.fixture(autouse=True)
def fresh_cache():
    gc.collect()
    limit = ps.memory.limit("cuda")
    ps.memory.clear("cuda")
    yield
    gc.collect()
    ps.memory.set_limit(limit, "cuda")
    ps.memory.clear("cuda")


def empty(count=COUNT):
    return ps.empty((count,), "uint8", device="cuda")


def test_the_same_stream_gets_a_block_back_at_once():
    stream = ps.Stream("cuda")
    with simulated.held(stream.handle), stream:
        address = empty().data
        for _ in range(10):
            tensor = empty()
            simulated.fill(stream.handle, tensor.data, 1, COUNT)
            ps.uses(tensor, stream, write=True)
            assert tensor.data == address
            del tensor


def test_another_stream_never_gets_a_block_that_is_in_use(delays):
    first, second = ps.Stream("cuda"), ps.Stream("cuda")
    with simulated.held(first.handle):
        with first:
            tensor = empty()
            address = tensor.data
            ps.uses(tensor, first, write=True)
            simulated.fill(first.handle, address, 1, COUNT)
            del tensor
        with second:
            assert in_thread(lambda: empty().data) != address
            other = empty()
            assert other.data != address
    first.sync()
    del other


def test_a_block_at_the_limit_is_taken_over_in_stream_order(delays):
    first, second = ps.Stream("cuda"), ps.Stream("cuda")
    ps.memory.set_limit(COUNT * 5 // 4, "cuda")
    with first:
        tensor = empty()
    address = tensor.data
    with simulated.held(first.handle):
        ps.uses(tensor, first, write=True)
        simulated.fill(first.handle, address, 1, COUNT)
        del tensor

        def take():
            with second:
                taken = empty()
                ps.uses(taken, second, write=True)
                simulated.fill(second.handle, taken.data, 2, COUNT)
                return taken

        taken = in_thread(take)  # with a wait on the device, not here
        assert taken.data == address
        assert not second.query()
    second.sync()
    assert simulated.peek(address, COUNT) == {2}


def test_what_is_cleared_is_the_devices_again():
    before = simulated.memory_used(0)
    tensors = [empty(8 << 20) for _ in range(4)]
    assert simulated.memory_used(0) >= before + (32 << 20)
    del tensors
    ps.memory.clear("cuda")
    assert simulated.memory_used(0) <= before


def test_out_of_memory_says_who_holds_it_and_leaves_a_working_device():
    ps.memory.set_limit(1 << 40, "cuda")
    total = 256 << 20
    simulated.set_memory(0, simulated.memory_used(0) + total)
    try:
        kept = [empty(total // 2)]
        with pytest.raises(ps.OutOfMemory, match=r"cuda:0") as raised:
            kept.append(empty(total))
        assert "free memory" in str(raised.value) or "limit" in str(raised.value)
        del kept
        gc.collect()
        assert empty(total // 2).nbytes == total // 2  # what was idle made room
    finally:
        simulated.set_memory(0, 4 << 30)


def test_idle_blocks_make_room_for_another_size():
    ps.memory.set_limit(1 << 40, "cuda")
    total = 64 << 20
    ps.memory.clear("cuda")
    simulated.set_memory(0, simulated.memory_used(0) + total)
    try:
        for count in (20 << 20, 40 << 20, 30 << 20, 48 << 20):
            tensor = empty(count)
            simulated.fill(simulated.LEGACY, tensor.data, 1, count)
            del tensor
            simulated.raw("cudaDeviceSynchronize")
    finally:
        simulated.set_memory(0, 4 << 30)


def test_memory_of_others_and_ours_are_told_apart():
    stats = ps.memory.stats("cuda")
    memory = simulated.Memory(COUNT)
    tensor = ps.as_tensor(memory)
    assert ps.memory.stats("cuda")["bytes_live"] == stats["bytes_live"]
    del tensor
    assert eventually(lambda: ps.memory.stats("cuda")["bytes_live"] == stats["bytes_live"])
