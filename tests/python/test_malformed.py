"""Producers that lie: each is refused by an error that names the field, and let go of, once."""

import ctypes
import gc
import mmap
import re
import weakref

import numpy as np
import pytest
import raw_dlpack as raw
from helpers import is_gone

import penstock as ps

pytestmark = pytest.mark.asan

MOST, LEAST = 2**63 - 1, -(2**63)
WRONG = ps.TensorError


class Broken(Exception):  # noqa: N818 - a producer's own
    """What a broken producer raises."""


class Foreign:
    """A bare object to hang attributes on."""


def owned(**attributes):
    """An object of a class of its own with these attributes: functions become methods."""
    return type("Foreign", (Foreign,), attributes)()


def dlpack(array=None, **fields):
    return lambda: raw.Producer(array, **fields)


def array_interface(array=None, **fields):
    """Fields over a good array interface; ... leaves one out."""

    def make():
        kept = np.arange(24, dtype="float32").reshape(4, 6) if array is None else array
        whole = {"version": 3, **kept.__array_interface__, "descr": None, **fields}
        found = {name: value for name, value in whole.items() if value is not ...}
        return owned(kept=kept, __array_interface__=found)

    return make


def cuda_interface(**fields):
    def make():
        whole = {"shape": (4,), "typestr": "<f4", "data": (4096, False), "version": 3, **fields}
        return owned(__cuda_array_interface__=whole)

    return make


def attributes(**values):
    return lambda: owned(**values)


def raising(*_arguments, **_keywords):
    raise Broken("the producer is broken")


def asking(result, device=None):
    """__dlpack__ that gives this."""
    found = {"__dlpack__": lambda self, **_keywords: result}
    if device is not None:
        found["__dlpack_device__"] = lambda self: device
    return lambda: owned(**found)


def capsule_of(name):
    """An object whose capsule has another name; the deleter is not ours to call."""
    return lambda: raw.Producer(name=name)


def used_capsule(versioned):
    def make():
        producer = raw.Producer(versioned=versioned)
        capsule = producer.__dlpack__()
        ps.as_tensor(capsule)
        return owned(producer=producer, __dlpack__=lambda self, **_keywords: capsule)

    return make


def released_memoryview():
    view = memoryview(bytearray(b"abc"))
    view.release()
    return view


def closed_mmap():
    mapped = mmap.mmap(-1, 4096)
    mapped.close()
    return mapped


class SideEffects:
    """An interface whose shape empties it while it is read."""

    def __init__(self):
        self.kept = np.zeros(4, "float32")
        self.fields = {"version": 3, **self.kept.__array_interface__, "shape": (self,)}

    def __index__(self):
        self.fields.clear()
        gc.collect()
        return 4

    @property
    def __array_interface__(self):
        return self.fields


class Disappearing:
    """Its array interface is another each time it is asked for; the second time there is none."""

    def __init__(self):
        self.asked = 0

    @property
    def __array_interface__(self):
        self.asked += 1
        if self.asked > 1:
            raise Broken("asked twice")
        return {"version": 3, "shape": (4,), "typestr": "<f4"}


def structure():
    return (type("Pair", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int), ("b", ctypes.c_float)]}) * 3)()


