"""Arrays of other libraries on a GPU: whose stream waits for whom, and that no host thread does."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import raw_dlpack
import simulated
from helpers import eventually, in_thread

import penstock as ps

COUNT = 4096


def values(tensor):
    return set(np.unique(tensor.cpu().numpy()).tolist())


def on(stream, body):
    """Runs it with the stream current, in a thread of its own: a wait on the host is noticed, not hung in."""

    def run():
        with stream:
            return body()

    return in_thread(run)


def test_what_is_pending_on_the_stream_that_is_named_is_waited_for(stream, delays):
    memory = simulated.Memory(COUNT, 1, stream.handle)
    own = ps.Stream("cuda")
    before = simulated.calls(*simulated.SYNCHRONISE)
    with simulated.held(stream.handle):
        simulated.fill(stream.handle, memory.address, 2, COUNT)
        copied = on(own, lambda: ps.as_tensor(memory).copy())
        assert not own.query()
    assert values(copied) == {2}
    assert simulated.calls(*simulated.SYNCHRONISE) == before


def test_without_a_stream_nothing_is_waited_for(stream):
    memory = simulated.Memory(COUNT, 1)
    with simulated.held(stream.handle):
        simulated.fill(stream.handle, memory.address, 2, COUNT)
        assert in_thread(lambda: values(ps.as_tensor(memory))) == {1}


def test_the_legacy_stream_is_waited_for_by_its_number():
    memory = simulated.Memory(COUNT, 1, simulated.LEGACY)
    own = ps.Stream("cuda")
    with simulated.held(simulated.LEGACY):
        simulated.fill(simulated.LEGACY, memory.address, 2, COUNT)
        copied = on(own, lambda: ps.as_tensor(memory).copy())
        assert not own.query()
    assert values(copied) == {2}


def test_the_stream_it_came_from_waits_for_the_last_use(stream, delays):
    memory = simulated.Memory(COUNT, 1, stream.handle)
    own = ps.Stream("cuda")
    with simulated.held(own.handle):
        with own:
            tensor = ps.as_tensor(memory)
            copied = tensor.copy()
        del tensor
        gc.collect()
        simulated.fill(stream.handle, memory.address, 9, COUNT)  # its owner goes on with it
        simulated.delay(stream.handle, 5)
        assert memory.peek() == {1}
    assert values(copied) == {1}
    stream.sync()
    assert memory.peek() == {9}


def test_the_owner_lives_until_the_last_use_is_over(stream):
    memory = simulated.Memory(COUNT, 1, stream.handle)
    alive = weakref.ref(memory)
    own = ps.Stream("cuda")
    with simulated.held(own.handle):
        with own:
            copied = ps.as_tensor(memory).copy()
        del memory
        gc.collect()
        assert alive() is not None
    own.sync()
    assert eventually(lambda: gc.collect() is not None and alive() is None)
    assert values(copied) == {1}


class WithStream(simulated.Memory):
    """What names a stream keeps it, and no longer than itself."""

    def __init__(self):
        self.own = simulated.Stream()
        super().__init__(COUNT, 1, self.own.handle)

    def __del__(self):
        self.own.close()
        self.free()


@pytest.mark.parametrize("use", ["none", "ended", "pending", "lent"])
def test_a_stream_that_goes_with_the_array_is_left_before(use):
    """Whoever lets go of the array last: this thread, or one of ours when a reader is done."""
    own = ps.Stream("cuda")
    watches = []
    for _ in range(100):
        array = WithStream()
        watches.append(weakref.ref(array))
        tensor = ps.as_tensor(array)
        if use == "lent":
            ps.uses(tensor, ps.as_stream(array.own.handle), write=True)
        elif use != "none":
            with own:
                if use == "pending":
                    simulated.delay(own.handle, 1)
                tensor.copy()
            if use == "ended":
                own.sync()
        del array, tensor
    own.sync()
    assert eventually(lambda: gc.collect() is not None and not any(watch() for watch in watches))


def test_a_handle_that_is_used_again_is_another_stream():
    """A stream that was destroyed, and one made in its place with the same handle."""
    first = simulated.Stream()
    memory = simulated.Memory(COUNT, 1, first.handle)
    seen = ps.as_stream(first.handle)
    with ps.Stream("cuda"):
        assert values(ps.as_tensor(memory)) == {1}
    del seen
    first.close()
    second = simulated.Stream()
    assert second.handle == first.handle
    own = ps.Stream("cuda")
    other = simulated.Memory(COUNT, 1, second.handle)
    with simulated.held(second.handle):
        simulated.fill(second.handle, other.address, 2, COUNT)
        copied = on(own, lambda: ps.as_tensor(other).copy())
        assert not own.query()
    assert values(copied) == {2}


def test_what_others_queue_on_a_stream_of_ours_by_its_handle():
    own, other = ps.Stream("cuda"), ps.Stream("cuda")
    with own:
        tensor = ps.zeros((COUNT,), "uint8", device="cuda")
    own.sync()
    memory = simulated.Memory(COUNT)
    with simulated.held(own.handle):
        assert not own.query()
        moment = own.record()
        assert not moment.query()
        other.wait(own)
        assert not other.query()
        simulated.fill(own.handle, memory.address, 3, COUNT)
        simulated.delay(own.handle, 5)
    own.sync()
    assert memory.peek() == {3}
    assert moment.query()
    other.sync()
    del tensor


@pytest.mark.parametrize("versioned", [True, False])
def test_capsules_of_a_gpu(versioned, stream):
    memory = simulated.Memory(24, 3)
    producer = raw_dlpack.Producer(device=(2, 0), versioned=versioned, data=memory.address, device_type=2, device_id=0)
    own = ps.Stream("cuda")
    with own:
        tensor = ps.as_tensor(producer)
    assert (tensor.data, tensor.device, tensor.shape) == (memory.address, "cuda:0", (4, 6))
    assert values(tensor) == {3}
    asked = [keywords.get("stream") for keywords in producer.asked]
    assert own.handle in asked, "the producer is told on which stream it will be used"
    del tensor
    assert eventually(lambda: producer.export.deletes == 1)


def test_host_memory_said_to_be_a_gpus():
    producer = raw_dlpack.Producer(device=(2, 0), device_type=2, device_id=0)
    with pytest.raises(ps.TensorError, match="cuda:0 but 0x[0-9a-f]+ is host memory"):
        ps.as_tensor(producer)
    there = raw_dlpack.Producer(device=(2, 7), device_type=2, device_id=7)
    with pytest.raises(ps.TensorError, match="device_id 7"):
        ps.as_tensor(there)


def interface_of(memory, **fields):
    """An object with the memory's interface, and other fields in it."""
    return type("Interface", (), {"__cuda_array_interface__": memory.__cuda_array_interface__ | fields})()


