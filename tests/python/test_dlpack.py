"""What a tensor gives by DLPack: the struct, the keywords, the refusals, the consumer's end, the C exchange API."""

import ctypes
import gc
import threading

import numpy as np
import pytest
import raw_dlpack as raw
from arrays import VIEWS, numbers, owned, readonly
from helpers import is_gone

import penstock as ps

pytestmark = pytest.mark.asan


def struct_of(capsule):
    record = raw.read(capsule).tensor
    count = record.ndim
    return record, record.shape[:count] if count else [], record.strides[:count] if count else []


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("name", VIEWS)
def test_the_struct_is_exact(name, versioned):
    tensor = VIEWS[name](numbers())
    capsule = tensor.__dlpack__(max_version=(1, 0) if versioned else None)
    record, shape, strides = struct_of(capsule)
    assert record.data == (tensor.data if tensor.size else None)
    assert record.byte_offset == 0
    assert bool(record.shape)
    assert bool(record.strides)  # never NULL
    assert (tuple(shape), tuple(step * 4 for step in strides)) == (tensor.shape, tensor.strides)
    assert (record.device_type, record.device_id, record.ndim) == (raw.CPU, 0, tensor.ndim)
    assert (record.code, record.bits, record.lanes) == (raw.INT, 32, 1)


@pytest.mark.parametrize(
    ("dtype", "code", "bits"),
    [("bool", 6, 8), ("int8", 0, 8), ("uint64", 1, 64), ("float16", 2, 16), ("bfloat16", 4, 16), ("complex64", 5, 64),
     ("float8_e3m4", 7, 8), ("float8_e4m3fn", 10, 8), ("float8_e5m2", 12, 8), ("float8_e8m0fnu", 14, 8)],
)  # fmt: skip
def test_types_in_the_struct(dtype, code, bits):
    record, _, _ = struct_of(ps.zeros((2,), dtype).__dlpack__())
    assert (record.code, record.bits, record.lanes) == (code, bits, 1)


@pytest.mark.parametrize("max_version", [None, (0, 8), (1, 0), (1, 3), (1, 99), (2, 0), (2**40, 0)])
def test_versions(max_version):
    capsule = numbers().__dlpack__(max_version=max_version)
    if max_version is None or max_version[0] < 1:
        assert raw.get_name(capsule) == b"dltensor"
    else:
        assert raw.get_name(capsule) == b"dltensor_versioned"
        managed = raw.read(capsule)
        assert (managed.major, managed.minor, managed.flags) == (1, 3, 0)


def test_keywords_only():
    with pytest.raises(TypeError):
        numbers().__dlpack__(None)
    with pytest.raises(TypeError):
        numbers().__dlpack__(streams=None)


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"stream": 0}, BufferError, "stream is 0; for a tensor on the CPU None and -1 are accepted"),
        ({"stream": 1}, BufferError, "stream is 1"),
        ({"stream": 2}, BufferError, "stream is 2"),
        ({"stream": 2**70}, BufferError, "stream is"),
        ({"stream": True}, BufferError, "stream is True"),
        ({"stream": -1.0}, BufferError, "stream is -1.0"),
        ({"stream": "-1"}, BufferError, "stream is '-1'"),
        ({"max_version": 1}, ps.ArgumentTypeError, "max_version is 1, expected a tuple of two integers"),
        ({"max_version": (1,)}, ps.ArgumentTypeError, r"max_version is \(1,\)"),
        ({"max_version": (1, "0")}, ps.ArgumentTypeError, r"max_version is \(1, '0'\)"),
        ({"max_version": (1.0, 0)}, ps.ArgumentTypeError, r"max_version is \(1.0, 0\)"),
        ({"max_version": (2**70, 0)}, ps.ArgumentTypeError, "max_version is"),
        ({"dl_device": (2, 0)}, BufferError, r"dl_device is \(2, 0\) but the tensor is on cpu"),
        ({"dl_device": (1, 1)}, BufferError, r"dl_device is \(1, 1\)"),
        ({"dl_device": "cpu"}, ps.ArgumentTypeError, "dl_device is 'cpu', expected a tuple"),
        ({"dl_device": (2, 0), "copy": False}, BufferError, r"dl_device is \(2, 0\)"),
        ({"copy": 1}, ps.ArgumentTypeError, "copy is 1; None, True and False"),
        ({"copy": "no"}, ps.ArgumentTypeError, "copy is 'no'"),
    ],
)
def test_wrong_keywords(keywords, error, text):
    with pytest.raises(error, match=text) as caught:
        numbers().__dlpack__(**keywords)
    assert isinstance(caught.value, ps.Error)


