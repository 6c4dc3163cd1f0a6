"""Tensors in other libraries: NumPy, PyTorch, the array interface, the buffer protocol, and what each waits for."""

import ctypes
import gc
import threading
import warnings
import weakref

import numpy as np
import pytest
import raw_dlpack as raw
from arrays import VIEWS, numbers, owned, readonly
from helpers import Gate, check_python, eventually, is_gone

import penstock as ps

pytestmark = pytest.mark.asan


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64", "complex128"])
@pytest.mark.parametrize("name", VIEWS)
def test_numpy(name, dtype):
    tensor = VIEWS[name](numbers(dtype))
    for array in (np.from_dlpack(tensor), np.asarray(tensor), tensor.numpy(), np.asarray(memoryview(tensor))):
        assert (array.shape, array.dtype) == (tensor.shape, tensor.dtype)
        assert array.ctypes.data == tensor.data or not tensor.size
        assert array.strides == tensor.strides or not tensor.size or 1 in tensor.shape
        again = ps.as_tensor(array)
        assert (again.shape, again.dtype) == (tensor.shape, tensor.dtype)
    assert np.from_dlpack(tensor, copy=True).ctypes.data != tensor.data or not tensor.size


def test_asarray_with_arguments():
    tensor = numbers()
    assert np.asarray(tensor, dtype="float64").dtype == "float64"
    assert np.array(tensor, copy=True).ctypes.data != tensor.data
    assert np.asarray(tensor, copy=False).ctypes.data == tensor.data
    assert tensor.__array__("int32", copy=True).ctypes.data != tensor.data
    with pytest.raises(ValueError, match="copy"):
        np.asarray(tensor, dtype="float64", copy=False)
    with pytest.raises(ps.TensorError, match="needs a copy"):
        tensor.__array__("float64", copy=False)


@pytest.mark.interop
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "complex64", "float8_e4m3fn"])
@pytest.mark.parametrize("name", [name for name in VIEWS if name != "backwards"])
def test_pytorch(name, dtype):
    torch = pytest.importorskip("torch")
    tensor = VIEWS[name](ps.zeros((4, 6), dtype))
    for way in (torch.from_dlpack, lambda t: torch.utils.dlpack.from_dlpack(t.__dlpack__()), ps.Tensor.torch):
        made = way(tensor)
        assert (tuple(made.shape), made.dtype) == (tensor.shape, getattr(torch, dtype))
        assert made.data_ptr() == tensor.data or not tensor.size
        again = ps.as_tensor(made)
        assert (again.shape, again.dtype) == (tensor.shape, tensor.dtype)
        assert again.data == tensor.data or not tensor.size


@pytest.mark.interop
def test_pytorch_refuses_steps_back():
    pytest.importorskip("torch")
    with pytest.raises(ps.TensorError, match="stride of dimension 0 is -24 bytes; PyTorch has none below 0"):
        numbers()[::-1].torch()


@pytest.mark.interop
def test_pytorch_keeps_the_memory():
    torch = pytest.importorskip("torch")
    for way in (torch.from_dlpack, ps.Tensor.torch):
        tensor, owner = owned()
        made = way(tensor)
        del tensor
        gc.collect()
        assert owner() is not None
        assert made.sum() == 276
        del made
        assert is_gone(owner)


@pytest.mark.interop
def test_read_only_memory_in_pytorch():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.from_dlpack(readonly()).tolist()[3][5] == 23


@pytest.mark.parametrize("take", [np.from_dlpack, np.asarray, memoryview, lambda t: t.numpy()])
def test_the_block_is_reusable_when_the_consumer_is_done(take):
    tensor = ps.empty((1000, 1000), "uint8", device="cpu")
    address = tensor.data
    taken = take(tensor)
    del tensor
    other = ps.empty((1000, 1000), "uint8", device="cpu")
    assert other.data != address  # not while somebody sees it
    del taken

    def comes_again():
        return ps.empty((1000, 1000), "uint8", device="cpu").data == address

    assert eventually(comes_again)


@pytest.mark.parametrize("name", VIEWS)
def test_the_array_interface(name):
    tensor = VIEWS[name](numbers("float16"))
    assert tensor.__array_interface__ == {
        "version": 3, "typestr": "<f2", "shape": tensor.shape, "strides": tensor.strides, "data": (tensor.data, False),
    }  # fmt: skip
    assert readonly().__array_interface__["data"][1] is True


@pytest.mark.host
def test_only_what_applies_exists():
    tensor = numbers()
    assert not hasattr(tensor, "__cuda_array_interface__")
    assert hasattr(tensor, "__array_interface__")
    check_python("""
        import sys
        sys.modules["ml_dtypes"] = None
        import penstock as ps
        assert not hasattr(ps.zeros((2,), "bfloat16"), "__array_interface__")
        assert not hasattr(ps.zeros((2,), "float8_e5m2"), "__array_interface__")
        assert hasattr(ps.zeros((2,), "float16"), "__array_interface__")
    """)


