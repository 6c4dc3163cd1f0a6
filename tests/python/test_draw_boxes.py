"""draw_boxes: on arrays, in place, on streams, and joined with frames in a graph."""

import time

import numpy as np
import pytest
from graphs import collect, listed
from helpers import Gate, examples
from hypothesis import given
from hypothesis import strategies as st
from references import noise, pitched

import penstock as ps
from penstock import _core

pytestmark = pytest.mark.asan

IMAGE = noise(12, 16, 3)
BOX = [(2, 3, 7, 9)]


def drawn(image, boxes, color=(0, 255, 0), thickness=1):
    """Outer rectangle less inner, by slices."""
    result = image.copy()
    height, width = image.shape[:2]
    for box in boxes:
        x1, y1, x2, y2 = (int(edge) for edge in np.rint(box))
        mask = np.zeros((height, width), bool)
        mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = True
        if thickness > 0:
            t = thickness
            inner_y, inner_x = slice(max(y1 + t, 0), max(y2 - t, 0)), slice(max(x1 + t, 0), max(x2 - t, 0))
            mask[inner_y, inner_x] = False
        result[mask] = color
    return result


@pytest.mark.parametrize("thickness", [1, 2, 3, 50, -1])
@pytest.mark.parametrize("color", [(0, 255, 0), (1, 2, 3), 77])
def test_the_drawing(color, thickness):
    boxes = [(2, 3, 7, 9), (5, 5, 6, 6), (-4, -4, 4, 4), (10, 8, 40, 40), (3, 3, 3, 8), (9, 9, 2, 2), (-9, 5, 99, 7)]
    result = ps.draw_boxes(IMAGE, boxes, color=color, thickness=thickness)
    np.testing.assert_array_equal(result.numpy(), drawn(IMAGE, boxes, color, thickness))


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.lists(st.tuples(*[st.floats(-30, 40, width=32)] * 4), max_size=5),
    st.sampled_from([1, 2, 7, -1]),
)
@examples(80)
def test_any_boxes_on_any_image(height, width, boxes, thickness):
    image = noise(height, width, 3)
    expected = drawn(image, boxes, thickness=thickness)
    np.testing.assert_array_equal(ps.draw_boxes(image, boxes, thickness=thickness).numpy(), expected)
    array = np.array(boxes, "float32").reshape(-1, 4)
    np.testing.assert_array_equal(ps.draw_boxes(image, array, thickness=thickness).numpy(), expected)


BOXES = {
    "tuples": lambda b: [tuple(row) for row in b],
    "a tuple of lists": lambda b: tuple([float(v) for v in row] for row in b),
    "rows of an array": lambda b: list(np.array(b, "float32")),
    "int64": lambda b: np.array(b),
    "int32": lambda b: np.array(b, "int32"),
    "uint16": lambda b: np.array(b, "uint16"),
    "float64": lambda b: np.array(b, "float64"),
    "a tensor": lambda b: ps.as_tensor(np.array(b, "float32")),
    "every other row": lambda b: np.repeat(np.array(b), 2, 0)[::2],
    "columns of another": lambda b: np.concatenate([np.array(b), np.array(b)], 1)[:, :4],
}


@pytest.mark.parametrize("name", BOXES)
def test_boxes_of_any_kind(name):
    boxes = [(2, 3, 7, 9), (0, 0, 16, 12)]
    np.testing.assert_array_equal(ps.draw_boxes(IMAGE, BOXES[name](boxes)).numpy(), drawn(IMAGE, boxes))


@pytest.mark.interop
def test_boxes_of_pytorch():
    torch = pytest.importorskip("torch")
    boxes = torch.tensor([[2.0, 3.0, 7.0, 9.0]])
    np.testing.assert_array_equal(ps.draw_boxes(IMAGE, boxes).numpy(), drawn(IMAGE, BOX))
    np.testing.assert_array_equal(ps.draw_boxes(IMAGE, list(boxes)).numpy(), drawn(IMAGE, BOX))


@pytest.mark.parametrize("nothing", [[], (), None, np.zeros((0, 4)), np.array([]), np.zeros((0, 4), "int32")])
def test_no_boxes(nothing):
    result = ps.draw_boxes(IMAGE, nothing)
    np.testing.assert_array_equal(result.numpy(), IMAGE)
    assert result.data != IMAGE.ctypes.data  # a new image, always


