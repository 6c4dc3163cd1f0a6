"""Arrays of other libraries as tensors, on the GPU: where they point, what they are, how long they live."""

import gc
import time

import numpy as np
import pytest

import penstock as ps

from . import work
from .work import TorchWork

pytestmark = pytest.mark.needs("torch")

# Views of an array of 6 x 8 x 4: what they are called, and how any library's array gives them.
VIEWS = {
    "packed": lambda a: a,
    "offset": lambda a: a[1:, 2:],
    "steps": lambda a: a[::2, ::3],
    "one row": lambda a: a[3],
    "one element": lambda a: a[3, 4, 2],
    "a size of 1": lambda a: a[:, 4:5, :],
    "no elements": lambda a: a[2:2],
}
BACKWARDS = {"backwards": lambda a: a[::-1], "all backwards": lambda a: a[::-1, ::-1, ::-1]}


def numbers():
    return np.arange(6 * 8 * 4, dtype=np.int32).reshape(6, 8, 4)


def eventually(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def check_same(x, address, expected):
    """The tensor is that memory: shape, strides where they mean anything, values."""
    assert x.device == "cuda"
    assert x.device == "cuda:0"
    assert x.shape == expected.shape
    if expected.size:
        assert x.data == address
        steps = [(s, t) for n, s, t in zip(x.shape, x.strides, expected.strides, strict=True) if n > 1]
        assert all(s == t for s, t in steps)
    np.testing.assert_array_equal(x.cpu().numpy(), expected)


@pytest.mark.parametrize("name", VIEWS)
def test_torch(name):
    import torch

    view = VIEWS[name](torch.from_numpy(numbers()).cuda())
    x = ps.as_tensor(view)
    check_same(x, view.data_ptr(), VIEWS[name](numbers()))
    assert x.dtype == np.int32
    assert x.is_contiguous() == view.is_contiguous()
    assert not x.readonly


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("name", {**VIEWS, **BACKWARDS})
def test_cupy(name):
    import cupy

    view = {**VIEWS, **BACKWARDS}[name](cupy.asarray(numbers()))
    x = ps.as_tensor(view)
    check_same(x, view.data.ptr, {**VIEWS, **BACKWARDS}[name](numbers()))


@pytest.mark.needs("numba.cuda")
@pytest.mark.parametrize("name", ["packed", "steps", "one row"])
def test_numba(name):
    from numba import cuda

    view = VIEWS[name](cuda.to_device(numbers()))
    x = ps.as_tensor(view)
    check_same(x, view.__cuda_array_interface__["data"][0], VIEWS[name](numbers()))


@pytest.mark.needs("jax")
@pytest.mark.parametrize("name", ["packed", "steps", "one row", "one element"])
def test_jax(name):
    import jax.numpy as jnp

    view = VIEWS[name](jnp.asarray(numbers()))
    x = ps.as_tensor(view)
    check_same(x, view.unsafe_buffer_pointer(), VIEWS[name](numbers()).copy())


@pytest.mark.needs("cupy")
def test_broadcast():
    import cupy
    import torch

    for array in (
        cupy.broadcast_to(cupy.arange(5, dtype="int32"), (3, 5)),
        torch.arange(5, dtype=torch.int32, device="cuda").expand(3, 5),
    ):
        x = ps.as_tensor(array)
        assert x.strides == (0, 4)
        np.testing.assert_array_equal(x.cpu().numpy(), np.broadcast_to(np.arange(5), (3, 5)))


TORCH_DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
TORCH_ONLY = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]


