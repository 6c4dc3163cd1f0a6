"""Tensors of a GPU as other libraries see them: the same memory, in order, by each protocol's rules."""

import gc

import numpy as np
import pytest

import penstock as ps

from . import work
from .flows import value_of
from .work import PenstockWork, TorchWork

pytestmark = pytest.mark.needs("torch")


def tensor(*shape, dtype="int32"):
    return ps.zeros(shape or (work.COUNT,), dtype, device="cuda")


def by_torch(x):
    return x.torch()


def by_torch_dlpack(x):
    import torch

    return torch.from_dlpack(x)


def by_torch_interface(x):
    import torch

    return torch.as_tensor(x, device="cuda")


def by_cupy(x):
    import cupy

    return cupy.asarray(x)


def by_cupy_dlpack(x):
    import cupy

    return cupy.from_dlpack(x)


def by_numba(x):
    from numba import cuda

    return cuda.as_cuda_array(x)


def by_jax(x):
    import jax

    return jax.dlpack.from_dlpack(x)


EXPORTS = [
    by_torch,
    by_torch_dlpack,
    by_torch_interface,
    pytest.param(by_cupy, marks=pytest.mark.needs("cupy")),
    pytest.param(by_cupy_dlpack, marks=pytest.mark.needs("cupy")),
    pytest.param(by_numba, marks=pytest.mark.needs("numba.cuda")),
    pytest.param(by_jax, marks=pytest.mark.needs("jax")),
]


def address_of(array):
    """Of an array of any library."""
    if hasattr(array, "unsafe_buffer_pointer"):
        return array.unsafe_buffer_pointer()
    return array.__cuda_array_interface__["data"][0]


def values_of(array):
    if hasattr(array, "copy_to_host"):
        return array.copy_to_host()
    return np.asarray(array.get() if hasattr(array, "get") else array.cpu() if hasattr(array, "cpu") else array)


@pytest.mark.parametrize("export", EXPORTS)
def test_the_same_memory(export):
    x = tensor(6, 8)
    ps.as_tensor(np.arange(48, dtype=np.int32).reshape(6, 8)).copy_to(x)
    array = export(x)
    assert address_of(array) == x.data
    assert tuple(array.shape) == (6, 8)
    np.testing.assert_array_equal(values_of(array), np.arange(48).reshape(6, 8))


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_keeps_the_memory(export):
    array = export(tensor(1000))
    address = address_of(array)
    gc.collect()
    others = [tensor(1000) for _ in range(20)]
    assert address not in {other.data for other in others}
    assert values_of(array).tolist() == [0] * 1000


@pytest.mark.parametrize("export", EXPORTS)
def test_what_is_pending_is_waited_for(export):
    """Written late on a stream of ours, exported on the user's thread, read on the library's own current stream."""
    work.reuse_memory()
    for number in range(20):
        with ps.Stream("cuda"):
            x = PenstockWork.slow(value_of(number))
        array = export(x) if export is not by_torch_interface else export_in_stream(x)
        found = values_of(array)
        assert (found == value_of(number)).all(), number


def export_in_stream(x):
    """PyTorch reads no stream of the interface: the stream is made to wait by name."""
    import torch

    ps.as_stream(torch.cuda.current_stream()).wait(x)
    return by_torch_interface(x)


@pytest.mark.parametrize(
    ("shape", "view"),
    [((4, 6), lambda x: x[1:, ::2]), ((4, 6), lambda x: x[2]), ((3, 0), lambda x: x), ((), lambda x: x)],
    ids=["steps", "row", "no elements", "scalar"],
)
@pytest.mark.needs("cupy")
def test_shapes_and_strides(shape, view):
    import cupy
    import torch

    x = view(ps.zeros(shape, "float32", device="cuda"))
    for array in (x.torch(), torch.from_dlpack(x), cupy.asarray(x), cupy.from_dlpack(x)):
        assert tuple(array.shape) == x.shape
        if x.size:
            assert address_of(array) == x.data
            strides = array.strides if isinstance(array, cupy.ndarray) else [s * 4 for s in array.stride()]
            assert tuple(strides) == x.strides


@pytest.mark.needs("cupy")
def test_steps_back_go_to_cupy():
    import cupy

    x = ps.as_tensor(cupy.arange(10, dtype="int32"))[::-1]
    assert cupy.asarray(x).get().tolist() == list(range(9, -1, -1))


def test_the_cuda_array_interface():
    x = tensor(4, 6)
    with ps.Stream("cuda") as stream:
        ps.zeros((4, 6), "int32", device="cuda").copy_to(x)
        interface = x.__cuda_array_interface__
    assert interface["version"] == 3
    assert interface["shape"] == (4, 6)
    assert interface["typestr"] == "<i4"
    assert interface["data"] == (x.data, False)
    assert interface.get("strides") in (None, (24, 4))
    assert interface.get("mask") is None
    assert interface["stream"] == int(stream)
    assert x[:, ::2].__cuda_array_interface__["strides"] == (24, 8)


def test_only_what_applies_exists():
    x = tensor(3)
    for name in ("__array_interface__",):
        assert not hasattr(x, name)
    assert hasattr(x, "__cuda_array_interface__")
    assert not hasattr(x.cpu(), "__cuda_array_interface__")
    with pytest.raises((TypeError, BufferError)):
        memoryview(x)
    with pytest.raises(ps.Error, match=r"cpu\(\)"):
        x.numpy()
    with pytest.raises((ps.Error, TypeError), match=r"cpu\(\)"):
        np.asarray(x)


