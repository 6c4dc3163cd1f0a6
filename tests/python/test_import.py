"""as_tensor: all that the protocols allow an array to be."""

import array
import ctypes
import mmap

import numpy as np
import pytest
import raw_dlpack as raw
from arrays import ARRAY, interface, speaking

import penstock as ps

pytestmark = pytest.mark.asan


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("deleter", [True, False])
@pytest.mark.parametrize("as_capsule", [True, False])
def test_capsules(versioned, deleter, as_capsule):
    producer = raw.Producer(versioned=versioned, deleter=deleter)
    source = producer.__dlpack__() if as_capsule else producer
    tensor = ps.as_tensor(source, "HW")
    assert (tensor.data, tensor.shape, tensor.layout) == (producer.export.array.ctypes.data, (4, 6), "HW")
    if as_capsule:
        assert raw.get_name(source) == (b"used_dltensor_versioned" if versioned else b"used_dltensor")
    assert producer.export.deletes == 0
    del source, tensor
    assert producer.export.deletes == int(deleter)


def test_strides_that_are_not_there_are_packed():
    producer = raw.Producer(strides=None)
    assert ps.as_tensor(producer).strides == (6, 1)


def test_an_offset():
    producer = raw.Producer(shape=(3,), strides=(2,), byte_offset=5)
    tensor = ps.as_tensor(producer)
    assert tensor.data == producer.export.array.ctypes.data + 5
    assert tensor.numpy().tolist() == [5, 7, 9]


@pytest.mark.parametrize("data", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("shape", [(0,), (4, 0, 6), (0, 2**40)])
def test_no_elements_wherever_it_points(data, shape):
    strides = tuple(2**62 for _ in shape)
    for source in (
        raw.Producer(shape=shape, strides=strides, data=data, byte_offset=77),
        speaking(__array_interface__=interface(shape=shape, strides=strides, data=(data, False))),
    ):
        tensor = ps.as_tensor(source)
        assert (tensor.shape, tensor.size, tensor.is_contiguous()) == (shape, 0, True)
        assert tensor.copy().shape == shape
        assert tensor.numpy().shape == shape


@pytest.mark.parametrize("shape", [(0, 100), (100, 0), (0,), (3, 0, 2**50)])
@pytest.mark.parametrize("strides", [None, "huge"])
def test_no_elements_over_an_empty_buffer(shape, strides):
    strides = None if strides is None else tuple(2**62 for _ in shape)
    source = speaking(__array_interface__={
        "version": 3, "shape": shape, "strides": strides, "typestr": "<f4", "data": b"", "offset": 0,
    })  # fmt: skip
    assert ps.as_tensor(source).shape == shape


@pytest.mark.parametrize(
    ("shape", "strides", "text"),
    [((4, 6), None, None), ((4, 6), (0, 1), None), ((4,), (-6,), 18), ((2, 1), (6, 2**60), 0), ((), (), 23)],
)
def test_a_buffer_with_an_offset(shape, strides, text):
    data = bytearray(range(24))
    fields = {"version": 3, "shape": shape, "strides": strides, "typestr": "|u1", "data": data}
    if text is not None:
        fields["offset"] = text
    tensor = ps.as_tensor(speaking(__array_interface__=fields))
    expected = np.ndarray(shape, "uint8", data, text or 0, strides)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    with pytest.raises(BufferError):
        data.clear()  # exported: it can't be resized
    del tensor
    data.clear()


def test_a_scalar():
    for source in (np.array(2.5), np.float64(2.5), raw.Producer(np.array(2.5)), ctypes.c_double(2.5)):
        tensor = ps.as_tensor(source)
        assert (tensor.shape, tensor.dtype) == ((), "float64")
        assert tensor.numpy() == 2.5


STRIDED = {
    "broadcast": np.broadcast_to(np.arange(6, dtype="int16"), (4, 6)),
    "all of it one element": np.broadcast_to(np.int16(7), (3, 5)),
    "backwards": np.arange(24, dtype="int16").reshape(4, 6)[::-1, ::-1],
    "columns first": np.arange(24, dtype="int16").reshape(4, 6).T,
    "steps": np.arange(24, dtype="int16").reshape(4, 6)[::2, 1::3],
    "overlapping": np.lib.stride_tricks.sliding_window_view(np.arange(9, dtype="int16"), 4),
}


@pytest.mark.parametrize("name", STRIDED)
def test_strides_of_any_kind(name):
    array = STRIDED[name]
    for source in (array, raw.Producer(array), speaking(__array_interface__=interface(array))):
        tensor = ps.as_tensor(source)
        assert tensor.data == array.ctypes.data
        assert tensor.strides == array.strides
        np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("stride", [0, -1, 2**63 - 1, -(2**63), 3])
def test_strides_of_one_element_are_never_used(stride):
    array = np.arange(4, dtype="int16").reshape(1, 4)
    for source in (
        raw.Producer(array, strides=(stride, 1)),
        speaking(__array_interface__=interface(array, strides=(stride, 2))),
    ):
        tensor = ps.as_tensor(source)
        assert tensor.shape == (1, 4)
        assert tensor.is_contiguous()
        assert tensor.numpy().tolist() == [[0, 1, 2, 3]]


def test_read_only():
    array = ARRAY.copy()
    array.flags.writeable = False
    sources = [array, b"abc", raw.Producer(flags=raw.READ_ONLY), memoryview(bytearray(b"abc")).toreadonly()]
    sources.append(speaking(__array_interface__=interface(array)))
    for source in sources:
        tensor = ps.as_tensor(source)
        assert tensor.readonly
        assert tensor[:1].readonly
        assert not tensor.numpy().flags.writeable
    assert not ps.as_tensor(raw.Producer(flags=0)).readonly
    assert not ps.as_tensor(raw.Producer(versioned=False)).readonly


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                                   "float16", "float32", "float64", "complex64", "complex128"])  # fmt: skip
def test_types_by_every_protocol(dtype):
    array = np.array([0, 1, 2, 3]).astype(dtype)
    for source in (array, raw.Producer(array), speaking(__array_interface__=interface(array)), memoryview(array)):
        tensor = ps.as_tensor(source)
        assert (tensor.dtype, tensor.data) == (array.dtype, array.ctypes.data)