def test_an_interface_over_host_memory():
    array = np.zeros(24, "uint8")
    with pytest.raises(ps.TensorError, match=r"__cuda_array_interface__: data is 0x[0-9a-f]+, .* GPU's memory"):
        ps.as_tensor(interface_of(simulated.Memory(24), data=(array.ctypes.data, False), shape=(24,)))


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_interfaces_of_no_size_may_have_no_address(shape, stream):
    ours = ps.empty(shape, "uint8", device="cuda")
    named = interface_of(simulated.Memory(4, stream=stream.handle), data=(0, False), shape=shape)
    for there in (interface_of(ours), interface_of(simulated.Memory(4), data=(0, False), shape=shape), named):
        imported = ps.as_tensor(there)
        assert (imported.shape, imported.device, imported.cpu().numpy().size) == (shape, "cuda:0", 0)
    with pytest.raises(ps.TensorError, match="data is NULL"):
        ps.as_tensor(interface_of(simulated.Memory(4), data=(0, False)))


@pytest.mark.parametrize("which", ["legacy", "a stream"])
def test_what_is_dropped_unused_is_released_at_once(which, stream):
    """Its owner orders what it does with it; a use of ours is waited for."""
    handle = simulated.LEGACY if which == "legacy" else stream.handle
    known = ps.as_stream(handle)
    gc.collect()
    before = simulated.calls("cudaEventRecord")
    with simulated.held(handle):
        memory = simulated.Memory(COUNT, 1, handle)
        alive = weakref.ref(memory)
        tensor = ps.as_tensor(memory)
        del memory, tensor
        assert alive() is None
        assert simulated.calls("cudaEventRecord") == before
    known.sync()
