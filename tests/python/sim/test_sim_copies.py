"""Copies between the host and a GPU, between GPUs, and what they wait for."""

from __future__ import annotations

import numpy as np
import pytest
import simulated
from helpers import check_python, in_thread
from programs import program

import penstock as ps

NUMBERS = np.arange(2 * 6 * 8, dtype="int16").reshape(2, 6, 8)
VIEWS = {
    "whole": lambda x: x,
    "rows with a pitch": lambda x: x[:, :, 1:5],
    "steps": lambda x: x[:, ::2, ::3],
    "backwards": lambda x: x[:, ::-1],
    "a plane": lambda x: x[1],
    "an element": lambda x: x[1, 2, 3],
    "nothing": lambda x: x[:, 3:3],
}


@pytest.fixture(params=[0, 1], ids=["pageable in order", "pageable waits"])
def pageable(request):
    simulated.pageable_waits(request.param)
    yield
    simulated.pageable_waits(0)


@pytest.mark.parametrize("view", VIEWS)
def test_there_and_back(view, pageable, delays):
    source = VIEWS[view](NUMBERS)
    there = ps.as_tensor(source).to("cuda:1")
    assert (there.device, there.shape, there.dtype) == ("cuda:1", source.shape, source.dtype)
    np.testing.assert_array_equal(there.cpu().numpy(), source)


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_a_gpus_tensor(view, pageable, delays):
    whole = ps.as_tensor(NUMBERS).cuda()
    np.testing.assert_array_equal(VIEWS[view](whole).cpu().numpy(), VIEWS[view](NUMBERS))
    np.testing.assert_array_equal(VIEWS[view](whole).copy().cpu().numpy(), VIEWS[view](NUMBERS))
    VIEWS[view](whole).copy_to(target := ps.zeros(VIEWS[view](NUMBERS).shape, "int16", device="cpu"))
    np.testing.assert_array_equal(target.numpy(), VIEWS[view](NUMBERS))


@pytest.mark.parametrize("has_peers", [1, 0], ids=["peers", "by the host"])
@pytest.mark.parametrize("view", VIEWS)
def test_between_two_gpus(view, has_peers):
    """In a process of its own: who may use whose memory is for good."""
    out = check_python(
        program(f"""
            import numpy as np
            from test_sim_copies import NUMBERS, VIEWS
            simulated.set_peers({has_peers})
            take = VIEWS[{view!r}]
            first = ps.as_tensor(NUMBERS).to("cuda:0")
            second = take(first).to("cuda:1")
            print(second.device, np.array_equal(second.cpu().numpy(), take(NUMBERS)))
            with ps.Stream("cuda:0"):
                back = second.to("cuda:0")
            print(np.array_equal(back.cpu().numpy(), take(NUMBERS)), simulated.current_device())
            ps.as_tensor(7 + NUMBERS[:1]).to("cuda:1").copy_to(first[:1])
            print(np.array_equal(first.cpu().numpy()[:1], NUMBERS[:1] + 7))
        """)
    )
    assert out.split() == ["cuda:1", "True", "True", "0", "True"]


@pytest.mark.parametrize("current", [0, 1])
def test_the_legacy_stream_of_each_gpu(current):
    """Its number means that of the device that is current: ours says which it is."""
    with simulated.on_device(1):
        theirs = simulated.Memory(4096, 1, simulated.LEGACY)
        simulated.delay(simulated.LEGACY, 30)
        simulated.fill(simulated.LEGACY, theirs.address, 5, 4096)
    with simulated.on_device(current):
        tensor = ps.as_tensor(theirs)
        assert tensor.device == "cuda:1"
        assert set(tensor.cpu().numpy().tolist()) == {5}
        assert set(tensor.to("cuda:0").cpu().numpy().tolist()) == {5}


@pytest.mark.parametrize("number", [3, 255, 256, 257, 258, 65535])
def test_other_numbers_are_no_streams(number):
    with pytest.raises(ps.StreamError, match=f"{number} is no stream; 1 is the legacy one"):
        ps.as_stream(number)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("is_kept", [True, False])
