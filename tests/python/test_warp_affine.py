"""warp_affine: its numbers against float64, its properties, what it refuses, and in a graph."""

import numpy as np
import pytest
from graphs import collect, listed
from helpers import Gate, examples
from hypothesis import given
from hypothesis import strategies as st
from references import near, noise, pitched

import penstock as ps

pytestmark = pytest.mark.asan

BORDERS = ("constant", "replicate", "reflect", "reflect_101", "wrap")
_PADS = {"replicate": "edge", "reflect": "symmetric", "reflect_101": "reflect", "wrap": "wrap"}
IDENTITY = [[1, 0, 0], [0, 1, 0]]
TURN = [[0.9, -0.3, 4.2], [0.35, 1.1, -3.7]]


def padded(image, pad, border, value):
    """NumPy's own idea of the borders."""
    widths = [(pad, pad), (pad, pad), *[(0, 0)] * (image.ndim - 2)]
    if border == "constant":
        return np.pad(image, widths, "constant", constant_values=value)
    return np.pad(image, widths, _PADS[border])


def warped(image, xform, size=None, interp="linear", border="constant", value=0, inverse=False):
    """In float64. Positions lie within 3 sides of the image."""
    height, width = size or image.shape[:2]
    m = np.vstack([np.asarray(xform, "float64"), [0, 0, 1]])
    m = m if inverse else np.linalg.inv(m)
    y, x = np.mgrid[:height, :width].astype("float64")
    at_x, at_y = m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]
    far = int(max(np.abs(at_x).max(), np.abs(at_y).max())) + 2
    image = padded(image.astype("float64"), far, border, value)
    if interp == "nearest":
        return image[np.floor(at_y + 0.5).astype(int) + far, np.floor(at_x + 0.5).astype(int) + far]
    left, top = np.floor(at_x).astype(int), np.floor(at_y).astype(int)
    shape = (height, width, *(1,) * (image.ndim - 2))
    across, down = (at_x - left).reshape(shape), (at_y - top).reshape(shape)
    left, top = left + far, top + far
    above = image[top, left] * (1 - across) + image[top, left + 1] * across
    below = image[top + 1, left] * (1 - across) + image[top + 1, left + 1] * across
    return above * (1 - down) + below * down


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("interp", ["linear", "nearest"])
@pytest.mark.parametrize(
    "shape", [(9, 13), (9, 13, 1), (9, 13, 2), (9, 13, 3), (9, 13, 4), (1, 1, 3), (1, 50), (40, 1)]
)
def test_it_is_within_half_a_step(shape, interp, border):
    image = noise(*shape)
    words = {"interp": interp, "border_mode": border, "border_value": 200}
    for xform in (TURN, [[2.3, 0, 5], [0, 0.4, 1]], [[-1, 0.01, 20], [0, 1, 0.5]]):
        near(ps.warp_affine(image, xform, **words), warped(image, xform, None, interp, border, 200))
        near(
            ps.warp_affine(image, xform, **words, size=(21, 7), inverse=True),
            warped(image, xform, (21, 7), interp, border, 200, inverse=True),
        )


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_float32_is_within_2e_5_of_the_range(channels, border):
    image = np.random.default_rng(3).random((17, 23, channels), "float32")
    result = ps.warp_affine(image, TURN, border_mode=border, border_value=0.25).numpy()
    assert result.dtype == "float32"
    assert np.abs(result - warped(image, TURN, None, "linear", border, 0.25)).max() < 2e-5
    nearest = ps.warp_affine(image, TURN, interp="nearest", border_mode=border).numpy()
    np.testing.assert_array_equal(nearest, warped(image, TURN, None, "nearest", border).astype("float32"))


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 4),
    st.tuples(*[st.floats(-2, 2)] * 4),
    st.tuples(*[st.floats(-60, 60)] * 2),
    st.sampled_from(BORDERS),
    st.integers(0, 9),
)
@examples(60)
def test_any_map_of_any_image(height, width, channels, linear, shift, border, seed):
    a, b, c, d = linear
    if abs(a * d - b * c) < 1e-3:
        a, d = a + 3, d + 3
        b = c = 0.0
    image = noise(height, width, channels, seed=seed)
    xform = [[a, b, shift[0]], [c, d, shift[1]]]
    result = ps.warp_affine(image, xform, inverse=True, border_mode=border, border_value=9, size=(19, 33))
    near(result, warped(image, xform, (19, 33), "linear", border, 9, inverse=True))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("interp", ["linear", "nearest"])