@pytest.mark.host
def test_the_buffer_protocol():
    tensor = numbers()
    view = memoryview(tensor)
    assert (view.shape, view.strides, view.format, view.itemsize) == ((4, 6), (24, 4), "i", 4)
    assert (view.readonly, view.nbytes, view.ndim, view.suboffsets) == (False, 96, 2, ())
    view[1, 2] = 99
    assert tensor.numpy()[1, 2] == 99
    assert memoryview(readonly()).readonly
    assert memoryview(tensor[1, 2]).shape == ()
    assert bytes(tensor[:0]) == b""
    assert bytes(tensor[::-1]) == tensor.numpy()[::-1].tobytes()
    with pytest.raises(BufferError, match="dtype bfloat16"):
        memoryview(ps.zeros((2,), "bfloat16"))


WRITABLE, FORMAT, ND, STRIDES, C, F, ANY = 1, 4, 8, 24, 56, 88, 152


@pytest.mark.parametrize(
    ("make", "flags", "refused"),
    [
        (readonly, WRITABLE, "read-only"),
        (readonly, FORMAT | STRIDES, None),
        (lambda: numbers()[:, ::2], 0, "not contiguous"),
        (lambda: numbers()[:, ::2], ND, "not contiguous"),
        (lambda: numbers()[:, ::2], C, "not contiguous"),
        (lambda: numbers()[:, ::2], F, "not contiguous"),
        (lambda: numbers()[:, ::2], ANY, r"strides are \(24, 8\)"),
        (lambda: numbers()[:, ::2], STRIDES | WRITABLE, None),
        (numbers, 0, None),
        (numbers, ND, None),
        (numbers, C, None),
        (numbers, ANY, None),
        (numbers, F, "not contiguous"),
        (lambda: ps.as_tensor(np.asfortranarray(numbers().numpy())), F, None),
        (lambda: ps.as_tensor(np.asfortranarray(numbers().numpy())), ANY, None),
        (lambda: ps.as_tensor(np.asfortranarray(numbers().numpy())), C, "not contiguous"),
        (lambda: ps.zeros((2,), "bfloat16"), 0, "dtype bfloat16"),
    ],
)
@pytest.mark.host
def test_requests_of_a_buffer(make, flags, refused):
    get = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)(
        ("PyObject_GetBuffer", ctypes.pythonapi)
    )
    view = ctypes.create_string_buffer(256)
    tensor = make()
    if refused is None:
        assert get(tensor, view, flags) == 0
        assert ctypes.c_void_p.from_buffer(view).value == tensor.data
        ctypes.pythonapi.PyBuffer_Release(view)
    else:
        with pytest.raises(BufferError, match=refused):
            get(tensor, view, flags)


def test_a_buffer_keeps_the_tensor():
    tensor, owner = owned()
    view = memoryview(tensor)
    reference = weakref.ref(tensor)
    del tensor
    gc.collect()
    assert reference() is not None
    view.release()
    assert is_gone(owner)


WAITING = {
    "numpy": lambda t: t.numpy(),
    "__dlpack__": lambda t: t.__dlpack__(),
    "__dlpack__ copied": lambda t: t.__dlpack__(copy=True),
    "np.from_dlpack": np.from_dlpack,
    "asarray": np.asarray,
    "memoryview": memoryview,
    "__array_interface__": lambda t: t.__array_interface__,
}


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("write", [True, False])
def test_an_export_waits_for_the_uses_so_far(name, write):
    tensor, stream, gate = numbers(), ps.Stream("cpu"), Gate()
    if write:
        stream.launch(gate, writes=tensor)
    else:
        stream.launch(gate, tensor)
    done = threading.Event()

    def export():
        WAITING[name](tensor)
        done.set()

    thread = threading.Thread(target=export)
    thread.start()
    assert gate.entered.wait(10)
    assert done.wait(0.05) is (name == "__dlpack__ copied" and not write)  # a copy only reads
    gate.open()
    thread.join(10)
    assert done.is_set()


def test_minus_one_does_not_wait():
    tensor, stream, gate = numbers(), ps.Stream("cpu"), Gate()
    stream.launch(gate, writes=tensor)
    try:
        assert raw.read(tensor.__dlpack__(stream=-1)).tensor.data == tensor.data
    finally:
        gate.open()


@pytest.mark.parametrize("name", [name for name in WAITING if "copied" not in name])
def test_an_export_in_a_task_does_not_wait_for_its_own_stream(name):
    tensor, stream, gate = numbers(), ps.Stream("cpu"), Gate()
    stream.launch(lambda t: None, writes=tensor, t=tensor)
    event = stream.launch(lambda: (gate(), WAITING[name](tensor))[1])
    stream.launch(lambda: None, writes=tensor)
    gate.open()
    event.result()