BAD = {
    # DLPack: the fields of the struct
    "ndim negative": (dlpack(ndim=-1), WRONG, "ndim is -1; 0 to 16"),
    "ndim least": (dlpack(ndim=-(2**31)), WRONG, "ndim is -2147483648"),
    "ndim too many": (dlpack(shape=(1,) * 17, strides=None), WRONG, "ndim is 17; 0 to 16"),
    "ndim huge": (dlpack(ndim=2**31 - 1), WRONG, "ndim is 2147483647"),
    "shape NULL": (dlpack(shape=None, ndim=2), WRONG, "shape is NULL but ndim is 2"),
    "shape negative": (dlpack(shape=(4, -6)), WRONG, r"shape\[1\] is -6"),
    "shape least": (dlpack(shape=(LEAST, 6)), WRONG, r"shape\[0\] is -9223372036854775808"),
    "shape negative beside zero": (dlpack(shape=(0, -1)), WRONG, r"shape\[1\] is -1"),
    "shape overflows": (dlpack(shape=(2**40, 2**40), strides=None), WRONG, "shape .* more than memory"),
    "shape overflows beside zero": (dlpack(shape=(0, 2**40, 2**40), strides=None), WRONG, "shape .* more than memory"),
    "shape wraps the address": (dlpack(shape=(2**62,), strides=None, data=2**62), WRONG, "out of memory|data"),
    "strides overflow": (dlpack(strides=(MOST // 2, 1)), WRONG, "strides"),
    "strides least": (dlpack(strides=(6, LEAST)), WRONG, "strides"),
    "strides least of items": (dlpack(np.zeros((4, 6), "int32"), strides=(LEAST, 1)), WRONG, r"strides\[0\]"),
    "strides below address 0": (dlpack(strides=(-(2**61), 1)), WRONG, "strides|data"),
    "strides cancel out": (dlpack(strides=(MOST // 4, -(MOST // 4))), WRONG, "strides"),
    "lanes 0": (dlpack(lanes=0), WRONG, "dtype.lanes is 0; 1 is"),
    "lanes 4": (dlpack(lanes=4), WRONG, "dtype.lanes is 4; 1 is"),
    "bits 0": (dlpack(bits=0), WRONG, "dtype code 1 with 0 bits .* accepted are"),
    "bits 4": (dlpack(bits=4), WRONG, "dtype code 1 with 4 bits .* accepted are"),
    "bits 255": (dlpack(bits=255), WRONG, "dtype code 1 with 255 bits"),
    "bits of half a complex": (dlpack(code=raw.COMPLEX, bits=32), WRONG, "dtype code 5 with 32 bits"),
    "bits of a bool": (dlpack(code=raw.BOOL, bits=1), WRONG, "dtype code 6 with 1 bits"),
    "code opaque": (dlpack(code=3, bits=64), WRONG, "dtype code 3 with 64 bits"),
    "code unknown": (dlpack(code=200), WRONG, "dtype code 200 with 8 bits"),
    "code of 4-bit floats": (dlpack(code=17, bits=4), WRONG, "dtype code 17 with 4 bits"),
    "data NULL": (dlpack(data=0), WRONG, "data is NULL but the size is not 0"),
    "data NULL with an offset": (dlpack(data=0, byte_offset=4096), WRONG, "data is NULL"),
    "data at the end of memory": (dlpack(data=2**64 - 16), WRONG, "data .* out of memory"),
    "byte_offset overflows": (dlpack(byte_offset=2**64 - 1), WRONG, "byte_offset 18446744073709551615"),
    "byte_offset past all memory": (dlpack(byte_offset=2**63), WRONG, "out of memory"),
    "device ROCm": (dlpack(device_type=raw.ROCM, device=(raw.ROCM, 0)), WRONG, "device_type 10 .* accepted are CPU"),
    "device 0": (dlpack(device_type=0, device=(0, 0)), WRONG, "device_type 0"),
    "device negative": (dlpack(device_type=-1, device=(-1, 0)), WRONG, "device_type -1"),
    "device_id of no GPU": (dlpack(device_type=2, device_id=999, device=(2, 999)), WRONG, "device_id 999 but there are"),
    "device_id negative": (dlpack(device_type=13, device_id=-1, device=(13, -1)), WRONG, "device_id -1 but there are"),
    "flags of sub-byte items": (dlpack(flags=raw.SUBBYTE_PADDED), WRONG, "flags 0x4 say sub-byte"),
    "version 2": (dlpack(version=(2, 0)), WRONG, r"version 2.0; 1.x is accepted"),
    "version 0": (dlpack(version=(0, 9)), WRONG, r"version 0.9; 1.x is accepted"),
    "version huge": (dlpack(version=(2**32 - 1, 0)), WRONG, "version 4294967295.0"),
    "unversioned": (dlpack(versioned=False, ndim=-3), WRONG, "ndim is -3"),
    # DLPack: capsules and calls
    "capsule of another name": (capsule_of("tensor"), WRONG, 'capsule is named "tensor", expected "dltensor_versioned"'),
    "capsule with an empty name": (capsule_of(""), WRONG, 'capsule is named ""'),
    "capsule in Chinese": (capsule_of("张量"), WRONG, 'capsule is named "张量"'),
    "capsule used": (used_capsule(False), WRONG, '"used_dltensor".*consumed before'),
    "capsule used, versioned": (used_capsule(True), WRONG, '"used_dltensor_versioned".*consumed before'),
    "no capsule but None": (asking(None), WRONG, r"__dlpack__\(\) returned NoneType, expected a capsule"),
    "no capsule but an array": (asking(np.zeros(3)), WRONG, r"__dlpack__\(\) returned ndarray"),
    "no capsule but an int": (asking(4096), WRONG, r"__dlpack__\(\) returned int"),
    "__dlpack__ raises": (attributes(__dlpack__=raising), Broken, "the producer is broken"),
    "__dlpack__ is no function": (attributes(__dlpack__=3), TypeError, "not callable"),
    "__dlpack__ is a property that raises": (attributes(__dlpack__=property(raising)), Broken, "producer is broken"),
    "device says CUDA": (dlpack(device=(2, 0)), WRONG, r"__dlpack_device__\(\) is \(2, 0\) but the capsule has device_type 1"),
    "device says ROCm": (dlpack(device=(10, 0)), WRONG, r"__dlpack_device__\(\) is \(10, 0\) but"),
    "device is no pair": (dlpack(device=1), WRONG, r"__dlpack_device__\(\) returned 1, expected \(device_type, device_id\)"),
    "device is a triple": (dlpack(device=(1, 0, 0)), WRONG, r"__dlpack_device__\(\) returned \(1, 0, 0\)"),
    "device is text": (dlpack(device=("cpu", 0)), WRONG, r"__dlpack_device__\(\) returned \('cpu', 0\)"),
    "device is huge": (dlpack(device=(2**70, 0)), WRONG, r"__dlpack_device__\(\) returned \(1180591620717411303424, 0\)"),
    "device is None": (dlpack(device=None), WRONG, r"__dlpack_device__\(\) returned None"),
    "device raises": (
        attributes(__dlpack__=lambda self, **k: raw.Export().capsule(), __dlpack_device__=raising), Broken, "is broken"),
    "device is no function": (
        attributes(__dlpack__=lambda self, **k: raw.Export().capsule(), __dlpack_device__=3), TypeError, "callable"),
    # array interface
    "interface is a list": (attributes(__array_interface__=[1, 2]), WRONG, "__array_interface__: is list, expected a dict"),
    "interface is a function": (attributes(__array_interface__=lambda self: {}), WRONG, "expected a dict"),
    "interface is empty": (attributes(__array_interface__={}), WRONG, "version is None, expected"),
    "interface raises": (attributes(__array_interface__=property(raising)), Broken, "the producer is broken"),
    "interface changes": (Disappearing, WRONG, "data is None"),
    "interface empties itself": (SideEffects, WRONG, "data is None"),
    "version 2 of it": (array_interface(version=2), WRONG, "version is 2; 3 or newer"),
    "version missing": (array_interface(version=...), WRONG, "version is None, expected a 64-bit integer"),
    "version is text": (array_interface(version="3"), WRONG, "version is '3', expected a 64-bit integer"),
    "version is True": (array_interface(version=True), WRONG, "version is True, expected a 64-bit integer"),
    "version is huge": (array_interface(version=2**70), WRONG, "version is 1180591620717411303424, expected a 64-bit"),
    "typestr missing": (array_interface(typestr=...), WRONG, "typestr is None, expected a string"),
    "typestr is bytes": (array_interface(typestr=b"<f4"), WRONG, "typestr is b'<f4', expected a string"),
    "typestr is empty": (array_interface(typestr=""), WRONG, 'typestr "" is not accepted; accepted are'),
    "typestr is short": (array_interface(typestr="<f"), WRONG, 'typestr "<f" is not accepted; accepted are'),
    "typestr is long": (array_interface(typestr="<f4x"), WRONG, 'typestr "<f4x" is not accepted'),
    "typestr with a sign": (array_interface(typestr="<f+4"), WRONG, r'typestr "<f\+4" is not accepted'),
    "typestr of size 0": (array_interface(typestr="<f0"), WRONG, 'typestr "<f0" is not accepted'),
    "typestr of a huge size": (array_interface(typestr="<f99999999999"), WRONG, "typestr .* is not accepted"),
    "typestr of size 3": (array_interface(typestr="<u3"), WRONG, 'typestr "<u3" has a size that is not accepted'),
    "typestr of size 16": (array_interface(typestr="<f16"), WRONG, 'typestr "<f16" has a size'),
    "typestr big-endian": (array_interface(typestr=">f4"), WRONG, 'typestr ">f4" is big-endian'),
    "typestr of no byte order": (array_interface(typestr="xf4"), WRONG, 'typestr "xf4" is not accepted'),
    "typestr of objects": (array_interface(typestr="|O8"), WRONG, r'typestr "\|O8" is not accepted'),
    "typestr of structures": (array_interface(typestr="|V4"), WRONG, r'typestr "\|V4" is not accepted'),
    "typestr of text": (array_interface(typestr="<U1"), WRONG, 'typestr "<U1" is not accepted'),
    "typestr of dates": (array_interface(typestr="<M8[s]"), WRONG, r'typestr "<M8\[s\]" is not accepted'),
    "typestr with a NUL": (array_interface(typestr="<f4\0"), WRONG, r"typestr is '<f4\\x00', expected a string"),
    "typestr no text": (array_interface(typestr="\ud800f4"), WRONG, "typestr is .*, expected a string"),
    "descr of two fields": (array_interface(descr=[("a", "<i2"), ("b", "<i2")]), WRONG, "descr is .* more than typestr"),
    "descr of another type": (array_interface(descr=[("", "<i4")]), WRONG, "descr is .* more than typestr '<f4'"),
    "descr of no fields": (array_interface(descr=[]), WRONG, r"descr is \[\]"),
    "descr of pairs": (array_interface(descr=[("", "<f4", (2,))]), WRONG, "descr is"),
    "descr no list": (array_interface(descr=3), WRONG, "descr is 3"),
    "mask": (array_interface(mask=np.zeros((4, 6), bool)), WRONG, "mask is set; masked arrays are not accepted"),
    "shape missing": (array_interface(shape=...), WRONG, "shape is None, expected a tuple"),
    "shape is a list": (array_interface(shape=[4, 6]), WRONG, r"shape is \[4, 6\], expected a tuple"),
    "shape of floats": (array_interface(shape=(4.0, 6)), WRONG, "shape is 4.0, expected a 64-bit integer"),
    "shape of text": (array_interface(shape=("4", 6)), WRONG, "shape is '4', expected"),
    "shape of bools": (array_interface(shape=(True, 6)), WRONG, "shape is True, expected"),
    "shape of 65 bits": (array_interface(shape=(2**64,)), WRONG, "shape is 18446744073709551616, expected a 64-bit"),
    "shape of 17": (array_interface(shape=(1,) * 17, strides=None), WRONG, "shape has 17 dimensions; at most 16"),
    "shape below 0": (array_interface(shape=(-4, 6)), WRONG, r"shape\[0\] is -4"),
    "strides of another length": (array_interface(strides=(24,)), WRONG, "strides has another length than shape"),
    "strides of too many": (array_interface(strides=(4,) * 17), WRONG, "strides has 17 dimensions; at most 16"),
    "strides is a list": (array_interface(strides=[24, 4]), WRONG, r"strides is \[24, 4\], expected a tuple"),
    "strides of floats": (array_interface(strides=(24.0, 4)), WRONG, "strides is 24.0, expected"),
    "strides between items": (array_interface(strides=(24, 3)), WRONG, r"strides\[1\] is 3 bytes, no multiple of .* 4"),
    "strides too long": (array_interface(strides=(LEAST, 4)), WRONG, "strides"),
    "data is 1 of 2": (array_interface(data=(4096,)), WRONG, r"data is \(4096,\), expected \(address, readonly\)"),
    "data is a triple": (array_interface(data=(4096, False, 0)), WRONG, r"data is \(4096, False, 0\), expected"),
    "data is an int": (array_interface(data=4096), WRONG, "data is 4096, expected .address, readonly. or an object"),
    "data is no address": (array_interface(data=("4096", False)), WRONG, r"data\[0\] is '4096', expected an address"),
    "data is below 0": (array_interface(data=(-1, False)), WRONG, r"data\[0\] is -1, expected an address"),
    "data of 65 bits": (array_interface(data=(2**64, False)), WRONG, r"data\[0\] is 18446744073709551616"),
    "data is 0": (array_interface(data=(0, False)), WRONG, "data is NULL but the size is not 0"),
    "data has no truth": (array_interface(data=(4096, np.zeros(2))), ValueError, "truth value"),
    "data missing": (array_interface(data=...), WRONG, "data is None and the object has no buffer"),
    "buffer too short": (array_interface(data=b"12345678"), WRONG, "lead out of the buffer of 8 bytes"),
    "buffer too short by strides": (
        array_interface(shape=(2,), strides=(8,), data=b"12345678"), WRONG, "strides and offset 0 lead out"),
    "buffer left behind": (array_interface(shape=(2,), strides=(-4,), data=b"12345678"), WRONG, "lead out of the buffer"),
    "offset too large": (array_interface(shape=(1,), strides=None, data=b"12345678", offset=8), WRONG, "offset 8 lead"),
    "offset below 0": (array_interface(shape=(1,), strides=None, data=b"12345678", offset=-4), WRONG, "offset -4 lead"),
    "offset is text": (array_interface(shape=(1,), strides=None, data=b"12345678", offset="0"), WRONG, "offset is '0'"),
    "offset least": (array_interface(shape=(0,), strides=None, data=b"", offset=LEAST), WRONG, "offset -9223372036854775808"),
    "buffer, shape overflows": (
        array_interface(shape=(2**62,) * 3, strides=None, data=b"12345678"), WRONG, "shape, strides and offset 0 lead"),
    "buffer, strides overflow": (
        array_interface(shape=(MOST, MOST), strides=(LEAST, LEAST), data=b"1234"), WRONG, "lead out of the buffer"),
    # the GPU's array interface, and GpuMat
    "GPU interface is a list": (attributes(__cuda_array_interface__=[]), WRONG, "__cuda_array_interface__: is list"),
    "GPU interface raises": (attributes(__cuda_array_interface__=property(raising)), Broken, "is broken"),
    "GPU interface, version 1": (cuda_interface(version=1), WRONG, "version is 1; 2 or newer"),
    "GPU interface, stream 0": (cuda_interface(stream=0), WRONG, "stream is 0; 1 .legacy., 2 .per thread. or a handle"),
    "GPU interface, stream -1": (cuda_interface(stream=-1), WRONG, "stream is -1"),
    "GPU interface, stream is text": (cuda_interface(stream="1"), WRONG, "stream is '1', expected a 64-bit integer"),
    "GPU interface, mask": (cuda_interface(mask=owned()), WRONG, "mask is set"),
    "GPU interface, data": (cuda_interface(data=None), WRONG, r"data is None, expected \(address, readonly\)"),
    "GpuMat without a type": (attributes(cudaPtr=lambda self: 4096), WRONG, "GpuMat: type is None, expected"),
    "GpuMat without a size": (attributes(cudaPtr=lambda self: 4096, type=16), WRONG, "GpuMat: size is None"),
    "GpuMat of three sides": (
        attributes(cudaPtr=lambda self: 4096, type=16, size=(1, 2, 3)), WRONG, r"GpuMat: size is \(1, 2, 3\), expected"),
    "GpuMat of no type": (
        attributes(cudaPtr=lambda self: 4096, type=15, channels=3), WRONG, "GpuMat: type 15 with 3 channels"),
    "GpuMat without a step": (
        attributes(cudaPtr=lambda self: 4096, type=16, size=(8, 6)), WRONG, "GpuMat: step is None"),
    "GpuMat without an address": (
        attributes(cudaPtr=lambda self: None, type=16, size=(8, 6), step=64), WRONG, r"GpuMat: cudaPtr\(\) is None"),
    "GpuMat that raises": (attributes(cudaPtr=raising, type=16, size=(8, 6), step=64), Broken, "is broken"),
    "everything raises": (attributes(__getattr__=raising), Broken, "is broken"),
    # buffers
    "buffer of objects": (lambda: np.zeros(3, object), WRONG, 'buffer format "O" .* accepted are'),
    "buffer of structures": (lambda: np.zeros(3, "i4,f4"), WRONG, "buffer format .* accepted are"),
    "buffer of C structures": (structure, WRONG, "buffer format .* accepted are"),
    "buffer of pointers": (lambda: (ctypes.c_void_p * 3)(), WRONG, 'buffer format "<P"'),
    "buffer of text": (lambda: np.zeros(3, "U3"), WRONG, "buffer format .* accepted are"),
    "buffer of long doubles": (lambda: np.zeros(3, "longdouble"), WRONG, 'buffer format "g" with items of 16 bytes'),
    "buffer big-endian": (lambda: np.zeros(3, ">f4"), WRONG, 'buffer format ">f" is big-endian'),
    "buffer of C, big-endian": (lambda: (ctypes.c_int16.__ctype_be__ * 3)(), WRONG, 'buffer format ">h" is big-endian'),
    "buffer of dates": (lambda: np.zeros(3, "M8[s]"), BufferError, r'typestr "<M8\[s\]".*__dlpack__ said'),
    "buffer released": (released_memoryview, ValueError, "released memoryview"),
    "buffer closed": (closed_mmap, ValueError, "closed"),
    "masked array": (lambda: np.ma.array([1, 2], mask=[0, 1]), WRONG, "mask: .*MaskedArray is not accepted; pass x.filled"),
    "masked scalar": (lambda: np.ma.masked, WRONG, "mask: .*MaskedConstant is not accepted"),
}  # fmt: skip


def test_there_are_enough_of_them():
    assert len(BAD) > 120


def refusal_of(source):
    """What as_tensor raised, as text: the exception would keep the source alive."""
    calls = []
    try:
        ps.as_tensor(source, on_release=lambda: calls.append(1))
    except Exception as error:
        assert not calls
        return type(error), str(error)
    raise AssertionError("it was accepted")


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_and_let_go_of(name):
    make, error, text = BAD[name]
    source = make()
    kind, message = refusal_of(source)
    assert issubclass(kind, error), (kind, message)
    assert re.search(text, message), message
    if isinstance(source, raw.Producer):
        export, owner = source.export, source.watch()
        made = len(source.asked) if source.name is None else 0  # capsules that know their deleter
        del source
        assert export.deletes == made  # by the capsule, which stayed the producer's
        assert not made or owner() is None or is_gone(owner)
    elif isinstance(source, (Foreign, SideEffects, Disappearing)):
        reference = weakref.ref(source)
        del source
        assert reference() is None or is_gone(reference)


@pytest.mark.interop
@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda t: t.ones(3, requires_grad=True), BufferError, "requires_grad is set.*pass x.detach"),
        (lambda t: t.ones(3, requires_grad=True) * 2, BufferError, "requires_grad is set"),
        (lambda t: t.nn.Parameter(t.ones(3)), BufferError, "requires_grad is set"),
        (lambda t: t.ones(3, dtype=t.complex64).conj(), BufferError, r"is_conj\(\) is true.*resolve_conj"),
        (lambda t: t.ones(3, dtype=t.complex64).conj().imag, BufferError, r"is_neg\(\) is true.*resolve_neg"),
        (lambda t: t.zeros(3, dtype=t.float4_e2m1fn_x2), WRONG, "dtype.lanes is 2; 1 is accepted"),
        (lambda t: t.empty(3, device="meta"), RuntimeError, "meta"),
        (lambda t: t.eye(3).to_sparse(), RuntimeError, "storage"),
    ],
)
def test_tensors_of_pytorch(make, error, text):
    torch = pytest.importorskip("torch")
    source = make(torch)
    kind, message = refusal_of(source)
    assert issubclass(kind, error), (kind, message)
    assert re.search(text, message), message
    reference = weakref.ref(source)
    del source
    assert reference() is None or is_gone(reference)
