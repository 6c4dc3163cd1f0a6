"""What imaging operations take, and what they refuse by name."""

import itertools

import numpy as np
import pytest
import raw_dlpack as raw
from references import near, noise, pitched, resized

import penstock as ps

pytestmark = pytest.mark.asan


class Foreign:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self):
        return self.array.__dlpack__()


def array_likes(array):
    yield array
    yield ps.as_tensor(array)
    yield memoryview(array)
    yield Foreign(array)
    yield raw.Producer(array)
    yield type("Spoken", (), {"kept": array, "__array_interface__": array.__array_interface__})()


@pytest.mark.parametrize("index", range(6))
def test_any_array_is_taken(index):
    image, out = noise(6, 8, 3), np.zeros((3, 4, 3), "uint8")
    source, target = (next(itertools.islice(array_likes(a), index, None)) for a in (image, out))
    exact = resized(image, 3, 4)
    near(ps.resize(source, (3, 4)), exact)
    result = ps.resize(image, (3, 4), out=target)
    assert isinstance(result, ps.Tensor)
    assert result.data == out.ctypes.data
    near(ps.as_tensor(out), exact)


@pytest.mark.interop
def test_pytorch_is_taken():
    torch = pytest.importorskip("torch")
    image = noise(6, 8, 3)
    out = torch.zeros(3, 4, 3, dtype=torch.uint8)
    near(ps.resize(torch.from_numpy(image), (3, 4), out=out), resized(image, 3, 4))
    assert ps.as_tensor(out).numpy().any()


