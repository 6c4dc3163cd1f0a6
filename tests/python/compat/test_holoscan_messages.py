"""Tensors and messages in Holoscan's words."""

import numpy as np
import pytest
from holoscan_app import App, Rx, Through, Tx, ones, pipe, received

import penstock as ps
from penstock.compat import holoscan as hs
from penstock.compat.holoscan.conditions import CountCondition
from penstock.compat.holoscan.core import Operator, OperatorSpec, Tensor

DTYPES = [np.bool_, np.uint8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64, np.complex64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_as_tensor_shares_memory(dtype, order):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    tensor = hs.as_tensor(array)
    assert isinstance(tensor, Tensor)
    assert (tensor.shape, tensor.strides, tensor.dtype) == (array.shape, array.strides, array.dtype)
    assert (tensor.ndim, tensor.size, tensor.itemsize, tensor.nbytes) == (3, 24, array.itemsize, array.nbytes)
    assert tensor.data == array.ctypes.data
    with pytest.raises(AttributeError):
        tensor.shape = (24,)
    for back in (np.asarray(tensor), np.from_dlpack(tensor)):
        assert back.ctypes.data == array.ctypes.data
        np.testing.assert_array_equal(back, array)
    interface = tensor.__array_interface__
    assert (interface["version"], interface["data"], interface["typestr"]) == (
        3,
        (array.ctypes.data, False),
        array.dtype.str,
    )
    assert not hasattr(tensor, "__cuda_array_interface__")


def test_capsules_are_versioned_when_asked_and_refusals_are_buffer_errors():
    tensor = hs.as_tensor(ones)
    assert '"dltensor"' in repr(tensor.__dlpack__())
    assert '"dltensor"' in repr(tensor.__dlpack__(max_version=(0, 8)))
    assert '"dltensor_versioned"' in repr(tensor.__dlpack__(max_version=(1, 0)))
    assert tensor.__dlpack__(dl_device=tensor.__dlpack_device__()) is not None
    with pytest.raises(BufferError):
        tensor.__dlpack__(dl_device=(2, 0))
    with pytest.raises((TypeError, ValueError)):
        tensor.__dlpack__(dl_device="cpu")


def test_a_lone_array_is_itself_with_get():
    message = received(ones)
    assert isinstance(message, np.ndarray)
    assert repr(type(message)) == "<class 'numpy.ndarray'>"
    assert message.get() is ones
    assert message.get("") is ones
    assert message.get("other") is None
    assert message.ctypes.data == ones.ctypes.data
    np.testing.assert_array_equal(message * 2 + message[0], ones * 3)
    assert float(np.sum(message)) == 6.0
    assert hs.as_tensor(message).data == ones.ctypes.data


def test_a_lone_array_can_be_pickled_and_what_is_made_of_it_too():
    import pickle

    message = received(ones)
    for one in (message, message[:1], message + 1):
        again = pickle.loads(pickle.dumps(one))
        assert type(again) is np.ndarray
        np.testing.assert_array_equal(again, np.asarray(one))


def test_a_tensor_is_itself_with_get():
    tensor = hs.as_tensor(ones)
    message = received(tensor)
    assert isinstance(message, ps.Tensor)
    assert isinstance(message, Tensor)
    assert message.get() is tensor
    assert message.shape == (2, 3)
    assert np.asarray(message).ctypes.data == ones.ctypes.data
    assert np.asarray(message[0]).sum() == 3
    assert hs.as_tensor(message) is tensor or hs.as_tensor(message).data == tensor.data


@pytest.mark.interop
def test_a_torch_tensor_is_itself_with_get():
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3)
    message = received(tensor)
    assert isinstance(message, torch.Tensor)
    assert message.get() is tensor
    assert message.data_ptr() == tensor.data_ptr()
    assert torch.equal(torch.nn.functional.relu(message) * 2, tensor * 2)
    assert torch.as_tensor(message.get("")).data_ptr() == tensor.data_ptr()


def test_a_dict_is_itself_and_get_gives_its_only_tensor():
    message = received({"out_tensor": ones})
    assert isinstance(message, dict)
    assert next(iter(message.items()))[0] == "out_tensor"
    for one in (message.get(), message.get(""), message.get("out_tensor"), message["out_tensor"]):
        assert one is ones
    assert message.get("other") is None
    assert received({"": ones, "b": 1}).get("") is ones
    with pytest.raises(ps.GraphError, match="2 entries"):
        received({"a": ones, "b": ones}).get()


@pytest.mark.parametrize("value", [3, "text", (1, 2), [ones], 2.5, {}])
def test_other_values_come_as_they_are(value):
    assert received(value) == value


def test_what_is_emitted_again_is_the_original():
    kept = []

    def compose(app):
        through = Through(app, look=lambda i, o, c: o.emit(i.receive()))
        app.add_flow(Tx(app, CountCondition(app, 1), make=lambda n, c, o: ones), through)
        app.add_flow(through, Rx(app, look=lambda i, o, c: kept.append(i.receive().get()), name="rx"))

    App(compose).run()
    assert kept[0] is ones


def test_an_emitter_name_makes_a_tensor():
    def make(number, context, output):
        output.emit(ones, "out", "holoscan::Tensor")

    (message,) = pipe(lambda i, o, c: i.receive(), make)
    assert isinstance(message, Tensor)
    assert message.data == ones.ctypes.data


@pytest.mark.interop
def test_a_torch_operator_as_tutorials_write_it():
    torch = pytest.importorskip("torch")

    class TorchOperator(Operator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

        def setup(self, spec: OperatorSpec):
            spec.input("input_tensor")
            spec.output("out")

        def compute(self, op_input, op_output, context):
            message = op_input.receive("input_tensor")
            input_tensor = message.get()
            torch_tensor = torch.as_tensor(input_tensor, device="cpu")
            torch_tensor *= 2
            op_output.emit({"out_tensor": torch_tensor}, "out")

    class NumPyOperator(TorchOperator):
        def compute(self, op_input, op_output, context):
            message = op_input.receive("input_tensor")
            array = np.ascontiguousarray(np.asarray(message.get("")) + 1)
            op_output.emit({"out_tensor": array}, "out")

    seen = []

    def compose(app):
        tx = Tx(app, CountCondition(app, 1), make=lambda n, c, o: {"frame": np.ones((2, 3), np.float32)})
        first, second = TorchOperator(app, name="torch"), NumPyOperator(app, name="numpy")
        app.add_flow(tx, first, {("out", "input_tensor")})
        app.add_flow(first, second, {("out", "input_tensor")})
        app.add_flow(second, Rx(app, look=lambda i, o, c: seen.append(i.receive("in")), name="rx"))

    App(compose).run()
    assert list(seen[0]) == ["out_tensor"]
    np.testing.assert_array_equal(seen[0]["out_tensor"], np.full((2, 3), 3, np.float32))