@pytest.mark.parametrize("stream", [None, -1])
@pytest.mark.parametrize("max_version", [None, (1, 0)])
@pytest.mark.parametrize("dl_device", [None, (1, 0)])
@pytest.mark.parametrize("copy", [None, True, False])
def test_all_combinations(stream, max_version, dl_device, copy):
    tensor = numbers()[:, 1::2]
    capsule = tensor.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
    record, shape, strides = struct_of(capsule)
    assert tuple(shape) == (4, 3)
    if copy:
        assert record.data != tensor.data
        assert strides == [3, 1]
        again = ps.as_tensor(capsule)
        np.testing.assert_array_equal(again.numpy(), tensor.numpy())
    else:
        assert (record.data, strides) == (tensor.data, [6, 2])
    if max_version is not None:
        assert raw.read(tensor.__dlpack__(max_version=max_version, copy=copy)).flags == (raw.IS_COPIED if copy else 0)


def test_a_read_only_tensor():
    tensor = readonly()
    assert raw.read(tensor.__dlpack__(max_version=(1, 0))).flags == raw.READ_ONLY
    for keywords in ({}, {"max_version": None}, {"max_version": (0, 8)}, {"copy": False}):
        with pytest.raises(BufferError, match=r"read-only.*max_version") as caught:
            tensor.__dlpack__(**keywords)
        assert isinstance(caught.value, ps.ExchangeError)
    copied = tensor.__dlpack__(copy=True)
    assert raw.read(copied).tensor.data != tensor.data
    assert raw.read(tensor.__dlpack__(copy=True, max_version=(1, 0))).flags == raw.IS_COPIED
    assert not np.from_dlpack(tensor).flags.writeable


def test_the_device():
    assert ps.zeros((2,), "uint8", device="cpu").__dlpack_device__() == (1, 0)
    assert [type(number) for number in numbers().__dlpack_device__()] == [int, int]


@pytest.mark.parametrize("versioned", [True, False])
def test_a_capsule_that_nobody_takes(versioned):
    tensor, owner = owned()
    capsule = tensor.__dlpack__(max_version=(1, 0) if versioned else None)
    del tensor
    gc.collect()
    assert owner() is not None
    del capsule
    assert is_gone(owner)


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_consumer_that_drops_it(versioned, elsewhere):
    tensor, owner = owned()
    capsule = tensor.__dlpack__(max_version=(1, 0) if versioned else None)
    drop = raw.consume(capsule)
    del tensor, capsule
    gc.collect()
    assert owner() is not None
    if elsewhere:
        thread = threading.Thread(target=drop)
        thread.start()
        thread.join()
    else:
        drop()
    assert is_gone(owner)


class Api(ctypes.Structure):
    """DLPackExchangeAPI"""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("from_object", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(ctypes.c_void_p))),
        ("to_object", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.py_object))),
        ("borrow", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(raw.Record))),
        (
            "work_stream",
            ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p)),
        ),
    ]


@pytest.fixture
def api():
    capsule = ps.Tensor.__dlpack_c_exchange_api__
    assert raw.get_name(capsule) == b"dlpack_exchange_api"
    return Api.from_address(raw.get_pointer(capsule, b"dlpack_exchange_api"))


def test_the_exchange_api(api):
    assert (api.major, api.minor, api.previous) == (1, 3, None)
    tensor, owner = owned()
    address = ctypes.c_void_p()
    assert api.from_object(tensor, address) == 0
    managed = raw.ManagedVersioned.from_address(address.value)
    assert (managed.major, managed.tensor.data, managed.tensor.strides[:2]) == (1, tensor.data, [6, 1])
    made = ctypes.py_object()
    assert api.to_object(address, made) == 0
    assert type(made.value) is ps.Tensor
    assert made.value.data == tensor.data
    del tensor
    gc.collect()
    assert owner() is not None
    ctypes.pythonapi.Py_DecRef(made)  # the reference that the function gave
    del made
    assert is_gone(owner)


def test_the_exchange_api_lends(api):
    for view in VIEWS.values():
        tensor = view(numbers())
        record = raw.Record()
        assert api.borrow(tensor, record) == 0
        assert (record.data or tensor.data, record.ndim, record.byte_offset) == (tensor.data, tensor.ndim, 0)
        assert tuple(record.shape[: tensor.ndim]) == tensor.shape
        assert tuple(4 * step for step in record.strides[: tensor.ndim]) == tensor.strides
    stream = ctypes.c_void_p(7)
    assert api.work_stream(1, 0, stream) == 0
    assert stream.value is None


def test_the_exchange_api_refuses(api):
    with pytest.raises(ps.ArgumentTypeError, match=r"no penstock.Tensor"):
        api.from_object(np.zeros(3), ctypes.c_void_p())
    export = raw.Export(version=(2, 0))
    with pytest.raises(ps.TensorError, match=r"version 2.0; 1.x is accepted"):
        api.to_object(ctypes.addressof(export.managed), ctypes.py_object())
    assert export.deletes == 0  # still the caller's
    raw.Deleter(export.managed.deleter)(ctypes.addressof(export.managed))