GRAY, IMAGE, YUV = noise(6, 8), noise(6, 8, 3), noise(6, 8)
FROZEN = np.frombuffer(bytes(3 * 4 * 3), "uint8").reshape(3, 4, 3)
PITCHED = pitched(noise(9, 8, 1))
FROZEN_YUV = np.frombuffer(bytes(9 * 8), "uint8").reshape(9, 8, 1)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda o: ps.resize([1, 2], (3, 4), out=o), ps.ArgumentTypeError, "resize: src is list, expected a tensor"),
        (lambda o: ps.resize(None, (3, 4), out=o), TypeError, "src"),
        (lambda o: ps.resize(IMAGE.astype(">u2"), (3, 4), out=o), ps.TensorError, "resize: src: .*big-endian"),
        (lambda o: ps.resize(IMAGE.astype("f4"), (3, 4), out=o), ps.TensorError, "resize: src has dtype float32; uint8"),
        (lambda o: ps.resize(noise(6, 8, 5), (3, 4), out=o), ps.TensorError, "resize: src has 5 channels; 1 to 4"),
        (lambda o: ps.resize(noise(6), (3, 4), out=o), ps.TensorError, r"resize: src has shape \(6,\)"),
        (lambda o: ps.resize(noise(1, 1, 6, 8, 3), (3, 4), out=o), ps.TensorError, "resize: src has shape"),
        (lambda o: ps.resize(ps.as_tensor(IMAGE, "CHW"), (3, 4), out=o), ps.TensorError, 'src has layout "CHW"'),
        (lambda o: ps.resize(IMAGE[:, ::-1], (3, 4), out=o), ps.TensorError, "resize: src has strides"),
        (lambda o: ps.resize(IMAGE[..., ::-1], (3, 4), out=o), ps.TensorError, "resize: src has strides"),
        (lambda o: ps.resize(IMAGE.transpose(1, 0, 2)[..., ::2], (3, 4), out=o), ps.TensorError, "src has strides"),
        (lambda o: ps.resize(noise(0, 8, 3), (3, 4), out=o), ps.TensorError, "resize: src is 0 x 8"),
        (lambda o: ps.resize(IMAGE, (0, 4), out=o), ps.TensorError, r"resize: size \(0, 4\)"),
        (lambda o: ps.resize(IMAGE, (3, -4), out=o), ps.TensorError, r"resize: size \(3, -4\)"),
        (lambda o: ps.resize(IMAGE, (3, 2**40), out=o), ps.TensorError, "resize: size"),
        (lambda o: ps.resize(IMAGE, (3, 2**70), out=o), ps.TensorError, "resize: size"),
        (lambda o: ps.resize(IMAGE, (3.0, 4), out=o), ps.ArgumentTypeError, "resize: size: 3.0 is no integer"),
        (lambda o: ps.resize(IMAGE, 3, out=o), ps.ArgumentTypeError, r"resize: size is 3, expected \(height, width\)"),
        (lambda o: ps.resize(IMAGE, (3, 4, 3), out=o), ps.ArgumentTypeError, r"resize: size is \(3, 4, 3\)"),
        (lambda o: ps.resize(IMAGE, (3, 4), "cubic", out=o), ps.TensorError, 'resize: interp "cubic"'),
        (lambda o: ps.resize(IMAGE, (3, 4), antialias=True, out=o), ps.TensorError, "resize: antialias"),
        (lambda o: ps.resize(IMAGE, (3, 4), out=o, stream=7), ps.StreamError, "stream: int is no penstock.Stream"),
        (lambda o: ps.resize(IMAGE, (3, 4), out=[1]), ps.ArgumentTypeError, "resize: out is list"),
        (lambda o: ps.resize(IMAGE, (3, 4), out=FROZEN), ps.TensorError, "resize: out is read-only"),
        (lambda o: ps.resize(IMAGE, (3, 5), out=o), ps.TensorError, r"out has shape \(3, 4, 3\), expected \(3, 5, 3\)"),
        (lambda o: ps.resize(GRAY, (3, 4), out=o), ps.TensorError, r"out has shape \(3, 4, 3\), expected \(3, 4\)"),
        (lambda o: ps.resize(IMAGE, (3, 4), out=o.view("int8")), ps.TensorError, "out has dtype int8, expected uint8"),
        (lambda o: ps.resize(IMAGE, (3, 4), out=o[:, ::-1]), ps.TensorError, "out has strides"),
        (lambda o: ps.resize(ps.as_tensor(IMAGE, "HWC"), (3, 4), out=ps.as_tensor(o, "CHW")), ps.TensorError, "out"),
        (lambda o: ps.cvt_color([1], "NV12", "RGB"), ps.ArgumentTypeError, "cvt_color: src is int"),
        (lambda o: ps.cvt_color((), "NV12", "RGB"), ps.TensorError, r"cvt_color: src has 0 planes, expected 2 \(Y, UV\)"),
        (lambda o: ps.cvt_color((GRAY,), "I420", "RGB"), ps.TensorError, r"src has 1 planes, expected 3 \(Y, U, V\)"),
        (lambda o: ps.cvt_color((GRAY, noise(2, 4, 2)), "NV12", "RGB"), ps.TensorError, "cvt_color: UV has shape"),
        (lambda o: ps.cvt_color((GRAY, noise(3, 4), noise(3, 3)), "I420", "RGB"), ps.TensorError, "cvt_color: V has"),
        (lambda o: ps.cvt_color((noise(5, 8), GRAY), "NV12", "RGB"), ps.TensorError, "cvt_color: Y has shape"),
        (lambda o: ps.cvt_color(noise(6, 7), "NV12", "RGB"), ps.TensorError, r"cvt_color: src has shape \(6, 7\)"),
        (lambda o: ps.cvt_color(noise(5, 8), "NV12", "RGB"), ps.TensorError, "cvt_color: src has shape"),
        (lambda o: ps.cvt_color(YUV.astype("f4"), "NV12", "RGB"), ps.TensorError, "cvt_color: src has dtype float32"),
        (lambda o: ps.cvt_color(YUV, "NV21", "RGB"), ps.TensorError, 'src_format "NV21".*did you mean "NV12"'),
        (lambda o: ps.cvt_color(YUV, "NV12", "RBG"), ps.TensorError, 'dst_format "RBG".*did you mean "RGB"'),
        (lambda o: ps.cvt_color(YUV, "NV12", "RGB", matrix="bt600"), ps.TensorError, 'matrix "bt600".*"bt601"'),
        (lambda o: ps.cvt_color(YUV, "NV12", "RGB", range="ful"), ps.TensorError, 'range "ful".*"full"'),
        (lambda o: ps.cvt_color(YUV, "NV12", "RGB", out=o), ps.TensorError, r"cvt_color: out has shape \(3, 4, 3\)"),
        (lambda o: ps.cvt_color(pitched(YUV), "I420", "RGB"), ps.TensorError, "src has rows .* must be packed"),
        (lambda o: ps.cvt_color(IMAGE, "RGB", "BGR"), ps.TensorError, 'dst_format "BGR" is not supported'),
        (lambda o: ps.cvt_color(IMAGE, "GBR", "NV12"), ps.TensorError, 'src_format "GBR".*did you mean "RGB"'),
        (lambda o: ps.cvt_color(GRAY, "RGB", "NV12"), ps.TensorError, r"src has shape \(6, 8\), expected \(H, W, 3\)"),
        (lambda o: ps.cvt_color(noise(6, 8, 4), "RGB", "NV12"), ps.TensorError, "src has shape"),
        (lambda o: ps.cvt_color(noise(6, 7, 3), "RGB", "NV12"), ps.TensorError, "src has shape .* even H and W"),
        (lambda o: ps.cvt_color(noise(5, 8, 3), "RGB", "I420"), ps.TensorError, "src has shape .* even H and W"),
        (lambda o: ps.cvt_color(IMAGE[..., ::-1], "RGB", "I420"), ps.TensorError, "src has strides"),
        (lambda o: ps.cvt_color((GRAY, GRAY), "RGB", "I420"), ps.TensorError, r"src has 2 planes, expected 1 \(RGB\)"),
        (lambda o: ps.cvt_color(IMAGE, "RGB", "I420", out=o), ps.TensorError, r"out has shape .*expected \(9, 8, 1\)"),
        (lambda o: ps.cvt_color(IMAGE, "RGB", "I420", out=PITCHED), ps.TensorError, "out has rows .* must be packed"),
        (lambda o: ps.cvt_color(IMAGE, "RGB", "NV12", out=FROZEN_YUV), ps.TensorError, "cvt_color: out is read-only"),
    ],
)  # fmt: skip
def test_a_refused_call_names_the_argument_and_leaves_out_alone(call, error, text):
    out = np.full((3, 4, 3), 123, "uint8")
    with pytest.raises(error, match=text):
        call(out)
    assert (out == 123).all()


