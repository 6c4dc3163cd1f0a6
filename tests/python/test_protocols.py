"""as_tensor: the protocols in their order of preference, and what comes of their refusals."""

import array

import numpy as np
import pytest
import raw_dlpack as raw
from arrays import ARRAY, interface, speaking

import penstock as ps

pytestmark = pytest.mark.asan


class Log:
    """Which protocols were asked, in order."""

    def __init__(self, **answers):
        self.asked = []
        self.answers = answers

    def answer(self, name):
        self.asked.append(name)
        if name not in self.answers:
            raise AttributeError(name)
        found = self.answers[name]
        return found() if callable(found) else found

    __array_interface__ = property(lambda self: self.answer("array"))
    __cuda_array_interface__ = property(lambda self: self.answer("cuda"))
    cudaPtr = property(lambda self: self.answer("gpu_mat"))
    __dlpack__ = property(lambda self: self.answer("dlpack"))


class BufferLog(Log, array.array):
    """The same, with a buffer of three bytes."""

    def __new__(cls, **_answers):
        return array.array.__new__(cls, "B", [7, 8, 9])

    __init__ = Log.__init__


def refusing(**_keywords):
    raise BufferError("I have no tensor to give")


def test_protocols_are_asked_in_their_order():
    export = raw.Producer(ARRAY)
    log = Log(dlpack=lambda: export.__dlpack__, array=interface())
    assert ps.as_tensor(log).data == ARRAY.ctypes.data
    assert log.asked == ["dlpack"]

    log = Log(array=interface())
    assert ps.as_tensor(log).data == ARRAY.ctypes.data
    assert log.asked == ["dlpack", "cuda", "array"]

    log = BufferLog(array=interface())
    assert ps.as_tensor(log).numpy().tolist() == [7, 8, 9]
    assert log.asked == ["dlpack", "cuda"]

    log = Log()
    with pytest.raises(ps.ArgumentTypeError, match="Log is not accepted; accepted are"):
        ps.as_tensor(log)
    assert log.asked == ["dlpack", "cuda", "array", "gpu_mat"]


def test_a_penstock_tensor_comes_before_its_protocols():
    class Loud(ps.Tensor):
        def __dlpack__(self, **_keywords):
            raise AssertionError("asked")

    tensor = Loud((2, 3), "uint8")
    assert ps.as_tensor(tensor) is tensor
    assert type(ps.as_tensor(tensor, "HW")) is ps.Tensor
    assert ps.as_tensor(tensor, "HW").data == tensor.data


def test_a_tensor_that_was_never_made():
    with pytest.raises(ps.ArgumentTypeError, match="never initialised"):
        ps.as_tensor(ps.Tensor.__new__(ps.Tensor))


@pytest.mark.interop
def test_the_exchange_api_comes_before_dlpack():
    torch = pytest.importorskip("torch")

    class Loud(torch.Tensor):
        def __dlpack__(self, *_arguments, **_keywords):
            raise AssertionError("asked")

    source = torch.arange(6, dtype=torch.int32).reshape(2, 3)
    tensor = ps.as_tensor(source.as_subclass(Loud))
    assert (tensor.data, tensor.shape, tensor.dtype) == (source.data_ptr(), (2, 3), "int32")


def test_dlpack_is_asked_with_the_newest_version():
    producer = raw.Producer()
    ps.as_tensor(producer)
    assert producer.asked == [{"max_version": (1, 3)}]


def test_an_old_signature_is_asked_without_keywords():
    export = raw.Producer(ARRAY, versioned=False)
    calls = []

    class Old:
        def __dlpack__(self):
            calls.append(1)
            return export.__dlpack__()

    assert ps.as_tensor(Old()).data == ARRAY.ctypes.data
    assert calls == [1]


@pytest.mark.parametrize(
    "error", [ValueError("odd"), RuntimeError("odd"), KeyboardInterrupt("odd"), MemoryError("odd")]
)
def test_any_other_exception_comes_out_as_it_is(error):
    def raising(**_keywords):
        raise error

    with pytest.raises(type(error), match="odd") as caught:
        ps.as_tensor(speaking(__dlpack__=staticmethod(raising), __array_interface__=interface()))
    assert caught.value is error


def test_a_type_error_of_both_calls_comes_out():
    def raising(*_arguments, **_keywords):
        raise TypeError("I am no function")

    with pytest.raises(TypeError, match="I am no function"):
        ps.as_tensor(speaking(__dlpack__=staticmethod(raising)))


def test_after_a_buffer_error_the_next_protocol_is_asked():
    tensor = ps.as_tensor(speaking(__dlpack__=staticmethod(refusing), __array_interface__=interface()))
    assert tensor.data == ARRAY.ctypes.data
    log = BufferLog(dlpack=lambda: refusing)
    assert ps.as_tensor(log).numpy().tolist() == [7, 8, 9]


def test_if_none_fits_the_buffer_error_comes_out_as_it_is():
    error = BufferError("I have no tensor to give")

    def raising(**_keywords):
        raise error

    with pytest.raises(BufferError) as caught:
        ps.as_tensor(speaking(__dlpack__=staticmethod(raising)))
    assert caught.value is error


def test_both_refusals_are_told():
    with pytest.raises(BufferError, match=r"version is 2.*__dlpack__ said: I have no tensor") as caught:
        ps.as_tensor(speaking(__dlpack__=staticmethod(refusing), __array_interface__=interface(version=2)))
    assert isinstance(caught.value, ps.TensorError)


def test_a_class_is_no_array():
    for kind in (np.ndarray, raw.Producer, ps.Tensor, memoryview):
        with pytest.raises(ps.ArgumentTypeError, match="is not accepted"):
            ps.as_tensor(kind)


@pytest.mark.parametrize("value", [[1, 2], [], (), {}, "abc", 3, 2.5, None, object(), [[1.0]], {1}, range(3), print])
def test_what_is_no_array(value):
    name = type(value).__name__
    with pytest.raises(ps.ArgumentTypeError, match=f"{name} is not accepted; accepted are penstock.Tensor") as caught:
        ps.as_tensor(value)
    for protocol in ("__dlpack__", "__cuda_array_interface__", "buffer protocol", "__array_interface__", "GpuMat"):
        assert protocol in str(caught.value)


@pytest.mark.skipif(ps.device_count() > 0, reason="there is a GPU")
def test_arrays_of_a_gpu_that_is_not_there():
    gpu_mat = speaking(
        cudaPtr=lambda _: 1 << 32, step=64, size=lambda _: (8, 6), type=lambda _: 16, channels=lambda _: 3
    )
    cuda_array = speaking(__cuda_array_interface__=interface(data=(1 << 32, False), stream=None))
    for source in (gpu_mat, cuda_array):
        with pytest.raises(ps.DeviceError, match="on a GPU, but this machine has none"):
            ps.as_tensor(source)
    for kind in (raw.CUDA, raw.CUDA_MANAGED):
        with pytest.raises(ps.TensorError, match="device_id 0 but there are 0 GPUs"):
            ps.as_tensor(raw.Producer(device_type=kind, device=(kind, 0)))
