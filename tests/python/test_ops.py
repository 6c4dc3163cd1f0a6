"""The numbers of imaging operations, against float64 and OpenCV."""

import numpy as np
import pytest
from helpers import examples
from hypothesis import given
from hypothesis import strategies as st
from references import WEIGHTS, near, noise, packed, pitched, planes, resized, rgb_of, yuv_of

import penstock as ps

pytestmark = pytest.mark.asan


@pytest.mark.parametrize(
    "shape", [(9, 13), (9, 13, 1), (9, 13, 2), (9, 13, 3), (9, 13, 4), (1, 1, 3), (1, 50), (64, 1, 3)]
)
@pytest.mark.parametrize("size", [(9, 13), (1, 1), (20, 31), (4, 7), (3, 40), (18, 26), (100, 5)])
def test_resize_is_within_half_a_step(shape, size):
    image = noise(*shape)
    near(ps.resize(image, size), resized(image, *size))


@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 4), st.integers(1, 90), st.integers(1, 90), st.integers(0, 9)
)
@examples(60)
def test_resize_of_any_size(height, width, channels, to_height, to_width, seed):
    image = noise(height, width, channels, seed=seed)
    near(ps.resize(image, (to_height, to_width)), resized(image, to_height, to_width))


def test_resize_exact_values():
    assert ps.resize(np.array([[0, 255]], "uint8"), (1, 4)).numpy().tolist() == [[0, 64, 191, 255]]
    image = noise(8, 12, 3)
    np.testing.assert_array_equal(ps.resize(image, (8, 12)).numpy(), image)
    flat = np.full((5, 7, 3), 201, "uint8")
    assert (ps.resize(flat, (11, 3)).numpy() == 201).all()


def test_resize_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    image = noise(120, 90, 3)
    for height, width in ((60, 45), (240, 180), (77, 101), (33, 200)):
        ours = ps.resize(image, (height, width)).numpy().astype(int)
        theirs = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(int)
        assert np.abs(ours - theirs).max() <= 1


def test_resize_of_a_batch():
    images = noise(4, 9, 13, 3)
    result = ps.resize(ps.as_tensor(images, "NHWC"), (5, 6))
    assert result.layout == "NHWC"
    near(result, np.stack([resized(image, 5, 6) for image in images]))
    near(ps.resize(images[::-2, 1:, 2:11], (5, 6)), np.stack([resized(i[1:, 2:11], 5, 6) for i in images[::-2]]))


@pytest.mark.parametrize("layout", [None, "HWC"])
def test_the_layout_goes_on(layout):
    assert ps.resize(ps.as_tensor(noise(4, 6, 3), layout), (2, 3)).layout == layout
    assert ps.resize(ps.as_tensor(noise(4, 6), "HW"), (2, 3)).layout == "HW"