def test_what_is_launched_after_uses_is_ordered_though_nobody_keeps_our_stream(is_kept, index):
    with simulated.on_device(index):
        theirs = simulated.Stream().handle
    tensor = ps.zeros((4096,), "uint8", device=f"cuda:{index}")
    named = ps.as_stream(theirs)
    ps.uses(tensor, named, write=True)
    if not is_kept:
        del named
    simulated.delay(theirs, 20)
    simulated.fill(theirs, tensor.data, 5, 4096)
    assert set(tensor.cpu().numpy().tolist()) == {5}


def test_a_stream_of_the_other_gpu_is_known():
    with simulated.on_device(1):
        there = simulated.Stream().handle
        legacy = ps.as_stream(simulated.LEGACY)
    here = ps.as_stream(simulated.LEGACY)
    assert (ps.as_stream(there).device, legacy.device, here.device) == ("cuda:1", "cuda:1", "cuda:0")
    assert int(legacy) == int(here) == simulated.LEGACY
    assert legacy.id != here.id
    tensor = ps.zeros((4096,), "uint8", device="cuda:1")
    with simulated.held(there):
        ps.uses(tensor, ps.as_stream(there), write=True)
        simulated.fill(there, tensor.data, 5, 4096)
    assert set(tensor.cpu().numpy().tolist()) == {5}


def test_the_same_device_is_the_same_tensor():
    tensor = ps.as_tensor(NUMBERS).cuda()
    assert tensor.to("cuda").data == tensor.data
    assert tensor.cuda().data == tensor.data


def test_a_copy_over_itself(delays):
    tensor = ps.as_tensor(NUMBERS.ravel()).cuda()
    tensor[:-3].copy_to(tensor[3:])
    expected = NUMBERS.ravel().copy()
    expected[3:] = NUMBERS.ravel()[:-3]
    np.testing.assert_array_equal(tensor.cpu().numpy(), expected)


def test_a_copy_to_the_host_waits_for_the_producer(stream):
    memory = simulated.Memory(4096, 1, stream.handle)
    simulated.delay(stream.handle, 20)
    simulated.fill(stream.handle, memory.address, 2, 4096)
    assert set(ps.as_tensor(memory).cpu().numpy().tolist()) == {2}


def test_a_copy_of_a_gpus_tensor_waits_for_nothing():
    """On the thread that calls it: with no stream current, and with one."""
    own = ps.Stream("cuda")
    with own:
        tensor = ps.zeros((4096,), "uint8", device="cuda")
    with simulated.held(own.handle):
        simulated.fill(own.handle, tensor.data, 5, 4096)
        ps.uses(tensor, own, write=True)
        copied = in_thread(tensor.copy)
        filled = in_thread(lambda: ps.zeros((4096,), "uint8", device="cuda"))
    assert set(copied.cpu().numpy().tolist()) == {5}
    assert set(filled.cpu().numpy().tolist()) == {0}


def test_numpy_of_a_gpus_tensor_says_what_to_do():
    with pytest.raises(ps.TensorError, match=r"cuda:0.*cpu\(\)"):
        ps.as_tensor(NUMBERS).cuda().numpy()


def test_an_operation_of_the_cpu_does_not_write_where_it_can_not():
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(ps.TensorError, match="out is on cuda:0, src on cpu"):
        ps.resize(image, (2, 3), out=ps.empty((2, 3, 3), "uint8", device="cuda"))
    with pytest.raises(ps.DeviceError, match=r"src.cpu\(\)"):
        ps.resize(ps.zeros((4, 6, 3), "uint8", device="cuda"), (2, 3))
    planes = [np.zeros((4, 4), np.uint8), np.zeros((2, 2), np.uint8), ps.zeros((2, 2), "uint8", device="cuda")]
    with pytest.raises(ps.TensorError, match="planes of src are on cpu and cuda:0"):
        ps.cvt_color(planes, "I420", "RGB")


def test_synthetic_frames_are_in_host_memory():
    seen = []

    @ps.operator
    def look(x):
        seen.append(str(x.device))

    ps.run(ps.source(ps.synthetic(6, 4, count=2)) >> look, device="cuda")
    assert seen == ["cpu", "cpu"]