def test_edges_are_rounded_half_to_even_and_clipped():
    box = [(0.5, 1.5, 2.5, 1e30)]
    expected = drawn(IMAGE, [(0, 2, 2, 99)], thickness=-1)
    np.testing.assert_array_equal(ps.draw_boxes(IMAGE, box, thickness=-1).numpy(), expected)
    everything = [(-float("inf"), -1e300, float("inf"), 2**31)]
    assert (ps.draw_boxes(IMAGE, everything, color=4, thickness=-1).numpy() == 4).all()
    np.testing.assert_array_equal(ps.draw_boxes(IMAGE, everything).numpy(), IMAGE)  # its edges are outside


@pytest.mark.parametrize(
    ("shape", "color", "pixel"),
    [
        ((5, 6), (0, 255, 0), [150]),
        ((5, 6), 9, [9]),
        ((5, 6, 1), (9,), [9]),
        ((5, 6, 2), (8, 9), [8, 9]),
        ((5, 6, 3), (-5, 1.5, 999), [0, 2, 255]),
        ((5, 6, 4), (1, 2, 3), [1, 2, 3, 255]),
        ((5, 6, 4), np.array([1, 2, 3, 4]), [1, 2, 3, 4]),
    ],
)
def test_colours(shape, color, pixel):
    result = ps.draw_boxes(np.zeros(shape, "uint8"), [(1, 1, 3, 3)], color=color).numpy()
    assert np.ravel(result[1, 1]).tolist() == pixel


def test_float32_images():
    image = np.random.default_rng(1).random((7, 9, 4), "float32")
    color = (0.1, 0.2, 0.3, 1.0)
    result = ps.draw_boxes(image, BOX, color=color).numpy()
    np.testing.assert_array_equal(result, drawn(image, BOX, np.array(color, "float32")))