def test_what_is_exact(interp, dtype):
    image = noise(11, 14, 3).astype(dtype)
    words = {"interp": interp}
    np.testing.assert_array_equal(ps.warp_affine(image, IDENTITY, **words).numpy(), image)
    moved = ps.warp_affine(image, [[1, 0, 3], [0, 1, -2]], **words, border_value=7).numpy()
    np.testing.assert_array_equal(moved[:-2, 3:], image[2:, :-3])
    assert (moved[-2:] == 7).all()
    assert (moved[:, :3] == 7).all()
    turned = ps.warp_affine(image, [[0, -1, 10], [1, 0, 0]], **words, size=(14, 11)).numpy()
    np.testing.assert_array_equal(turned, np.rot90(image, -1))
    rolled = ps.warp_affine(image, [[1, 0, 30], [0, 1, -25]], **words, border_mode="wrap").numpy()
    np.testing.assert_array_equal(rolled, np.roll(image, (-25, 30), (0, 1)))
    back = ps.warp_affine(ps.warp_affine(image, [[3, 0, 0], [0, 3, 0]], **words, size=(31, 40)), [[1 / 3, 0, 0], [0, 1 / 3, 0]], **words, size=(11, 14))  # fmt: skip
    np.testing.assert_array_equal(back.numpy(), image)
    flat = ps.warp_affine(np.full((5, 7, 3), 201, dtype), TURN, **words, border_mode="reflect").numpy()
    assert (flat == 201).all()


def test_half_a_pixel_is_half_to_even():
    image = np.array([[0, 1, 2, 5, 5, 255, 254]], "uint8")
    result = ps.warp_affine(image, [[1, 0, 0.5], [0, 1, 0]], inverse=True, border_mode="replicate")
    assert result.numpy().tolist() == [[0, 2, 4, 5, 130, 254, 254]]
    nearest = ps.warp_affine(image, [[1, 0, 0.5], [0, 1, 0]], inverse=True, interp="nearest", border_mode="replicate")
    assert nearest.numpy().tolist() == [[1, 2, 5, 5, 255, 254, 254]]


def test_two_maps_one_after_the_other():
    y, x = np.mgrid[:60, :80]
    smooth = np.rint(120 + 60 * np.sin(x / 9) + 50 * np.cos(y / 11)).astype("uint8")
    a, b = np.array([[0.95, 0.1, 3], [-0.1, 0.95, 5], [0, 0, 1]]), np.array([[1, 0.05, -4], [0, 1.1, 2.5], [0, 0, 1]])
    step = ps.warp_affine(ps.warp_affine(smooth, a[:2], border_mode="replicate"), b[:2], border_mode="replicate")
    both = ps.warp_affine(smooth, (b @ a)[:2], border_mode="replicate")
    inner = np.abs(step.numpy().astype(int) - both.numpy())[15:-15, 15:-15]
    assert inner.max() <= 3


def test_it_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    y, x = np.mgrid[:90, :120]
    image = np.stack([128 + 100 * np.sin(x / 7 + c) * np.cos(y / 9) for c in range(3)], -1).astype("uint8")
    turn = cv2.getRotationMatrix2D((50, 40), 13, 0.9)
    for name in BORDERS:
        ours = ps.warp_affine(image, turn, border_mode=name, border_value=(9, 8, 7), size=(100, 110)).numpy()
        flag = getattr(cv2, f"BORDER_{name.upper()}".replace("_101", "101"))
        theirs = cv2.warpAffine(image, turn, (110, 100), borderMode=flag, borderValue=(9, 8, 7))
        assert np.abs(ours.astype(int) - theirs).max() <= 4  # OpenCV 4 takes positions in steps of 1/32


def test_a_large_image_and_far_positions():
    image = noise(3, 9000)
    result = ps.warp_affine(image, [[1, 0, 8000.25], [0, 1, 0]], inverse=True, border_value=3, size=(3, 999))
    near(result, image[:, 8000:-1] * 0.75 + image[:, 8001:] * 0.25)
    for shift in (1e6, 1e12, 1e300):
        result = ps.warp_affine(image, [[1, 0, shift], [0, 1, 0]], border_value=3)
        assert (result.numpy() == 3).all()
        for border in BORDERS[1:]:
            ps.warp_affine(image, [[1, 0.5, shift], [0, 1, -shift]], border_mode=border)
    for scale in (1e-5, 1e-100):  # its determinant is tiny, its condition number 1
        assert (
            ps.warp_affine(noise(4, 5), [[scale, 0, 0], [0, scale, 0]], size=(1, 1)).numpy()[0, 0] == noise(4, 5)[0, 0]
        )


