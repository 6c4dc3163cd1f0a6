"""New tensors, element types and images."""

import numpy as np
import pytest
from helpers import check_python

import penstock as ps

FLOAT8 = [
    "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
]  # fmt: skip

MAKERS = [ps.Tensor, ps.empty, ps.zeros]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("shape", [(), (0,), (7,), (4, 0, 3), (2, 3, 4), (1,) * 16])
@pytest.mark.host
def test_a_new_tensor_is_packed_and_writable(make, shape):
    tensor = make(shape, "float32")
    assert isinstance(tensor, ps.Tensor)
    assert tensor.shape == shape
    assert tensor.is_contiguous()
    assert not tensor.readonly
    assert tensor.device == ("cuda:0" if ps.device_count() else "cpu")
    tensor.numpy()[...] = 3
    assert (tensor.numpy() == 3).all()


@pytest.mark.parametrize("make", MAKERS)
def test_keywords(make):
    tensor = make(shape=(2, 4, 3), dtype="uint8", layout="HWC", device="cpu", rowalign=64)
    assert (tensor.shape, tensor.layout, tensor.device, tensor.strides) == ((2, 4, 3), "HWC", "cpu", (64, 3, 1))


@pytest.mark.host
def test_zeros_are_zero_also_in_used_memory():
    for rowalign in (None, 64):
        used = ps.empty((100, 7), "uint8", rowalign=rowalign)
        used.numpy()[:] = 255
        del used
        assert not ps.zeros((100, 7), "uint8", rowalign=rowalign).numpy().any()


@pytest.mark.parametrize("shape", [5, [5], (np.int64(5),), range(5, 6), np.array([5])])
def test_shapes(shape):
    assert ps.empty(shape, "uint8").shape == (5,)


@pytest.mark.parametrize(
    ("shape", "error", "text"),
    [
        ((-2,), ps.TensorError, r"shape \(-2,\) has a negative size"),
        (-2, ps.TensorError, "negative"),
        ((2.5,), ps.ArgumentTypeError, "shape: .*2.5"),
        ("23", ps.ArgumentTypeError, "shape: str"),
        (None, ps.ArgumentTypeError, "shape: NoneType"),
        ({2, 3}, ps.ArgumentTypeError, "shape: set"),
        ((2**62, 4), ps.TensorError, "more than memory can hold"),
        ((2**70,), ps.TensorError, "shape"),
        ((1,) * 17, ps.TensorError, "at most 16"),
        ((2**50, 2**10), ps.OutOfMemory, "bytes"),
    ],
)
@pytest.mark.parametrize("make", MAKERS)
def test_wrong_shapes(make, shape, error, text):
    with pytest.raises(error, match=text):
        make(shape, "uint8")


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "rowalign", "strides"),
    [
        ((4, 5, 3), "uint8", "HWC", None, (15, 3, 1)),
        ((4, 5, 3), "uint8", "HWC", 1, (15, 3, 1)),
        ((4, 5, 3), "uint8", "HWC", 32, (32, 3, 1)),
        ((2, 4, 5, 3), "uint8", "NHWC", 32, (128, 32, 3, 1)),
        ((3, 4, 5), "uint8", "CHW", 32, (128, 32, 1)),
        ((4, 5), "float32", None, 64, (64, 4)),
        ((4, 5), "float32", None, 4, (20, 4)),
        ((5,), "float32", None, 256, (4,)),
        ((4, 5, 3), "float64", "HWC", 64, (128, 24, 8)),
    ],
)
def test_rowalign_pads_rows(shape, dtype, layout, rowalign, strides):
    for make in MAKERS:
        tensor = make(shape, dtype, layout, "cpu", rowalign)
        assert tensor.strides == strides
        tensor.numpy()[...] = 1
        assert tensor.numpy().sum() == tensor.size
        assert tensor.copy().is_contiguous()


@pytest.mark.parametrize(
    ("rowalign", "error", "text"),
    [
        (3, ps.TensorError, "rowalign 3 is no power of two"),
        (-1, ps.TensorError, "rowalign -1"),
        ("x", ps.ArgumentTypeError, "rowalign"),
        (2.0, ps.ArgumentTypeError, "rowalign"),
    ],
)
def test_wrong_rowalign(rowalign, error, text):
    with pytest.raises(error, match=text):
        ps.empty((2, 3), "uint8", rowalign=rowalign)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (np.float32, "float32"),
        (np.dtype("int16"), "int16"),
        ("uint8", "uint8"),
        ("<f4", "float32"),
        ("f8", "float64"),
        (float, "float64"),
        (bool, "bool"),
        (complex, "complex128"),
        (np.dtype("=i4"), "int32"),
        (ps.bfloat16, "bfloat16"),
        (ps.dtypes.float8_e5m2, "float8_e5m2"),
    ],
)
def test_what_says_an_element_type(given, name):
    assert ps.empty((2,), given).dtype == name


@pytest.mark.interop
def test_torchs_element_types():
    torch = pytest.importorskip("torch")
    for name in ("uint8", "int64", "bool", "float16", "bfloat16", "complex64", "float8_e4m3fn"):
        assert ps.empty((2,), getattr(torch, name)).dtype == name


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("flot32", ps.TensorError, 'unknown name "flot32"; did you mean "float32"'),
        ("bfloat", ps.TensorError, 'did you mean "bfloat16"'),
        (">f4", ps.TensorError, "big-endian"),
        (np.dtype(">i2"), ps.TensorError, "big-endian"),
        (object, ps.TensorError, "object"),
        (np.dtype("M8[s]"), ps.TensorError, "datetime64"),
        (np.dtype("i4,f4"), ps.TensorError, "void64"),
        (None, ps.ArgumentTypeError, "dtype"),
        (3, ps.ArgumentTypeError, "dtype: 3"),
        ([1, 2], ps.ArgumentTypeError, r"dtype: \[1, 2\]"),
        (np.longdouble, ps.TensorError, "longdouble|float128"),
    ],
)
def test_wrong_element_types(given, error, text):
    for make in MAKERS:
        with pytest.raises(error, match=text):
            make((2,), given)