VIEWS = {
    "padded rows": pitched,
    "upside down": lambda a: a[::-1],
    "every other column": lambda a: np.repeat(a, 2, 1)[:, ::2],
    "three of four channels": lambda a: np.concatenate([a, a[..., :1]], -1)[..., :3],
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("thickness", [1, -1])
def test_views_in_place_and_copied(name, thickness):
    image = VIEWS[name](noise(12, 16, 3))
    before = image.copy()
    expected = drawn(before, BOX, thickness=thickness)
    np.testing.assert_array_equal(ps.draw_boxes(image, BOX, thickness=thickness).numpy(), expected)
    np.testing.assert_array_equal(image, before)
    result = ps.draw_boxes(image, BOX, thickness=thickness, out=image)
    np.testing.assert_array_equal(image, expected)
    assert result.data == image.ctypes.data


def test_out():
    out = np.zeros_like(IMAGE)
    target = ps.as_tensor(out)
    assert ps.draw_boxes(IMAGE, BOX, out=target) is target
    np.testing.assert_array_equal(out, drawn(IMAGE, BOX))
    assert ps.draw_boxes(ps.as_tensor(IMAGE, "HWC"), BOX).layout == "HWC"
    for shape in ((0, 6, 3), (6, 0)):
        assert ps.draw_boxes(np.zeros(shape, "uint8"), BOX, color=1).shape == shape


WIDE = noise(12, 20, 3)
NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda o: ps.draw_boxes(3, BOX, out=o), ps.ArgumentTypeError, "draw_boxes: src is int"),
        (lambda o: ps.draw_boxes(IMAGE, out=o), ps.ArgumentTypeError, "draw_boxes: boxes is missing"),
        (lambda o: ps.draw_boxes(IMAGE, 3, out=o), ps.ArgumentTypeError, "draw_boxes: boxes is int"),
        (lambda o: ps.draw_boxes(IMAGE, [1, 2, 3, 4], out=o), ps.ArgumentTypeError, r"boxes\[0\] is 1, expected 4 num"),
        (lambda o: ps.draw_boxes(IMAGE, [*BOX, (1, 2, 3)], out=o), ps.TensorError, r"boxes\[1\] is \(1, 2, 3\)"),
        (lambda o: ps.draw_boxes(IMAGE, [(1, 2, "x", 4)], out=o), ps.ArgumentTypeError, r"boxes\[0\]: 'x' is no number"),
        (lambda o: ps.draw_boxes(IMAGE, [(1, 2, NAN, 4)], out=o), ps.TensorError, r"boxes\[0\] is \(1, 2, nan, 4\)"),
        (lambda o: ps.draw_boxes(IMAGE, np.array([[1, 2, NAN, 4]]), out=o), ps.TensorError, r"boxes\[0\] is .*nan"),
        (lambda o: ps.draw_boxes(IMAGE, np.zeros((2, 6)), out=o), ps.TensorError, r"boxes has shape \(2, 6\).*:, :4"),
        (lambda o: ps.draw_boxes(IMAGE, np.zeros(4), out=o), ps.TensorError, r"boxes has shape \(4,\)"),
        (lambda o: ps.draw_boxes(IMAGE, np.zeros((1, 4), "c8"), out=o), ps.TensorError, "boxes has dtype complex64"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, thickness=0, out=o), ps.TensorError, "thickness is 0"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, thickness=-3, out=o), ps.TensorError, "thickness is -3"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, thickness=1.5, out=o), ps.ArgumentTypeError, "thickness: 1.5 is no integer"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, color=(1, 2), out=o), ps.TensorError, "color has 2 values, expected 1 or 3"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, color=(1, NAN, 2), out=o), ps.TensorError, "color is NaN"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, color="red", out=o), ps.ArgumentTypeError, "color: 'red' is no number"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, color=(), out=o), ps.TensorError, "color is empty"),
        (lambda o: ps.draw_boxes(IMAGE.astype("u2"), BOX, out=o), ps.TensorError, "src has dtype uint16"),
        (lambda o: ps.draw_boxes(noise(2, 12, 16, 3), BOX, out=o), ps.TensorError, "src has shape .*one image"),
        (lambda o: ps.draw_boxes(noise(12, 16, 5), BOX, out=o), ps.TensorError, "src has 5 channels"),
        (lambda o: ps.draw_boxes(IMAGE[:, ::-1], BOX, out=o), ps.TensorError, "src has strides"),
        (lambda o: ps.draw_boxes(noise(12, 15, 3), BOX, out=o), ps.TensorError, r"out has shape .*expected \(12, 15, 3\)"),
        (lambda o: ps.draw_boxes(WIDE[:, 1:17], BOX, out=WIDE[:, :16]), ps.TensorError, "draw_boxes: out overlaps src"),
        (lambda o: ps.draw_boxes(o[:, ::-1][:, ::-1], o.reshape(-1)[:8].reshape(2, 4), out=o), ps.TensorError, "boxes"),
        (lambda o: ps.draw_boxes(IMAGE, BOX, out=o, stream=7), ps.StreamError, "stream"),
    ],
)  # fmt: skip
def test_a_refused_call_names_the_argument_and_leaves_out_alone(call, error, text):
    out = np.full((12, 16, 3), 123, "uint8")
    with pytest.raises(error, match=text):
        call(out)
    assert (out == 123).all()


def test_boxes_that_a_stream_still_writes():
    stream, gate = ps.Stream("cpu"), Gate()
    boxes = ps.zeros((1, 4), "float32", device="cpu")

    def find():
        gate()
        boxes.numpy()[:] = BOX

    stream.launch(find, writes=boxes)
    result = ps.draw_boxes(IMAGE, boxes, stream=ps.Stream("cpu"))
    gate.open()
    np.testing.assert_array_equal(result.numpy(), drawn(IMAGE, BOX))


def test_a_list_of_boxes_is_read_in_microseconds():
    boxes = [(i * 10.5, i * 5.0, i * 10.5 + 80, i * 5.0 + 60) for i in range(20)]

    def seconds(call):
        return min(_timed(call) for _ in range(300))

    ours = seconds(lambda: _core._boxes_as_tensor(boxes))
    numpys = seconds(lambda: np.array(boxes, "float64"))
    assert ours < 3 * numpys


def _timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


# In a graph.

FOUND = [
    [(1, 1, 5, 5)],
    None,
    [],
    np.array([[2, 2, 6, 6], [0, 0, 3, 3]]),
    np.array([[3.2, 3, 7, 7]], "float32"),
    ((4, 4, 8, 8.4),),
]
FRAMES = [noise(12, 16, 3, seed=n) for n in range(len(FOUND))]