def test_out_may_not_overlap_src():
    memory = noise(12, 12, 3)
    before = memory.copy()
    for out in (memory[:6, :8], memory[2:8, 3:11], memory[5:11, 4:12]):
        with pytest.raises(ps.TensorError, match="resize: out overlaps src"):
            ps.resize(memory[:6, :8], (6, 8), out=out)
    source = ps.as_tensor(memory)
    with pytest.raises(ps.TensorError, match="resize: out overlaps src"):
        ps.resize(source[:6], (6, 12), out=source[5:11])
    np.testing.assert_array_equal(memory, before)
    near(ps.resize(memory[:6, :6], (6, 6), out=memory[6:, 6:]), before[:6, :6].astype("float64"))
    near(ps.resize(memory[:6, :6], (6, 6), out=memory[:6, 6:]), before[:6, :6].astype("float64"))  # side by side
    yuv = noise(9, 12)
    with pytest.raises(ps.TensorError, match="cvt_color: out overlaps src"):
        ps.cvt_color(yuv.reshape(-1)[:24].reshape(2, 4, 3), "RGB", "NV12", out=yuv[:3, :4])
    with pytest.raises(ps.TensorError, match="cvt_color: out overlaps src"):
        ps.cvt_color(yuv[:3, :4], "NV12", "RGB", out=yuv.reshape(-1)[:24].reshape(2, 4, 3))


def test_out_may_not_overlap_itself():
    out = np.lib.stride_tricks.as_strided(np.zeros(200, "uint8"), (3, 4, 3), (3, 3, 1))
    for wrong in (out, np.lib.stride_tricks.as_strided(np.zeros(200, "uint8"), (3, 4, 3), (0, 3, 1))):
        with pytest.raises(ps.TensorError, match="resize: out .*overlap"):
            ps.resize(IMAGE, (3, 4), out=wrong)


@pytest.mark.host
def test_empty_in_empty_out():
    result = ps.resize(ps.zeros((0, 6, 8, 3), "uint8", "NHWC"), (3, 4))
    assert (result.shape, result.layout) == ((0, 3, 4, 3), "NHWC")
    assert ps.cvt_color(np.zeros((0, 8), "uint8"), "NV12", "RGB").shape == (0, 8, 3)
    assert ps.cvt_color(np.zeros((6, 0), "uint8"), "I420", "RGB").shape == (4, 0, 3)
    assert ps.cvt_color(np.zeros((4, 0, 3), "uint8"), "RGB", "I420").shape == (6, 0, 1)
    assert ps.cvt_color(np.zeros((0, 8, 3), "uint8"), "RGB", "NV12").shape == (0, 8, 1)