@pytest.mark.parametrize("name", ["bfloat16", *FLOAT8])
@pytest.mark.host
def test_types_of_ml_dtypes(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    expected = np.dtype(getattr(ml_dtypes, name))
    tensor = ps.zeros((2, 3), name)
    assert tensor.dtype == expected
    assert tensor.dtype == getattr(ps.dtypes, name)
    assert getattr(ps.dtypes, name) == tensor.dtype
    assert ps.empty((2,), expected).dtype == expected
    assert ps.empty((2,), getattr(ml_dtypes, name)).dtype == expected
    array = tensor.numpy()
    assert (array.dtype, array.ctypes.data) == (expected, tensor.data)
    assert np.asarray(tensor).dtype == expected
    again = ps.as_tensor(array)
    assert (again.dtype, again.data, again.readonly) == (expected, tensor.data, False)
    array.flags.writeable = False
    assert ps.as_tensor(array[:, ::2]).readonly
    assert ps.as_tensor(array[:, ::2]).strides == array[:, ::2].strides


@pytest.mark.host
def test_types_without_ml_dtypes():
    check_python("""
        import sys
        sys.modules["ml_dtypes"] = None
        import numpy as np, penstock as ps
        t = ps.zeros((2, 3), "bfloat16")
        assert t.dtype == ps.bfloat16 == ps.dtypes.bfloat16 == "bfloat16", t.dtype
        assert t.dtype is ps.bfloat16 and hash(t.dtype) == hash(ps.bfloat16)
        assert repr(t.dtype) == "penstock.dtypes.bfloat16", t.dtype
        assert (t.itemsize, t.dtype.itemsize, t.nbytes) == (2, 2, 12)
        assert ps.zeros((2,), ps.dtypes.float8_e5m2).dtype == ps.dtypes.float8_e5m2 != ps.bfloat16
        assert not hasattr(t, "__array_interface__")
        for use in (t.numpy, lambda: np.asarray(t)):
            try:
                use()
            except ps.TensorError as error:
                assert "ml_dtypes" in str(error), error
            else:
                raise AssertionError("no error")
        assert ps.zeros((2,), "float32").numpy().dtype == "float32"
    """)


@pytest.mark.host
def test_only_what_applies_exists():
    assert hasattr(ps.zeros((2,), "float32"), "__array_interface__")
    assert not hasattr(ps.zeros((2,), "bfloat16"), "__array_interface__")
    assert not hasattr(ps.zeros((2,), "float32", device="cpu"), "__cuda_array_interface__")


@pytest.mark.parametrize(
    ("format", "shapes"),
    [
        ("GRAY", [(6, 8, 1)]),
        ("RGB", [(6, 8, 3)]),
        ("BGR", [(6, 8, 3)]),
        ("RGBA", [(6, 8, 4)]),
        ("BGRA", [(6, 8, 4)]),
        ("YUYV", [(6, 8, 2)]),
        ("NV12", [(6, 8, 1), (3, 4, 2)]),
        ("I420", [(6, 8, 1), (3, 4, 1), (3, 4, 1)]),
    ],
)
@pytest.mark.host
def test_images(format, shapes):
    image = ps.Image((8, 6), format)
    assert (image.size, image.width, image.height, image.format) == ((8, 6), 8, 6, format)
    assert image.device == ("cuda:0" if ps.device_count() else "cpu")
    assert [plane.shape for plane in image.planes] == shapes
    assert all((plane.dtype, plane.layout) == ("uint8", "HWC") for plane in image.planes)
    if len(shapes) == 1:
        tensor = ps.as_tensor(image)
        assert (tensor.data, tensor.layout) == (image.planes[0].data, "HWC")
        assert image.tensor().data == tensor.data
        assert np.from_dlpack(image).shape == np.asarray(image).shape == shapes[0]
    else:
        with pytest.raises(ps.TensorError, match=f"{format} has {len(shapes)} planes"):
            ps.as_tensor(image)


def test_images_have_rows_of_a_pitch():
    assert ps.Image((5, 4), "RGB", "cpu", rowalign=64).planes[0].strides == (64, 3, 1)


@pytest.mark.parametrize(
    ("size", "format", "error", "text"),
    [
        ((8, 6), "RBG", ps.TensorError, "did you mean 'RGB'"),
        ((8, 6), "nv12", ps.TensorError, "did you mean 'NV12'"),
        ((8, 6), None, ps.TensorError, "unknown format None"),
        ((-8, 6), "RGB", ps.TensorError, r"\(width, height\)"),
        ((7, 6), "NV12", ps.TensorError, "even"),
        ((8, 5), "I420", ps.TensorError, "even"),
        ((8,), "RGB", ps.ArgumentTypeError, r"\(width, height\)"),
        ((8, 6, 3), "RGB", ps.ArgumentTypeError, r"\(width, height\)"),
        (8, "RGB", ps.ArgumentTypeError, r"\(width, height\)"),
        ((8.0, 6), "RGB", ps.ArgumentTypeError, r"\(width, height\)"),
    ],
)
def test_wrong_images(size, format, error, text):
    with pytest.raises(error, match=text):
        ps.Image(size, format)