def test_the_dlpack_device():
    import torch

    assert tensor(3).__dlpack_device__() == (2, 0)
    assert ps.as_tensor(torch.zeros(3).pin_memory()).__dlpack_device__()[0] in (1, 3)


class Capsule:
    """Hands out a capsule that was asked for before."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **keywords):
        return self.capsule

    def __dlpack_device__(self):
        return (2, 0)


def handle_of(kind):
    import torch

    side = torch.cuda.Stream()
    return side, {"a handle": side.cuda_stream, "legacy": 1, "None": None, "per thread": 2}[kind]


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("kind", ["a handle", "legacy", "None", "per thread"])
def test_the_stream_that_is_named_waits(kind):
    """None is the legacy stream. The capsule is read on that very stream."""
    import cupy
    import torch

    work.reuse_memory()
    wrong = cupy.zeros(1, cupy.int32)
    work.synchronize()
    for number in range(20):
        with ps.Stream("cuda"):
            x = PenstockWork.slow(value_of(number))
        side, stream = handle_of(kind)
        capsule = x.__dlpack__(stream=stream)
        reader = {
            "a handle": lambda side=side: cupy.cuda.Stream.from_external(side),
            "legacy": lambda: cupy.cuda.Stream.null,
            "None": lambda: cupy.cuda.Stream.null,
            "per thread": lambda: cupy.cuda.Stream.ptds,
        }[kind]()
        with reader:
            array = cupy.from_dlpack(Capsule(capsule))
            wrong += (array != value_of(number)).any()
        del x
        torch.cuda.synchronize()
    assert int(wrong[0]) == 0


@pytest.mark.needs("cupy")
def test_minus_one_does_not_wait():
    """The reader goes at once, and sees what was there before."""
    import cupy

    side = cupy.cuda.Stream(non_blocking=True)
    wrong = cupy.zeros(1, cupy.int32)
    work.synchronize()
    for number in range(20):
        with ps.Stream("cuda"):
            x = PenstockWork.slow(value_of(number))
        with side:
            array = cupy.from_dlpack(Capsule(x.__dlpack__(stream=-1)))
            wrong += (array != value_of(number)).any()
        work.synchronize()
    assert int(wrong[0]) > 0


@pytest.mark.parametrize("stream", [0, "1", -2])
def test_wrong_streams_are_refused(stream):
    with pytest.raises((ps.Error, TypeError), match="stream"):
        tensor(3).__dlpack__(stream=stream)


@pytest.mark.needs("cupy")
def test_copy_and_device_keywords():
    import cupy
    import torch

    x = tensor(5)
    copied = cupy.from_dlpack(Capsule(x.__dlpack__(stream=1, copy=True, max_version=(1, 0))))
    assert copied.data.ptr != x.data
    assert copied.get().tolist() == [0] * 5
    same = torch.from_dlpack(Capsule(x.__dlpack__(copy=False, max_version=(1, 0))))
    assert same.data_ptr() == x.data
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(x.__dlpack__())
    on_host = np.from_dlpack(x, device="cpu")
    assert on_host.tolist() == [0] * 5
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 99))


def test_between_devices():
    work.reuse_memory()
    host = ps.as_tensor(np.arange(1000, dtype=np.int32))
    for to in (lambda x: x.to("cuda"), lambda x: x.cuda(), lambda x: x.to("cuda:0")):
        x = to(host)
        assert (x.device, x.shape, x.dtype) == ("cuda:0", (1000,), np.int32)
        assert to(x).data == x.data  # it is there
        for back in (x.cpu(), x.to("cpu")):
            assert back.device == "cpu"
            np.testing.assert_array_equal(back.numpy(), np.arange(1000))
    strided = host.reshape(100, 10)[::2, 1::3]
    np.testing.assert_array_equal(strided.cuda().cpu().numpy(), strided.numpy())
    np.testing.assert_array_equal(host.reshape(100, 10).cuda()[::2, 1::3].cpu().numpy(), strided.numpy())


def test_copies():
    x = tensor(4, 6)
    target = ps.as_tensor(np.zeros((4, 6), np.int32))
    ps.as_tensor(np.full((4, 6), 3, np.int32)).copy_to(x)
    x.copy_to(target)  # no stream: done when it returns
    assert (target.numpy() == 3).all()
    torch_target = TorchWork.slow(0, 0)[:24].view(4, 6)
    x.copy_to(torch_target)
    assert torch_target.cpu().tolist() == [[3] * 6] * 4
    y = x.copy()
    assert (y.data != x.data, y.device, y.cpu().numpy().sum()) == (True, "cuda:0", 72)
    with pytest.raises(ps.TensorError):
        x.copy_to(tensor(4, 5))
    x[1:3, ::2].copy_to(y[0:2, 3:])
    assert y.cpu().numpy().tolist() == [[3] * 6] * 4


def test_a_slow_copy_to_the_host_is_complete_when_it_is_read():
    for number in range(20):
        with ps.Stream("cuda"):
            host = PenstockWork.slow(number).cpu()
        assert (host.numpy() == number).all()


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_a_users_array_goes_on_as_it_is(library):
    """From Python to Python nothing is wrapped: the very same object."""
    sent, received = [], []
    made = work.CupyWork if library == "cupy" else TorchWork

    @ps.operator
    def source():
        for number in range(20):
            sent.append(made.slow(number))
            yield sent[-1]

    @ps.operator
    def passed_on(x):
        received.append(x)
        return x

    @ps.operator
    def sink(x):
        received.append(x)

    ps.run(source() >> passed_on >> sink, streams="per_operator")
    assert len(received) == 40
    assert {id(x) for x in received} == {id(x) for x in sent}