@ps.operator
def detect(frame):
    """What was found on the frame; None: it emits nothing."""
    number = next(n for n, known in enumerate(FRAMES) if np.array_equal(known, frame))
    found = FOUND[number]
    return ps.as_tensor(found) if number == 4 else found


def expected(number):
    return drawn(FRAMES[number], [] if FOUND[number] is None else FOUND[number])


@pytest.mark.parametrize("instances", [1, 3])
@pytest.mark.parametrize("form", ["call", "tuple", "configured"])
def test_frames_are_joined_with_their_boxes(form, instances):
    frames = listed(FRAMES)
    boxes = detect(frames, instances=instances)
    if form == "call":
        flow = ps.draw_boxes(frames, boxes)
    elif form == "tuple":
        flow = (frames, boxes) >> ps.draw_boxes()
    else:
        flow = frames >> ps.draw_boxes(boxes=boxes)
    found = collect(flow)
    assert len(found) == len(FRAMES)
    for number, image in enumerate(found):
        assert isinstance(image, ps.Tensor)
        np.testing.assert_array_equal(image.numpy(), expected(number))


def test_frames_that_others_have_are_not_drawn_on():
    @ps.operator
    def everywhere(frame):
        return [(0, 0, 16, 12)]

    @ps.operator
    def both(plain, marked):
        return {"plain": plain.numpy().copy(), "marked": marked.numpy().copy()}

    frames = ps.resize(listed(FRAMES), (12, 16))  # the same pixels, in memory of Penstock's own
    marked = ps.draw_boxes(frames, everywhere(frames), color=1, thickness=-1)
    found = collect(both(frames, marked))
    assert len(found) == len(FRAMES)
    for frame, pair in zip(FRAMES, found, strict=True):
        np.testing.assert_array_equal(pair["plain"], frame)
        assert (pair["marked"] == 1).all()


def test_the_same_boxes_for_every_frame():
    for boxes in (BOX, np.array(BOX), ps.as_tensor(np.array(BOX, "float32"))):
        found = collect(listed(FRAMES) >> ps.draw_boxes(boxes=boxes, thickness=2))
        for frame, image in zip(FRAMES, found, strict=True):
            np.testing.assert_array_equal(image.numpy(), drawn(frame, BOX, thickness=2))
    assert len(collect(ps.draw_boxes(listed(FRAMES), None))) == len(FRAMES)
    np.testing.assert_array_equal(ps.draw_boxes(boxes=BOX)(IMAGE).numpy(), drawn(IMAGE, BOX))
    np.testing.assert_array_equal(ps.draw_boxes(color=3)(IMAGE, BOX).numpy(), drawn(IMAGE, BOX, 3))


def test_the_latest_boxes():
    @ps.operator
    def never(frame):
        return None

    frames = listed(FRAMES)
    found = collect(ps.draw_boxes(frames, never(frames), join="latest"))
    assert len(found) == len(FRAMES)


def test_boxes_that_are_none():
    @ps.operator
    def words(frame):
        return "cat"

    frames = listed(FRAMES)
    with pytest.raises(ps.ArgumentTypeError, match="draw_boxes: boxes is str"):
        collect(ps.draw_boxes(frames, words(frames)))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda f: ps.draw_boxes(IMAGE, f), ps.ArgumentTypeError, "boxes is a flow, so src has to be one"),
        (lambda f: ps.draw_boxes(f), ps.ArgumentTypeError, "boxes is missing"),
        (lambda f: ps.draw_boxes(f, f, thickness=0), ps.TensorError, "thickness is 0"),
        (lambda f: ps.draw_boxes(f, [(1, 2)]), ps.TensorError, r"boxes\[0\]"),
        (lambda f: ps.draw_boxes(f, f, colour=3), ps.GraphError, "colour.*did you mean 'color'"),
        (lambda f: ps.draw_boxes(f, f, out=IMAGE), ps.ArgumentTypeError, "out= and stream= are for data"),
    ],
)
def test_what_is_wrong_is_said_before_the_run(call, error, text):
    with pytest.raises(error, match=text):
        call(listed([]))
