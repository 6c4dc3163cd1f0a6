"""Messages: values, origins, times, metadata, and who may write."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from graphs import collect, collect_with_stats, listed, numbers

import penstock as ps


@pytest.mark.parametrize("value", [1, 2.5, "text", b"bytes", [1, 2], {"a": 1}, (1, 2), object(), np.zeros(3), True])
def test_any_object_passes_as_itself(value):
    (found,) = collect(listed([value]) >> (lambda x: x))
    assert found is value


def test_origin_is_a_named_tuple():
    seen = []
    ps.run(numbers(2) >> (lambda x: seen.append(ps.message().origin)))
    assert seen == [("numbers", 0, None), ("numbers", 1, None)]
    assert isinstance(seen[0], ps.Origin)
    assert seen[1].source == "numbers"
    assert seen[1].number == 1
    assert seen[1].sub is None


def test_origin_and_time_and_metadata_pass_through():
    @ps.operator
    def source():
        m = ps.message()
        m.time = 1.5
        m.metadata["matrix"] = "bt709"
        yield 1

    seen = []

    @ps.operator
    def look(x):
        m = ps.message()
        seen.append((m.origin.source, m.time, m.metadata["matrix"]))
        m.metadata["more"] = x
        return x

    @ps.operator
    def last(x):
        seen.append(dict(ps.message().metadata))

    ps.run(source() >> (lambda x: x) >> look >> last)
    assert seen == [("source", 1.5, "bt709"), {"matrix": "bt709", "more": 1}]


def test_metadata_of_one_branch_is_not_the_others():
    seen = {}

    @ps.operator
    def mark(x):
        ps.message().metadata["who"] = "left"
        return x

    @ps.operator
    def look(x, *, name):
        seen[name] = dict(ps.message().metadata)

    source = numbers(1)
    ps.run(look(mark(source), name="a"), look(source, name="b"), name_them(look, source))
    assert seen["a"] == {"who": "left"}
    assert seen["b"] == {}


def name_them(look, source):
    return look(source, name="c")


def test_message_outside_of_an_operator_is_an_error():
    with pytest.raises(ps.GraphError, match="inside of an operator"):
        ps.message()


def test_several_outputs_of_one_activation_add_a_sub_number():
    @ps.operator
    def tiles(x):
        yield "a"
        yield "b"

    seen = []
    ps.run(tiles(numbers(2)) >> (lambda x: seen.append(tuple(ps.message().origin[1:]))))
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_in_a_batch_the_origin_is_a_list():
    seen = []

    @ps.operator(batch=3, max_delay_ms=60_000)
    def batched(xs):
        seen.extend(ps.message().origin)
        return xs

    ps.run(numbers(3) >> batched)
    assert seen == [("numbers", i, None) for i in range(3)]


def test_a_dict_of_arrays_reaches_a_python_consumer_as_it_is():
    value = {"a": np.zeros(2), "b": ps.zeros((2,), "float32", device="cpu")}
    (found,) = collect(listed([value]))
    assert found is value


# Who may write.


def test_a_tensor_of_ours_that_nobody_else_holds_is_given_without_a_copy():
    addresses = []

    @ps.operator
    def source():
        for _ in range(3):
            tensor = ps.zeros((8,), "float32", device="cpu")
            addresses.append(tensor.data)
            yield tensor
            del tensor

    @ps.operator
    def fresh(x):
        tensor = ps.zeros((8,), "float32", device="cpu")
        addresses.append(tensor.data)
        return tensor

    @ps.operator(writes="x")
    def write(x):
        x.numpy()[:] = 1
        return x.data

    found, stats = collect_with_stats(numbers(3) >> fresh >> write)
    assert found == addresses
    assert stats.edges[("fresh", "out", "write", "x")].copies == 0


def test_a_shared_tensor_is_copied_for_who_writes():
    @ps.operator
    def source():
        yield ps.zeros((8,), "float32", device="cpu")

    @ps.operator(writes="x")
    def write(x):
        x.numpy()[:] = 1
        return x

    @ps.operator
    def compare(written, read):
        return (written.numpy().sum(), read.numpy().sum())

    frames = source()
    found, stats = collect_with_stats(compare(write(frames), frames))
    assert found == [(8.0, 0.0)]
    assert stats.edges[("source", "out", "write", "x")].copies == 1


def test_another_librarys_array_is_copied():
    array = np.zeros(4)

    @ps.operator(writes="x")
    def write(x):
        x[:] = 1
        return x

    found, stats = collect_with_stats(listed([array]) >> write)
    assert array.sum() == 0
    assert found[0].sum() == 4
    assert stats.edges[("listed", "out", "write", "x")].copies == 1


def test_another_librarys_array_that_is_given_is_not_copied():
    array = np.zeros(4)

    class Gives(ps.Operator):
        def setup(self, spec):
            spec.output("out")

        def compute(self, inputs, outputs, context):
            outputs.emit(array, "out", give=True)

    @ps.operator(writes="x")
    def write(x):
        x[:] = 1
        return x

    found, stats = collect_with_stats(Gives(count=1) >> write)
    assert found[0] is array
    assert array.sum() == 4
    assert stats.edges[("Gives", "out", "write", "x")].copies == 0


def test_what_can_not_be_copied_is_named():
    @ps.operator(writes="x")
    def write(x):
        return x

    with pytest.raises(ps.GraphError, match="can't be copied"):
        collect(listed([threading.Lock()]) >> write)


# Containers.


def test_image_batch():
    batch = ps.ImageBatch([np.zeros((4, 6, 3), "uint8")])
    batch.push(np.ones((2, 2, 3), "uint8"))
    assert len(batch) == 2
    assert [t.shape for t in batch] == [(4, 6, 3), (2, 2, 3)]
    assert all(isinstance(t, ps.Tensor) for t in batch)
    assert batch.pop().shape == (2, 2, 3)
    with pytest.raises(ps.TensorError, match="dtype"):
        batch.push(np.zeros((2, 2, 3), "float32"))
    with pytest.raises(ps.TensorError, match="2 or 3 dimensions"):
        batch.push(np.zeros(3, "uint8"))
    batch.clear()
    assert len(batch) == 0
    with pytest.raises(ps.TensorError, match="empty"):
        batch.pop()


def test_as_tensor_of_a_list_is_an_image_batch():
    arrays = [np.zeros((4, 6, 3), "uint8"), np.zeros((2, 3, 3), "uint8")]
    for given in (arrays, tuple(arrays)):
        batch = ps.as_tensor(given)
        assert isinstance(batch, ps.ImageBatch)
        assert [t.data for t in batch] == [a.ctypes.data for a in arrays]
    with pytest.raises(ps.ArgumentTypeError):
        ps.as_tensor([1, 2, 3])


def test_tensor_batch():
    batch = ps.TensorBatch([np.zeros(3), np.zeros(5)])
    assert [t.shape for t in batch] == [(3,), (5,)]
    with pytest.raises(ps.TensorError, match="ndim"):
        batch.push(np.zeros((2, 2)))


def test_tensor_map():
    tensors = ps.TensorMap({"a": np.zeros(3)}, b=np.ones(2))
    tensors.push("c", np.zeros(1))
    assert list(tensors) == ["a", "b", "c"]
    assert all(isinstance(t, ps.Tensor) for t in tensors.values())
    assert tensors.pop("b").shape == (2,)
    assert len(tensors) == 2
    tensors.clear()
    assert not tensors