@pytest.mark.parametrize("name", TORCH_DTYPES + TORCH_ONLY)
def test_types_of_torch(name):
    import torch

    dtype = getattr(torch, name)
    made = torch.tensor([0, 1, 2, 1], dtype=torch.float32).to(dtype).cuda()
    x = ps.as_tensor(made)
    assert x.data == made.data_ptr()
    assert getattr(x.dtype, "name", str(x.dtype)) == name
    back = x.torch()
    assert (back.dtype, back.data_ptr()) == (dtype, made.data_ptr())
    copied = x.copy().torch()
    assert copied.data_ptr() != made.data_ptr()
    assert torch.equal(copied.view(torch.uint8), made.view(torch.uint8))
    assert torch.equal(x.cpu().torch().view(torch.uint8), made.cpu().view(torch.uint8))


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("name", [*TORCH_DTYPES, "uint16", "uint32", "uint64"])
def test_types_of_cupy(name):
    import cupy

    made = cupy.asarray(np.array([0, 1, 2, 1]).astype(name))
    x = ps.as_tensor(made)
    assert (x.data, x.dtype) == (made.data.ptr, np.dtype(name))
    back = cupy.asarray(x)
    assert (back.data.ptr, back.dtype) == (made.data.ptr, made.dtype)
    np.testing.assert_array_equal(x.cpu().numpy(), made.get())


@pytest.mark.needs("jax", "ml_dtypes")
@pytest.mark.parametrize("name", ["bfloat16", "float16", "bool", "complex64"])
def test_types_of_jax(name):
    import jax.numpy as jnp

    made = jnp.asarray([0, 1, 2, 1], dtype=getattr(jnp, name if name != "bool" else "bool_"))
    x = ps.as_tensor(made)
    assert x.data == made.unsafe_buffer_pointer()
    assert getattr(x.dtype, "name", str(x.dtype)) == name


class Interface:
    """An array interface of our own making over somebody's memory."""

    def __init__(self, owner, **changed):
        self.owner = owner
        self.__cuda_array_interface__ = {**dict(owner.__cuda_array_interface__), **changed}


def test_read_only():
    base = TorchWork.slow(4, 0)
    work.synchronize()  # version 3 without a stream says that nothing is pending
    x = ps.as_tensor(Interface(base, data=(base.data_ptr(), True), version=3))
    assert x.readonly
    assert (x.data, int(x.cpu().numpy()[-1])) == (base.data_ptr(), 4)
    copied = ps.as_tensor(base).copy()
    with pytest.raises(ps.Error, match=r"read.?only"):
        copied.copy_to(x)
    with pytest.raises(BufferError):
        x.__dlpack__()