@pytest.mark.parametrize(
    ("code", "bits", "name"),
    [(raw.BFLOAT, 16, "bfloat16"), (7, 8, "float8_e3m4"), (8, 8, "float8_e4m3"), (9, 8, "float8_e4m3b11fnuz"),
     (10, 8, "float8_e4m3fn"), (11, 8, "float8_e4m3fnuz"), (12, 8, "float8_e5m2"), (13, 8, "float8_e5m2fnuz"),
     (14, 8, "float8_e8m0fnu")],
)  # fmt: skip
def test_types_that_numpy_lacks(code, bits, name):
    tensor = ps.as_tensor(raw.Producer(np.zeros((2, 3), f"uint{bits}"), code=code))
    assert tensor.dtype == name
    assert tensor.itemsize == bits // 8


@pytest.mark.interop
@pytest.mark.parametrize(
    "name", ["bool", "uint8", "int64", "float16", "bfloat16", "float64", "complex64", "float8_e4m3fn", "float8_e5m2"]
)
def test_types_of_pytorch(name):
    torch = pytest.importorskip("torch")
    source = torch.zeros(2, 3, dtype=getattr(torch, name))
    tensor = ps.as_tensor(source[:, 1:])
    assert (tensor.dtype, tensor.shape, tensor.data) == (name, (2, 2), source.data_ptr() + source.element_size())


@pytest.mark.interop
def test_pytorch():
    torch = pytest.importorskip("torch")
    source = torch.arange(24).reshape(4, 6)
    for view in (source, source.T, source[1:, ::2], source[0, 0], source[:0], source.expand(2, 4, 6)):
        tensor = ps.as_tensor(view)
        assert tensor.shape == tuple(view.shape)
        np.testing.assert_array_equal(tensor.numpy(), view.numpy())
        assert not view.numel() or tensor.data == view.data_ptr()
    ps.as_tensor(source).numpy()[0, 0] = 99
    assert source[0, 0] == 99
    assert ps.as_tensor(torch.nn.Parameter(torch.ones(3), requires_grad=False)).shape == (3,)
    with torch.no_grad():
        assert ps.as_tensor(torch.ones(3, requires_grad=True).detach()).shape == (3,)


def test_pinned_memory_is_the_cpus():
    assert ps.as_tensor(raw.Producer(device_type=raw.CUDA_HOST, device=(raw.CUDA_HOST, 0))).device == "cpu"
    assert ps.as_tensor(raw.Producer(device_type=raw.CUDA_HOST, device=(raw.CPU, 0))).device == "cpu"
    assert ps.as_tensor(raw.Producer(device_id=5, device=(raw.CPU, 0))).device == "cpu"


def test_items_that_are_not_aligned():
    array = np.frombuffer(b"x" + np.arange(4, dtype="<f8").tobytes(), "<f8", offset=1)
    for source in (array, raw.Producer(array)):
        tensor = ps.as_tensor(source)
        assert tensor.copy().numpy().tolist() == [0, 1, 2, 3]


def test_buffers():
    with mmap.mmap(-1, 4096) as mapped:
        tensor = ps.as_tensor(mapped)
        assert (tensor.shape, tensor.dtype, tensor.readonly) == ((4096,), "uint8", False)
        with pytest.raises(BufferError):
            mapped.close()
        del tensor
    numbers = array.array("d", [1, 2, 3])
    assert ps.as_tensor(numbers).data == numbers.buffer_info()[0]
    assert ps.as_tensor((ctypes.c_int32 * 3 * 2)()).shape == (2, 3)
    view = memoryview(bytes(range(24))).cast("B", (4, 6))
    assert ps.as_tensor(view).shape == (4, 6)
    backwards = memoryview(bytearray(range(5)))[::-2]
    assert ps.as_tensor(backwards).numpy().tolist() == [4, 2, 0]


@pytest.mark.parametrize("order", "<=|")
def test_typestrs(order):
    assert ps.as_tensor(speaking(__array_interface__=interface(typestr=f"{order}f4", descr=None))).dtype == "float32"


def test_optional_fields_of_an_array_interface():
    for fields in ({"strides": None}, {"descr": None}, {"mask": None}, {"descr": [("", "<f4")]}, {"more": object()}):
        assert ps.as_tensor(speaking(__array_interface__=interface(**fields))).data == ARRAY.ctypes.data
    assert ps.as_tensor(speaking(__array_interface__=interface(version=4))).shape == (4, 6)
    data = (np.uint64(ARRAY.ctypes.data), np.True_)
    assert ps.as_tensor(speaking(__array_interface__=interface(shape=(np.int32(4), 6), data=data))).readonly
