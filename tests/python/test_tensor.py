"""Tensors: attributes, views, copies and creation, as NumPy has them."""

import copy
import pickle
import weakref

import numpy as np
import pytest
from helpers import examples, is_gone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import penstock as ps

NUMPY_DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip


def numbers(*shape, dtype="float32"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_attributes_are_those_of_the_array(dtype):
    array = numbers(2, 3, 4, dtype=dtype)
    tensor = ps.as_tensor(array, "HWC")
    for name in ("shape", "strides", "dtype", "ndim", "size", "nbytes", "itemsize"):
        assert getattr(tensor, name) == getattr(array, name), name
    assert tensor.data == array.ctypes.data
    assert tensor.layout == "HWC"
    assert tensor.device == "cpu"
    assert tensor.readonly is False
    assert tensor.is_contiguous() is True
    assert len(tensor) == 2
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_types_of_attributes():
    tensor = ps.empty((2, 3), "float32")
    assert type(tensor.shape) is tuple
    assert type(tensor.strides) is tuple
    assert isinstance(tensor.dtype, np.dtype)
    assert isinstance(tensor.device, str)
    assert tensor.layout is None
    assert type(tensor.data) is int


@pytest.mark.parametrize(
    "name",
    ["shape", "strides", "dtype", "layout", "device", "ndim", "size", "nbytes", "itemsize", "data", "readonly"],
)
def test_attributes_are_read_only(name):
    tensor = ps.empty((2, 3), "float32")
    with pytest.raises(AttributeError):
        setattr(tensor, name, getattr(tensor, name))


@pytest.mark.host
def test_repr_says_what_it_is():
    assert repr(ps.empty((4, 5, 3), "uint8", "HWC")) == '<penstock.Tensor (4, 5, 3) uint8 "HWC" on cpu>'
    assert repr(ps.empty((4,), "float32")) == "<penstock.Tensor (4,) float32 on cpu>"
    assert repr(ps.as_tensor(b"abc")) == "<penstock.Tensor (3,) uint8 on cpu, read-only>"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda a: a, True),
        (lambda a: a[:, :, ::2], False),
        (lambda a: a.transpose(2, 1, 0), False),
        (lambda a: a[:1], True),
        (lambda a: a[:, :1], False),
        (lambda a: a[:0, :, ::2], True),
        (lambda a: a[:1, :1, ::4], True),
        (lambda a: a[::-1], False),
        (lambda a: np.broadcast_to(a[:1], (5, 3, 4)), False),
    ],
)
def test_is_contiguous(make, expected):
    array = make(numbers(2, 3, 4))
    assert array.flags.c_contiguous is expected
    assert ps.as_tensor(array).is_contiguous() is expected


def test_a_tensor_is_itself():
    tensor = ps.empty((2, 3), "float32", "HW")
    assert ps.as_tensor(tensor) is tensor
    assert tensor == tensor
    assert {tensor: 1}[tensor] == 1
    relabelled = ps.as_tensor(tensor, "AB")
    assert (relabelled.layout, relabelled.data) == ("AB", tensor.data)


def same_view(tensor, array):
    """Same numbers in the same memory, with NumPy's steps where there are steps."""
    assert tensor.shape == array.shape
    np.testing.assert_array_equal(tensor.numpy(), array)
    if array.size:
        assert tensor.data == array.ctypes.data
        steps = [i for i, extent in enumerate(array.shape) if extent > 1]
        assert [tensor.strides[i] for i in steps] == [array.strides[i] for i in steps]


def numpy_view(array, index):
    """A view, also where NumPy would give a number."""
    index = index if isinstance(index, tuple) else (index,)
    return array[index if Ellipsis in index else (*index, ...)]


@given(st.data())
@examples(300)
def test_indexing_is_numpys(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5))
    array = numbers(*shape) if shape else np.array(3, "float32")
    index = data.draw(hnp.basic_indices(shape, max_dims=8, allow_newaxis=True))
    again = data.draw(hnp.basic_indices(numpy_view(array, index).shape, max_dims=8, allow_newaxis=True))
    tensor = ps.as_tensor(array)
    same_view(tensor[index], numpy_view(array, index))
    same_view(tensor[index][again], numpy_view(numpy_view(array, index), again))


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (5, IndexError, "index 5 is outside of dimension 0 with 2 elements"),
        ((0, -4), IndexError, "index -4 is outside of dimension 1 with 3 elements"),
        ((0, 0, 0), IndexError, "3 indices for a tensor with 2 dimensions"),
        (2**70, IndexError, "cannot fit"),
        ((..., ...), IndexError, "Ellipsis"),
        (True, ps.ArgumentTypeError, "bool"),
        (1.0, ps.ArgumentTypeError, "float"),
        ("a", ps.ArgumentTypeError, "str"),
        (np.array([0, 1]), TypeError, "index"),
        ([0, 1], ps.ArgumentTypeError, "list"),
        (slice(None, None, 0), ValueError, "zero"),
        (slice(1.5, None), TypeError, "indices"),
    ],
)
def test_wrong_indices(index, error, text):
    with pytest.raises(error, match=text):
        ps.zeros((2, 3), "uint8")[index]