def test_border_values():
    gone = [[1, 0, 99], [0, 1, 0]]
    image = noise(2, 3, 3)
    for value, expected in ((5, [5, 5, 5]), ((1, 2, 3), [1, 2, 3]), (np.array([1.5, 2.5, 300]), [2, 2, 255]), (-7, [0] * 3)):  # fmt: skip
        assert (ps.warp_affine(image, gone, border_value=value).numpy() == expected).all()
    holes = ps.warp_affine(image.astype("float32"), [[1, 0, 1], [0, 1, 0]], border_value=float("nan")).numpy()
    assert np.isnan(holes[:, 0]).all()
    np.testing.assert_array_equal(holes[:, 1:], image[:, :-1])  # what has no weight doesn't count


VIEWS = {
    "padded rows": pitched,
    "upside down": lambda a: a[::-1],
    "every other row": lambda a: np.repeat(a, 2, 0)[::2],
    "every other column": lambda a: np.repeat(a, 2, 1)[:, ::2],
    "one row, repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "three of four channels": lambda a: np.concatenate([a, a[..., :1]], -1)[..., :3],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape) if a.itemsize == 1 else a,
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("interp", ["linear", "nearest"])
def test_rows_of_any_pitch(name, interp):
    image = VIEWS[name](noise(10, 14, 3))
    exact = warped(image, TURN, (12, 15), interp)
    near(ps.warp_affine(image, TURN, size=(12, 15), interp=interp), exact)
    whole = np.full((12, 40, 3), 9, "uint8")
    ps.warp_affine(image, TURN, size=(12, 15), interp=interp, out=whole[:, 10:25])
    near(ps.as_tensor(whole[:, 10:25]), exact)
    assert (whole[:, :10] == 9).all()
    assert (whole[:, 25:] == 9).all()


@pytest.mark.host
def test_batches_and_layouts():
    images = noise(4, 9, 13, 3)
    result = ps.warp_affine(ps.as_tensor(images, "NHWC"), TURN)
    assert result.layout == "NHWC"
    near(result, np.stack([warped(image, TURN) for image in images]))
    assert ps.warp_affine(ps.zeros((0, 6, 8, 3), "uint8", "NHWC"), TURN, size=(3, 4)).shape == (0, 3, 4, 3)
    assert ps.warp_affine(ps.as_tensor(noise(4, 6), "HW"), TURN).layout == "HW"


@pytest.mark.parametrize("form", [np.array, lambda m: np.array(m, "float32").astype("float64"), tuple, ps.as_tensor])
def test_matrices_of_any_kind(form):
    image = noise(6, 8)
    xform = np.array([[1, 0, 2], [0, 1, 1]], "float64")
    expected = ps.warp_affine(image, xform.tolist()).numpy()
    np.testing.assert_array_equal(ps.warp_affine(image, form(xform)).numpy(), expected)


IMAGE = noise(6, 8, 3)
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda o: ps.warp_affine([1, 2], TURN, out=o), ps.ArgumentTypeError, "warp_affine: src is list"),
        (lambda o: ps.warp_affine(IMAGE, out=o), ps.ArgumentTypeError, "warp_affine: xform is missing"),
        (lambda o: ps.warp_affine(IMAGE, 3, out=o), ps.ArgumentTypeError, "warp_affine: xform is int"),
        (lambda o: ps.warp_affine(IMAGE, [["a", 0, 0], [0, 1, 0]], out=o), ps.ArgumentTypeError, "xform: 'a' is no num"),
        (lambda o: ps.warp_affine(IMAGE, [1, 0, 0, 0, 1, 0], out=o), ps.TensorError, "xform is .* 2 rows of 3 numbers"),
        (lambda o: ps.warp_affine(IMAGE, np.eye(2), out=o), ps.TensorError, "xform is .* 2 rows of 3 numbers"),
        (lambda o: ps.warp_affine(IMAGE, np.eye(3), out=o), ps.TensorError, "xform is .*pass the first two rows"),
        (lambda o: ps.warp_affine(IMAGE, [[1, 0, NAN], [0, 1, 0]], out=o), ps.TensorError, "xform .*nan.* not finite"),
        (lambda o: ps.warp_affine(IMAGE, [[1, 0, 0], [0, INF, 0]], out=o), ps.TensorError, "xform .*inf.* not finite"),
        (lambda o: ps.warp_affine(IMAGE, [[1, 2, 0], [2, 4, 1]], out=o), ps.TensorError, "xform .* is singular"),
        (lambda o: ps.warp_affine(IMAGE, [[1 / 3, 2 / 3, 0], [1, 2, 1]], out=o), ps.TensorError, "xform .* is singular"),
        (lambda o: ps.warp_affine(IMAGE, np.zeros((2, 3)), out=o), ps.TensorError, "xform .* is singular"),
        (lambda o: ps.warp_affine(IMAGE, np.zeros((2, 3)), inverse=True, out=o), ps.TensorError, "xform .* is singular"),
        (lambda o: ps.warp_affine(IMAGE, TURN, interp="cubic", out=o), ps.TensorError, 'interp "cubic".*linear, nearest'),
        (lambda o: ps.warp_affine(IMAGE, TURN, border_mode="edge", out=o), ps.TensorError, 'border_mode "edge".*replicate'),
        (lambda o: ps.warp_affine(IMAGE, TURN, border_value=(1, 2), out=o), ps.TensorError, "border_value has 2 values"),
        (lambda o: ps.warp_affine(IMAGE, TURN, border_value=NAN, out=o), ps.TensorError, "border_value is NaN"),
        (lambda o: ps.warp_affine(IMAGE, TURN, border_value="x", out=o), ps.ArgumentTypeError, "border_value: 'x' is no"),
        (lambda o: ps.warp_affine(IMAGE, TURN, size=(0, 4), out=o), ps.TensorError, r"warp_affine: size \(0, 4\)"),
        (lambda o: ps.warp_affine(IMAGE, TURN, size=(3, 2**40), out=o), ps.TensorError, "warp_affine: size"),
        (lambda o: ps.warp_affine(IMAGE, TURN, size=3, out=o), ps.ArgumentTypeError, "warp_affine: size is 3"),
        (lambda o: ps.warp_affine(noise(0, 8, 3), TURN, size=(6, 8), out=o), ps.TensorError, r"src \(0, 8\)"),
        (lambda o: ps.warp_affine(IMAGE.astype("u2"), TURN, out=o), ps.TensorError, "dtype uint16; uint8 and float32 are"),
        (lambda o: ps.warp_affine(IMAGE.astype("f4"), TURN, out=o), ps.TensorError, "out has dtype uint8, expected float32"),
        (lambda o: ps.warp_affine(noise(6, 8, 5), TURN, out=o), ps.TensorError, "src has 5 channels"),
        (lambda o: ps.warp_affine(noise(8), TURN, out=o), ps.TensorError, "src has shape"),
        (lambda o: ps.warp_affine(IMAGE[:, ::-1], TURN, out=o), ps.TensorError, "src has strides"),
        (lambda o: ps.warp_affine(ps.as_tensor(IMAGE, "CHW"), TURN, out=o), ps.TensorError, 'src has layout "CHW"'),
        (lambda o: ps.warp_affine(IMAGE, TURN, size=(5, 8), out=o), ps.TensorError, r"out has shape .*expected \(5, 8, 3\)"),
        (lambda o: ps.warp_affine(o, TURN, out=o), ps.TensorError, "warp_affine: out overlaps src"),
        (lambda o: ps.warp_affine(IMAGE, TURN, out=o, stream=7), ps.StreamError, "stream"),
    ],
)  # fmt: skip
def test_a_refused_call_names_the_argument_and_leaves_out_alone(call, error, text):
    out = np.full((6, 8, 3), 123, "uint8")
    with pytest.raises(error, match=text):
        call(out)
    assert (out == 123).all()