VIEWS = {
    "padded rows": lambda a: np.concatenate([a, a[:, :3]], 1)[:, : a.shape[1]],
    "upside down": lambda a: a[::-1],
    "every other row": lambda a: np.repeat(a, 2, 0)[::2],
    "one row, repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "read-only": lambda a: np.frombuffer(a.tobytes(), "uint8").reshape(a.shape),
    "three of four channels": lambda a: np.concatenate([a, a[..., :1]], -1)[..., :3],
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.host
def test_rows_of_any_pitch(name):
    image = VIEWS[name](noise(10, 14, 3))
    near(ps.resize(image, (7, 20)), resized(image, 7, 20))
    out = ps.empty((7, 20, 3), "uint8", rowalign=128)
    assert ps.resize(image, (7, 20), out=out) is out
    near(out, resized(image, 7, 20))


def test_padding_is_left_alone():
    whole = np.full((7, 40, 3), 9, "uint8")
    ps.resize(noise(10, 14, 3), (7, 20), out=whole[:, 10:30])
    assert (whole[:, :10] == 9).all()
    assert (whole[:, 30:] == 9).all()


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("range", ["limited", "full"])
@pytest.mark.parametrize("format", ["NV12", "I420"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_cvt_color_is_within_half_a_step(format, order, matrix, range):
    y, u, v = planes(32, 70)
    exact = rgb_of(y, u, v, matrix, range)
    exact = exact if order == "RGB" else exact[..., ::-1]
    split = (y, u, v) if format == "I420" else (y, np.stack([u, v], -1))
    whole = packed(format, y, u, v)
    for source in (whole, whole[..., None], split, list(split)):
        result = ps.cvt_color(source, format, order, matrix=matrix, range=range)
        assert result.layout == "HWC"
        near(result, exact)


def test_every_colour():
    levels = np.arange(0, 256, 5, dtype="uint8")
    u, v = np.meshgrid(levels, levels)
    for level in levels:
        y = np.full((2 * len(levels), 2 * len(levels)), level, "uint8")
        near(ps.cvt_color((y, u, v), "I420", "RGB"), rgb_of(y, u, v))


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("range", ["limited", "full"])
@pytest.mark.parametrize("format", ["NV12", "I420"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_cvt_color_back_is_within_half_a_step(format, order, matrix, range):
    image = noise(32, 70, 3)
    exact = packed(format, *yuv_of(image if order == "RGB" else image[..., ::-1], matrix, range))
    result = ps.cvt_color(image, order, format, matrix=matrix, range=range)
    assert (result.layout, result.shape) == ("HWC", (48, 70, 1))
    near(result, exact[..., None])
    out = np.zeros((48, 70), "uint8")
    ps.cvt_color((pitched(image),), order, format, matrix=matrix, range=range, out=out)
    near(ps.as_tensor(out), exact)


def test_cvt_color_back_into_rows_that_lie_apart():
    image = noise(4, 6, 3)
    whole = np.full((6, 20), 9, "uint8")
    ps.cvt_color(image[:, ::-1].copy()[::-1], "RGB", "NV12", out=whole[:, 5:11])
    near(ps.as_tensor(whole[:, 5:11].copy()), packed("NV12", *yuv_of(image[::-1, ::-1])))
    assert (whole[:, :5] == 9).all()
    assert (whole[:, 11:] == 9).all()


@pytest.mark.parametrize("matrix", WEIGHTS)
def test_greys_have_no_colour_and_colours_come_back(matrix):
    grey = np.arange(256, dtype="uint8").repeat(4).reshape(256, 2, 2).transpose(1, 0, 2).reshape(2, 512)
    full = ps.cvt_color(np.stack([grey] * 3, -1), "RGB", "I420", matrix=matrix, range="full").numpy()[..., 0]
    assert (full[:2] == grey).all()
    assert (full[2] == 128).all()
    levels = np.arange(0, 256, 15, dtype="uint8")
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 18, 3)
    image = colours.repeat(2, 0).repeat(2, 1)
    yuv = ps.cvt_color(image, "RGB", "NV12", matrix=matrix, range="full")
    back = ps.cvt_color(yuv, "NV12", "RGB", matrix=matrix, range="full").numpy()
    assert np.abs(back.astype(int) - image).max() <= 3


def test_cvt_color_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    smooth = np.clip(noise(6, 8, 3).repeat(8, 0).repeat(8, 1), 40, 200)
    ours = ps.cvt_color(smooth, "BGR", "I420").numpy()[..., 0].astype(int)
    assert np.abs(ours - cv2.cvtColor(smooth, cv2.COLOR_BGR2YUV_I420)).max() <= 2
    y, u, v = (16 + p // 2 for p in planes(48, 64))
    for format, code in (("NV12", cv2.COLOR_YUV2RGB_NV12), ("I420", cv2.COLOR_YUV2RGB_I420)):
        whole = packed(format, y, u, v)
        ours = ps.cvt_color(whole, format, "RGB").numpy().astype(int)
        assert np.abs(ours - cv2.cvtColor(whole, code).astype(int)).max() <= 2


def test_planes_have_pitches_of_their_own():
    y, u, v = planes(8, 12)
    exact = rgb_of(y, u, v)
    near(ps.cvt_color((pitched(y, 3), pitched(u, 1), pitched(v, 7)), "I420", "RGB"), exact)
    uv = np.stack([u, v], -1)
    near(ps.cvt_color((pitched(y, 1), pitched(uv, 2)), "NV12", "RGB"), exact)
    near(ps.cvt_color((y, pitched(uv.reshape(4, 12))), "NV12", "RGB"), exact)
    near(ps.cvt_color(pitched(packed("NV12", y, u, v)), "NV12", "RGB"), exact)
    near(ps.cvt_color((y[::-1], u[::-1], v[::-1]), "I420", "RGB"), exact[::-1])


def test_images_are_converted():
    y, u, v = planes(8, 12)
    image = ps.Image((12, 8), "I420", "cpu", rowalign=32)
    for plane, values in zip(image.planes, (y, u, v), strict=True):
        plane.numpy()[..., 0] = values
    near(ps.cvt_color(image, "I420", "RGB"), rgb_of(y, u, v))