def test_iteration_goes_over_the_first_dimension():
    array = numbers(3, 4)
    rows = list(ps.as_tensor(array))
    assert [row.shape for row in rows] == [(4,)] * 3
    np.testing.assert_array_equal(rows[1].numpy(), array[1])
    scalar = ps.zeros((), "uint8")
    with pytest.raises(TypeError, match="0-d|no dimensions"):
        iter(scalar)
    with pytest.raises(TypeError, match="0-d|no dimensions"):
        len(scalar)


def test_a_tensor_has_no_truth():
    with pytest.raises(ValueError, match="truth"):
        bool(ps.zeros((2,), "uint8"))


def test_slices_keep_the_layout_and_lost_dimensions_drop_it():
    image = ps.empty((4, 5, 3), "uint8", "HWC")
    assert image[1:3, ::2].layout == "HWC"
    assert image[..., :1].layout == "HWC"
    assert image[0].layout is None
    assert image[None].layout is None
    assert image.reshape(4, 15).layout is None
    assert image.reshape(5, 4, 3).layout == "HWC"


@pytest.mark.host
def test_views_share_memory_and_keep_it_alive():
    tensor = ps.zeros((4, 5), "uint8")
    view = tensor[1:, ::2]
    view.numpy()[:] = 7
    assert tensor.numpy()[1:, ::2].min() == 7
    address = tensor.data
    del tensor
    assert view.data == address + 5
    assert view.numpy().min() == 7


def test_view_names_the_dimensions():
    tensor = ps.empty((4, 5, 3), "uint8")
    assert tensor.view("HWC").layout == "HWC"
    assert tensor.view("HWC").data == tensor.data
    assert tensor.view("HWC").view(None).layout is None
    with pytest.raises(ps.TensorError, match=r'layout "HW" has 2 letters, shape \(4, 5, 3\) has 3'):
        tensor.view("HW")


@pytest.mark.parametrize(
    ("layout", "error", "text"),
    [
        ("hwc", ps.TensorError, "capital letters"),
        ("HWH", ps.TensorError, "twice"),
        ("HW", ps.TensorError, '"HW" has 2 letters'),
        (3, ps.ArgumentTypeError, "int is no string"),
        (b"HWC", ps.ArgumentTypeError, "bytes is no string"),
        ("ABCDEFGHIJKLMNOPQ", ps.TensorError, "at most 15"),
    ],
)
def test_wrong_layouts(layout, error, text):
    array = numbers(2, 3, 4)
    for make in (lambda: ps.as_tensor(array, layout), lambda: ps.empty((2, 3, 4), "uint8", layout)):
        with pytest.raises(error, match=text):
            make()


def factors(draw, size):
    """A random shape of that many elements."""
    shape = []
    while size > 1 and len(shape) < 5:
        divisors = [d for d in range(1, size + 1) if size % d == 0]
        shape.append(draw(st.sampled_from(divisors)))
        size //= shape[-1]
    shape.append(size)
    return tuple(shape)


@given(st.data())
@examples(300)
def test_reshape_is_numpys_or_refused(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))
    order = data.draw(st.permutations(range(len(shape))))
    steps = tuple(data.draw(st.sampled_from([slice(None), slice(None, None, 2), slice(None, None, -1)])) for _ in shape)
    array = numbers(*shape)[steps].transpose(order)
    target = factors(data.draw, array.size) if array.size else (*array.shape[::-1], 1)
    if array.size and data.draw(st.booleans()):
        unknown = data.draw(st.integers(0, len(target) - 1))
        target = (*target[:unknown], -1, *target[unknown + 1 :])
    tensor = ps.as_tensor(array)
    try:
        expected = array.reshape(target, copy=False)
    except ValueError:
        with pytest.raises(ps.TensorError, match="needs a copy"):
            tensor.reshape(target)
        return
    same_view(tensor.reshape(target), expected)
    same_view(tensor.reshape(*target), expected)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((5,), "6 elements"),
        ((-1, -1), "one size may be -1"),
        ((-2, 3), "one size may be -1"),
        ((4, -1), "don't fit"),
        ((2**62, 2**62), "more than memory"),
        ((2, 3, *(1,) * 15), "at most 16"),
    ],
)
def test_wrong_reshapes(shape, text):
    with pytest.raises(ps.TensorError, match=text):
        ps.zeros((2, 3), "uint8").reshape(shape)


def test_reshape_takes_what_numpy_takes():
    tensor = ps.zeros((2, 3), "uint8")
    for arguments in ((6,), ((6,),), ([6],), (-1,), (3, 2), ((3, -1),), (np.int64(3), 2)):
        assert tensor.reshape(*arguments).size == 6
    assert ps.zeros((1, 1), "uint8").reshape(()).shape == ()
    assert ps.zeros((1, 1), "uint8").reshape().shape == ()


