"""A GPU's tensors in the hands of others: who waits for what, and when their memory is used again."""

from __future__ import annotations

import gc

import pytest
import raw_dlpack
import simulated
from helpers import in_thread

import penstock as ps

COUNT = 4096
LATEST = (1, 1)


class Late:
    """A tensor whose content comes when it is let, and copies of it that others make."""

    def __init__(self):
        self.own = ps.Stream("cuda")
        with self.own:
            self.tensor = ps.zeros((COUNT,), "uint8", device="cuda")
        self.own.sync()
        self.hold = simulated.held(self.own.handle)
        self.hold.__enter__()
        ps.uses(self.tensor, self.own, write=True)
        simulated.fill(self.own.handle, self.tensor.data, 7, COUNT)

    def copied_by(self, stream):
        target = simulated.Memory(COUNT)
        simulated.copy(stream, target.address, self.tensor.data, COUNT)
        return target

    def come(self):
        if self.hold is not None:
            self.hold.__exit__(None, None, None)
        self.hold = None
        simulated.check(simulated.raw("cudaDeviceSynchronize"))


@pytest.fixture
def late():
    made = Late()
    yield made
    made.come()


@pytest.mark.parametrize("max_version", [None, LATEST])
@pytest.mark.parametrize("which", ["a stream", "legacy", "per thread", "none named"])
def test_the_stream_that_is_named_waits_for_the_tensor(which, max_version, late, stream):
    named = {"a stream": stream.handle, "legacy": 1, "per thread": 2, "none named": None}[which]
    capsule = late.tensor.__dlpack__(stream=named, max_version=max_version)
    target = late.copied_by(1 if named is None else named)
    managed = raw_dlpack.read(capsule)
    assert (managed.tensor.data, managed.tensor.device_type) == (late.tensor.data, 2)
    late.come()
    assert target.peek() == {7}


def test_minus_one_waits_for_nothing(late, stream):
    late.tensor.__dlpack__(stream=-1, max_version=LATEST)
    target = late.copied_by(stream.handle)
    in_thread(stream.sync)
    late.come()
    assert target.peek() == {0}


def test_zero_is_no_stream(late):
    with pytest.raises((ps.StreamError, BufferError, ValueError), match="stream"):
        late.tensor.__dlpack__(stream=0)


def test_the_array_interface_names_a_stream_that_is_behind_the_tensor(late):
    interface = late.tensor.__cuda_array_interface__
    assert (interface["version"], interface["data"]) == (3, (late.tensor.data, False))
    assert interface["shape"] == (COUNT,)
    target = late.copied_by(interface["stream"])
    late.come()
    assert target.peek() == {7}


def test_memory_comes_back_after_the_consumers_work(stream):
    """The consumer lets go while its kernel runs: nobody else writes there before it is over."""
    own, other = ps.Stream("cuda"), ps.Stream("cuda")
    limit = ps.memory.limit("cuda")
    gc.collect()
    ps.memory.clear("cuda")
    try:
        with own:
            tensor = ps.zeros((1 << 20,), "uint8", device="cuda")
        ps.memory.set_limit(ps.memory.stats("cuda")["bytes_live"], "cuda")
        capsule = tensor.__dlpack__(stream=stream.handle, max_version=LATEST)
        let_go = raw_dlpack.consume(capsule)
        address, target = tensor.data, simulated.Memory(1 << 20, 9)
        with simulated.held(stream.handle):
            simulated.copy(stream.handle, target.address, address, 1 << 20)
            let_go()
            del tensor, capsule

            def take():
                with other:
                    taken = ps.empty((1 << 20,), "uint8", device="cuda")
                    ps.uses(taken, other, write=True)
                    simulated.fill(other.handle, taken.data, 5, 1 << 20)
                    return taken

            taken = in_thread(take)
            assert taken.data == address, "the limit leaves no other memory"
            simulated.delay(other.handle, 1)
        stream.sync()
        assert target.peek() == {0}
        other.sync()
        del taken
    finally:
        ps.memory.set_limit(limit, "cuda")


def test_a_copy_to_the_cpu_is_complete():
    own = ps.Stream("cuda")
    with own:
        tensor = ps.zeros((COUNT,), "uint8", device="cuda")
        simulated.delay(own.handle, 20)
        simulated.fill(own.handle, tensor.data, 3, COUNT)
        ps.uses(tensor, own, write=True)
    capsule = tensor.__dlpack__(dl_device=(1, 0), max_version=LATEST)
    managed = raw_dlpack.read(capsule)
    assert managed.tensor.device_type == 1
    assert simulated.peek(managed.tensor.data, COUNT) == {3}
    with pytest.raises(BufferError, match="copy=False"):
        tensor.__dlpack__(dl_device=(1, 0), copy=False)
