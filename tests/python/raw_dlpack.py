"""DLPack capsules made and read by hand, with any field right or wrong, and producers of them."""

from __future__ import annotations

import ctypes
import weakref
from ctypes import CFUNCTYPE, POINTER, PYFUNCTYPE, Structure, c_char_p, c_int32, c_int64, c_uint64, c_void_p

import numpy as np

CPU, CUDA, CUDA_HOST, ROCM, CUDA_MANAGED = 1, 2, 3, 10, 13
INT, UINT, FLOAT, BFLOAT, COMPLEX, BOOL = 0, 1, 2, 4, 5, 6
READ_ONLY, IS_COPIED, SUBBYTE_PADDED = 1, 2, 4
CODES = {"i": INT, "u": UINT, "f": FLOAT, "c": COMPLEX, "b": BOOL}


class Record(Structure):
    """DLTensor"""

    _fields_ = [
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class Managed(Structure):
    """DLManagedTensor"""

    _fields_ = [("tensor", Record), ("context", c_void_p), ("deleter", c_void_p)]


class ManagedVersioned(Structure):
    """DLManagedTensorVersioned"""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", Record),
    ]


Deleter = CFUNCTYPE(None, c_void_p)
Destructor = PYFUNCTYPE(None, c_void_p)


def _api(name, result, *arguments):
    return PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


new_capsule = _api("PyCapsule_New", ctypes.py_object, c_void_p, c_char_p, c_void_p)
is_valid = _api("PyCapsule_IsValid", ctypes.c_int, c_void_p, c_char_p)
raw_pointer = _api("PyCapsule_GetPointer", c_void_p, c_void_p, c_char_p)
get_name = _api("PyCapsule_GetName", c_char_p, ctypes.py_object)
get_pointer = _api("PyCapsule_GetPointer", c_void_p, ctypes.py_object, c_char_p)
set_name = _api("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, c_char_p)
set_destructor = _api("PyCapsule_SetDestructor", ctypes.c_int, ctypes.py_object, c_void_p)

_exports: dict[int, Export] = {}  # by address of the managed struct, until its deleter is called
_names: dict[bytes, bytes] = {}


def _kept(name):
    """A capsule keeps the address of its name only."""
    return _names.setdefault(name, name)


@Deleter
def _delete(address):
    export = _exports.pop(address)
    export.deletes += 1
    export.array = export.owner = None


@Destructor
def _destroy(capsule):
    """As producers do: an unused capsule frees what is in it."""
    for name, kind in ((b"dltensor_versioned", ManagedVersioned), (b"dltensor", Managed)):
        if is_valid(capsule, name):
            managed = kind.from_address(raw_pointer(capsule, name))
            if managed.deleter:
                Deleter(managed.deleter)(ctypes.addressof(managed))


class Export:
    """A managed struct over an array, fields changed at will, and how often its deleter was called.

    ``owner`` is kept by the struct alone. ``deleter`` False: NULL, and the struct lives as long as this object.
    """

    def __init__(self, array=None, *, versioned=True, deleter=True, owner=None, **fields):
        self.array = np.arange(24, dtype="uint8").reshape(4, 6) if array is None else array
        self.owner = owner
        self.deletes = 0
        array, item = self.array, self.array.itemsize
        shape = fields.pop("shape", array.shape)
        strides = fields.pop("strides", tuple(step // item for step in array.strides))
        self.numbers = [None if n is None else (c_int64 * max(len(n), 1))(*n) for n in (shape, strides)]
        self.managed = (ManagedVersioned if versioned else Managed)()
        if versioned:
            self.managed.major, self.managed.minor = fields.pop("version", (1, 1))
            self.managed.flags = fields.pop("flags", 0)
        self.managed.deleter = ctypes.cast(_delete, c_void_p) if deleter else None
        record = self.managed.tensor
        record.data, record.device_type, record.ndim = array.ctypes.data, CPU, len(shape or ())
        record.code, record.bits, record.lanes = CODES.get(array.dtype.kind, UINT), item * 8, 1
        for name, numbers in zip(("shape", "strides"), self.numbers, strict=True):
            if numbers is not None:
                setattr(record, name, ctypes.cast(numbers, POINTER(c_int64)))
        for name, value in fields.items():
            assert hasattr(record, name), name
            setattr(record, name, value)
        if deleter:
            _exports[ctypes.addressof(self.managed)] = self

    def capsule(self, name=None):
        """A capsule; it calls the deleter if nobody took the struct."""
        if name is None:
            name = "dltensor_versioned" if isinstance(self.managed, ManagedVersioned) else "dltensor"
        return new_capsule(ctypes.addressof(self.managed), _kept(name.encode()), ctypes.cast(_destroy, c_void_p))


class Owner:
    """Something to watch by a weak reference."""


class Producer:
    """An object with ``__dlpack__`` over an Export; ``export.owner`` tells when the memory was let go."""

    def __init__(self, array=None, *, name=None, device=(CPU, 0), **fields):
        self.owner = Owner()
        self.export = Export(array, owner=self.owner, **fields)
        self.name = name
        self.device = device
        self.asked: list[dict[str, object]] = []

    def __dlpack__(self, **keywords):
        self.asked.append(keywords)
        return self.export.capsule(self.name)

    def __dlpack_device__(self):
        return self.device

    def watch(self):
        """A weak reference to what only the exported struct keeps from now on."""
        reference = weakref.ref(self.owner)
        del self.owner
        return reference


def read(capsule):
    """The struct in a capsule, where it lies: valid as long as the capsule is."""
    name = get_name(capsule)
    kind = ManagedVersioned if name == b"dltensor_versioned" else Managed
    return kind.from_address(get_pointer(capsule, name))


def consume(capsule):
    """Takes the struct as a consumer does; gives a function that calls its deleter."""
    managed = read(capsule)
    set_name(capsule, _kept(b"used_" + get_name(capsule)))
    return lambda: Deleter(managed.deleter)(ctypes.addressof(managed))