def test_a_result_on_a_stream_is_waited_for():
    stream, gate = ps.Stream("cpu"), Gate()
    image = noise(9, 13, 3)
    source = ps.zeros((9, 13, 3), "uint8", device="cpu")

    def fill():
        gate()
        source.numpy()[:] = image

    stream.launch(fill, writes=source)
    result = ps.warp_affine(source, TURN, stream=ps.Stream("cpu"))
    gate.open()
    near(result, warped(image, TURN))


def test_in_a_graph():
    images = [noise(9, 13, 3, seed=n) for n in range(5)]
    for flow in (
        ps.warp_affine(listed(images), TURN, size=(5, 6)),
        listed(images) >> ps.warp_affine(xform=np.array(TURN), size=(5, 6), name="turn"),
    ):
        found = collect(flow)
        assert len(found) == 5
        for image, result in zip(images, found, strict=True):
            near(result, warped(image, TURN, (5, 6)))
    configured = ps.warp_affine(xform=TURN)
    near(configured(images[0]), warped(images[0], TURN))


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"xform": np.zeros((2, 3))}, ps.TensorError, "singular"),
        ({"xform": TURN, "interp": "area"}, ps.TensorError, 'interp "area"'),
        ({"xform": TURN, "border_mod": "wrap"}, ps.GraphError, "border_mod.*did you mean 'border_mode'"),
        ({"xform": TURN, "out": np.zeros(3)}, ps.ArgumentTypeError, "out= and stream= are for data"),
    ],
)
def test_what_is_wrong_is_said_before_the_run(words, error, text):
    with pytest.raises(error, match=text):
        ps.warp_affine(listed([]), **words)