WRONG = {
    "a host pointer": ({"data": (np.zeros(4).ctypes.data, False)}, "data|pointer|address"),
    "strides": ({"strides": (3,)}, "stride"),
    "a mask": ({"mask": np.zeros(4)}, "mask"),
    "a type": ({"typestr": "|O8"}, "typestr|object"),
    "a version": ({"version": 1}, "version"),
    "stream 0": ({"stream": 0, "version": 3}, "stream"),
    "a negative size": ({"shape": (-4,)}, "shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named(name):
    import torch

    changed, text = WRONG[name]
    owner = torch.zeros(4, dtype=torch.int32, device="cuda")
    with pytest.raises(ps.TensorError, match=text):
        ps.as_tensor(Interface(owner, **changed))


def test_gradients_are_refused():
    import torch

    x = torch.zeros(4, device="cuda", requires_grad=True)
    with pytest.raises(ps.TensorError, match="requires_grad"):
        ps.as_tensor(x)
    assert ps.as_tensor(x.detach()).data == x.data_ptr()


def test_conjugates_are_refused_or_read_right():
    import torch

    x = torch.tensor([1 + 2j], device="cuda").conj()
    with pytest.raises(BufferError):
        ps.as_tensor(x)
    assert ps.as_tensor(x.resolve_conj()).cpu().numpy()[0] == 1 - 2j


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("kind", ["torch", "cupy", "numba"])
def test_pinned_memory_is_the_cpus(kind):
    import torch

    if kind == "torch":
        array = torch.arange(6, dtype=torch.int32).pin_memory()
        address = array.data_ptr()
    elif kind == "cupy":
        import cupyx

        array = cupyx.empty_pinned((6,), dtype="int32")
        array[:] = np.arange(6)
        address = array.ctypes.data
    else:
        cuda = pytest.importorskip("numba.cuda")
        array = cuda.pinned_array((6,), dtype=np.int32)
        array[:] = np.arange(6)
        address = array.ctypes.data
    x = ps.as_tensor(array)
    assert (x.device, x.data) == ("cpu", address)
    assert x.numpy().tolist() == [0, 1, 2, 3, 4, 5]
    assert x.cuda().cpu().numpy().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.needs("cupy")
def test_managed_memory_is_the_gpus():
    import cupy

    pointer = cupy.cuda.malloc_managed(6 * 4)
    array = cupy.ndarray((6,), dtype=cupy.int32, memptr=pointer)
    array[:] = cupy.arange(6, dtype=cupy.int32)
    x = ps.as_tensor(array)
    assert (x.device, x.data) == ("cuda:0", pointer.ptr)
    assert x.cpu().numpy().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("kind", ["torch", "cupy", "interface"])
def test_the_owner_is_released_once_after_the_last_use(kind):
    """The last use is a slow copy on another stream: until it is over nobody gets the memory back."""
    import cupy
    import torch

    made = TorchWork.slow(6, 0)
    if kind == "cupy":
        made = cupy.asarray(made)
    elif kind == "interface":
        made = Interface(made)
    calls, done = [], torch.cuda.Event()
    stream = ps.Stream("cuda")
    cycles = work.cycles_for(50)
    x = ps.as_tensor(made, on_release=lambda: calls.append(done.query()))
    side = torch.cuda.ExternalStream(int(stream))
    with stream:
        work.torch_spin(cycles)
        y = x.copy()
        done.record(side)
    del x, made
    assert calls == [] or done.query()
    assert eventually(lambda: len(calls) == 1), "with no further call of ours"
    assert calls == [True]
    assert int(y.cpu().numpy()[-1]) == 6
    del y
    gc.collect()
    stream.sync()
    assert len(calls) == 1


@pytest.mark.needs("cupy")
def test_the_back_edge_of_the_array_interface():
    """After the last use of an import by array interface its stream waits for it: the owner may write at once."""
    import cupy

    wrong = cupy.zeros(1, cupy.int32)
    library, ours = cupy.cuda.Stream(non_blocking=True), ps.Stream("cuda")
    for number in range(50):
        with library:
            array = cupy.full(work.COUNT, number, dtype=cupy.int32)
        imported = ps.as_tensor(Interface(array, stream=library.ptr, version=3))
        with ours:
            work.torch_spin(work.SLOW)
            y = imported.copy()
        del imported
        gc.collect()
        with library:  # the library writes again, with no word to Penstock
            array.fill(-1)
        with ours, cupy.cuda.ExternalStream(int(ours)):
            wrong += (cupy.asarray(y.torch()) != number).any()
    work.synchronize()
    assert int(wrong[0]) == 0


class Handle:
    """A stream by its number, as CuPy takes one of others."""

    def __init__(self, handle):
        self.handle = handle

    def __cuda_stream__(self):
        return 0, self.handle


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("kind", ["torch", "cupy", "numba", "jax"])
def test_what_is_pending_in_the_library_is_waited_for(kind):
    """An array that its library still writes, on its current stream, read on another stream of ours."""
    import cupy
    import torch

    pytest.importorskip({"torch": "torch", "cupy": "cupy", "numba": "numba.cuda", "jax": "jax"}[kind])
    work.reuse_memory()
    wrong = torch.zeros((), dtype=torch.int64, device="cuda")
    ours = ps.Stream("cuda")
    work.synchronize()
    for number in range(50):
        expected = number
        if kind == "torch":
            with torch.cuda.stream(torch.cuda.Stream()):
                x = ps.as_tensor(TorchWork.slow(number))
        elif kind == "cupy":
            with cupy.cuda.Stream(non_blocking=True):
                x = ps.as_tensor(work.CupyWork.slow(number))
        elif kind == "numba":
            from numba import cuda

            stream = cuda.stream()
            with cupy.cuda.Stream.from_external(Handle(int(stream))):
                array = work.CupyWork.slow(number)
            named = Interface(array, stream=int(stream), version=3)
            named.kept = stream  # who names a stream keeps it
            x = ps.as_tensor(named)
        else:
            import jax.numpy as jnp

            big = jnp.ones((2048, 2048), jnp.float32)
            product = (big @ big) @ big
            x = ps.as_tensor(product)
            expected = 2048.0 * 2048.0
        with ours:
            y = x.copy().torch()
            wrong += (y != expected).any()
    work.synchronize()
    assert int(wrong) == 0
