"""How long as_tensor keeps what it wrapped: until the last use is over, and then no longer."""

import array
import gc
import sys
import threading
import weakref

import numpy as np
import pytest
import raw_dlpack as raw
from arrays import ARRAY, interface, speaking
from helpers import Gate, eventually, in_thread, is_gone

import penstock as ps

pytestmark = pytest.mark.asan


def sources():
    """Every protocol: what to import, a weak reference to what it keeps alive."""
    dlpack = raw.Producer()
    owned = np.ndarray.__new__(type("Owned", (np.ndarray,), {}), (4, 6), "uint8")
    exported = type("Exported", (array.array,), {})("B", [1, 2, 3])
    spoken = speaking(__array_interface__=interface())
    yield "dlpack", dlpack, dlpack.watch()
    yield "subclass", owned, weakref.ref(owned)
    yield "buffer", exported, weakref.ref(exported)
    yield "interface", spoken, weakref.ref(spoken)


@pytest.mark.parametrize("index", range(4))
def test_the_owner_lives_as_long_as_the_tensor(index):
    name, source, owner = list(sources())[index]
    calls = []
    tensor = ps.as_tensor(source, on_release=lambda: calls.append(threading.get_ident()))
    view = tensor[1:]
    del source, tensor
    gc.collect()
    assert owner() is not None, name
    assert calls == []
    del view
    assert owner() is None, name  # at once: nothing is in flight
    assert calls == [threading.get_ident()]
    gc.collect()
    assert len(calls) == 1


@pytest.mark.interop
def test_the_owner_is_a_tensor_of_pytorch():
    torch = pytest.importorskip("torch")
    source = torch.zeros(3)
    calls = []
    tensor = ps.as_tensor(source, on_release=lambda: calls.append(1))
    array = source.numpy()
    references = sys.getrefcount(array)
    del source
    tensor.numpy()[:] = 5
    assert array.tolist() == [5, 5, 5]
    assert calls == []
    del tensor
    assert calls == [1]
    assert sys.getrefcount(array) == references


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("write", [False, True])
def test_a_task_in_flight_keeps_the_owner(index, write):
    name, source, owner = list(sources())[index]
    calls = []
    tensor = ps.as_tensor(source, on_release=lambda: calls.append(1))
    stream, gate = ps.Stream("cpu"), Gate()
    stream.launch(gate)
    if write:
        stream.launch(lambda: None, writes=tensor)
    else:
        stream.launch(lambda x: None, tensor)
    del source, tensor
    gc.collect()
    assert owner() is not None, name
    assert calls == []
    gate.open()
    assert is_gone(owner)  # with no further call into Penstock
    assert eventually(lambda: calls == [1])


def test_a_copy_in_flight_keeps_the_owner():
    producer = raw.Producer()
    expected = producer.export.array.copy()
    stream, gate = ps.Stream("cpu"), Gate()
    tensor = ps.as_tensor(producer)
    owner = producer.watch()
    with stream:
        stream.launch(gate)
        copied = tensor.copy()
    del tensor, producer
    gc.collect()
    assert owner() is not None
    gate.open()
    assert is_gone(owner)
    np.testing.assert_array_equal(copied.numpy(), expected)


def test_an_export_keeps_the_owner():
    producer = raw.Producer()
    export, owner = producer.export, producer.watch()
    back = np.from_dlpack(ps.as_tensor(producer))
    del producer
    gc.collect()
    assert owner() is not None
    assert back.ctypes.data == export.managed.tensor.data
    del back
    assert is_gone(owner)  # NumPy lets go of it: by our own thread, a moment later
    assert export.deletes == 1


def test_the_last_reference_goes_in_another_thread():
    calls = []
    held = [ps.as_tensor(raw.Producer(), on_release=lambda: calls.append(1))]
    in_thread(held.clear)
    assert eventually(lambda: calls == [1])


def test_what_was_refused_is_not_released_by_us():
    calls = []
    producer = raw.Producer(ndim=-1)
    with pytest.raises(ps.TensorError, match="ndim"):
        ps.as_tensor(producer, on_release=lambda: calls.append(1))
    gc.collect()
    assert calls == []
    assert producer.export.deletes == 1  # by the capsule, which nobody took


def test_on_release_is_called_once_and_may_fail():
    calls = []

    def failing():
        calls.append(1)
        raise RuntimeError("on_release failed")

    seen = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: seen.append(str(args.exc_value))
    try:
        ps.as_tensor(ARRAY.copy(), on_release=failing)
        assert eventually(lambda: seen)
    finally:
        sys.unraisablehook = hook
    assert calls == [1]
    assert seen == ["on_release failed"]


def test_on_release_may_call_penstock():
    done = []

    def again():
        done.append(ps.as_tensor(ARRAY).copy().numpy().sum())

    ps.as_tensor(ARRAY.copy(), on_release=again)
    assert eventually(lambda: done == [ARRAY.sum()])


@pytest.mark.parametrize(
    ("source", "on_release", "error", "text"),
    [
        (ARRAY, 3, ps.ArgumentTypeError, "on_release is 3"),
        (ARRAY, "f", ps.ArgumentTypeError, "on_release is 'f'"),
        (ps.zeros((2,), "uint8"), print, ps.TensorError, "on_release is for other libraries' memory"),
    ],
)
def test_wrong_on_release(source, on_release, error, text):
    with pytest.raises(error, match=text):
        ps.as_tensor(source, on_release=on_release)


def test_threads_import_the_same_array():
    producer = raw.Producer()

    def use():
        for _ in range(200):
            assert ps.as_tensor(producer.export.array)[1:].numpy()[0, 0] == 6

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_one_capsule_is_consumed_once_whoever_comes_first():
    for _ in range(50):
        export = raw.Export()
        capsule = export.capsule()
        results = []
        barrier = threading.Barrier(4)

        def take(capsule=capsule, results=results, barrier=barrier):
            barrier.wait()
            try:
                results.append(ps.as_tensor(capsule))
            except ps.TensorError as error:
                results.append(str(error))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [text for text in results if isinstance(text, str)]
        assert len(refused) == 3
        assert all("consumed before" in text for text in refused)
        results.clear()
        assert export.deletes == 1