@given(st.data())
@examples(200)
def test_copies_of_any_strides(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    dtype = data.draw(st.sampled_from(NUMPY_DTYPES))
    source = np.asarray(numbers(*shape, dtype=dtype)[data.draw(hnp.basic_indices(shape, allow_newaxis=False))])
    target = np.zeros([2 * n for n in source.shape], dtype)[(*(slice(None, None, 2) for _ in source.shape), ...)]
    copied = ps.as_tensor(source).copy()
    assert copied.is_contiguous()
    assert not copied.readonly
    assert copied.data != source.ctypes.data or not source.size
    np.testing.assert_array_equal(copied.numpy(), source)
    ps.as_tensor(source).copy_to(ps.as_tensor(target))
    np.testing.assert_array_equal(target, source)


def test_copy_to_takes_any_array():
    target = np.zeros((2, 3), "float32")
    ps.as_tensor(numbers(2, 3)).copy_to(target)
    np.testing.assert_array_equal(target, numbers(2, 3))


def test_copy_to_overlapping_memory():
    array = numbers(10)
    ps.as_tensor(array)[:8].copy_to(ps.as_tensor(array)[2:])
    np.testing.assert_array_equal(array, [0, 1, 0, 1, 2, 3, 4, 5, 6, 7])
    ps.as_tensor(array).copy_to(ps.as_tensor(array)[::-1])
    np.testing.assert_array_equal(array, [7, 6, 5, 4, 3, 2, 1, 0, 1, 0])


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (np.zeros((3, 2), "float32"), ps.TensorError, r"shape \(3, 2\), the source \(2, 3\)"),
        (np.zeros((2, 3), "float64"), ps.TensorError, "dtype float64, the source float32"),
        (b"abcdef", ps.TensorError, "read-only"),
        ([1, 2], ps.ArgumentTypeError, "list"),
    ],
)
def test_wrong_copies(target, error, text):
    with pytest.raises(error, match=text):
        ps.as_tensor(numbers(2, 3)).copy_to(target)


@pytest.mark.host
def test_to_the_same_device_is_the_same_tensor():
    tensor = ps.zeros((2, 3), "uint8")
    assert tensor.to("cpu").data == tensor.data
    assert tensor.cpu().data == tensor.data


@pytest.mark.skipif(ps.device_count() > 0, reason="there is a GPU")
def test_to_a_gpu_that_is_not_there():
    tensor = ps.zeros((2, 3), "uint8")
    for move in (tensor.cuda, lambda: tensor.to("cuda"), lambda: tensor.to("cuda:3")):
        with pytest.raises(ps.DeviceError, match="0 GPUs"):
            move()


def test_pythons_copies():
    tensor = ps.as_tensor(numbers(4, 6)[:, ::2], "HW")
    shallow, deep = copy.copy(tensor), copy.deepcopy(tensor)
    assert (shallow.data, shallow.layout) == (tensor.data, "HW")
    assert deep.data != tensor.data
    assert deep.layout == "HW"
    np.testing.assert_array_equal(deep.numpy(), tensor.numpy())


@pytest.mark.parametrize("dtype", ["uint8", "float64", "bool", "complex64", "bfloat16", "float8_e4m3fn"])
@pytest.mark.host
def test_pickling_is_by_value(dtype):
    tensor = ps.zeros((3, 4), dtype, "HW")
    raw = tensor.copy().numpy().view("uint8")
    raw[:] = np.arange(raw.size, dtype="uint8").reshape(raw.shape) % 2
    tensor = ps.as_tensor(raw.view(tensor.numpy().dtype), "HW")[:, ::2]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(tensor, protocol))
        assert (again.shape, again.dtype, again.layout, again.readonly) == ((3, 2), tensor.dtype, "HW", False)
        assert again.numpy().tobytes() == tensor.numpy().tobytes()


@pytest.mark.host
def test_subclasses_are_tensors():
    class Frame(ps.Tensor):
        pass

    frame = Frame((2, 3), "uint8", "HW")
    assert ps.as_tensor(frame) is frame
    assert frame.numpy().shape == (2, 3)


class Named(ps.Tensor):
    """A subclass with attributes; pickle finds it here."""


@pytest.mark.parametrize(
    "way",
    [copy.copy, copy.deepcopy, *(lambda t, p=p: pickle.loads(pickle.dumps(t, p)) for p in range(6))],
)
@pytest.mark.parametrize("layout", [None, "HW"])
@pytest.mark.host
def test_copies_of_subclasses(way, layout):
    tensor = Named((2, 3), "uint8", layout)
    tensor.numpy()[:] = 5
    tensor.names, tensor.myself = ["a"], tensor
    again = way(tensor)
    assert type(again) is Named
    assert (again.shape, again.layout, again.names) == ((2, 3), layout, ["a"])
    np.testing.assert_array_equal(again.numpy(), tensor.numpy())
    shares = way is copy.copy
    assert ((again.data == tensor.data), (again.names is tensor.names)) == (shares, shares)
    assert again.myself is (tensor if shares else again)
    plain = way(ps.zeros((2,), "uint8"))
    assert type(plain) is ps.Tensor


def test_a_dropped_tensor_is_gone():
    frame = ps.empty((2, 3), "uint8")
    reference = weakref.ref(frame)
    del frame
    assert is_gone(reference)
