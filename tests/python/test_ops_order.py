"""Imaging operations on streams: results are ordered, and a host wait is for no more than it asked for."""

import threading

import numpy as np
import pytest
from helpers import Gate
from references import near, noise, resized

import penstock as ps

pytestmark = pytest.mark.asan


IMAGE, YUV = noise(6, 8, 3), noise(6, 8)


def test_a_result_on_a_stream_is_waited_for():
    image = noise(20, 30, 3)
    first, second = ps.Stream("cpu"), ps.Stream("cpu")
    gate = Gate()
    source = ps.zeros((20, 30, 3), "uint8", device="cpu")

    def fill():
        gate()
        source.numpy()[:] = image

    first.launch(fill, writes=source)
    half = ps.resize(source, (10, 15), stream=second)
    tiny = ps.resize(half, (5, 7), stream=first)
    assert not second.query()
    gate.open()
    half_exact = np.rint(resized(image, 10, 15))
    near(tiny, resized(half.numpy(), 5, 7))
    assert np.abs(half.numpy() - half_exact).max() <= 1


@pytest.mark.parametrize(
    ("image", "make"),
    [
        (IMAGE, lambda source, **on: ps.resize(source, (3, 4), **on)),
        (IMAGE, lambda source, **on: ps.warp_affine(source, [[1, 0, 1], [0, 1, 1]], size=(6, 8), **on)),
        (YUV, lambda source, **on: ps.cvt_color(source, "NV12", "RGB", **on)),
        (IMAGE, lambda source, **on: ps.cvt_color(source, "RGB", "I420", **on)),
    ],
    ids=["resize", "warp_affine", "cvt_color", "cvt_color back"],
)
def test_a_source_is_read_after_its_writer_and_before_the_next(image, make):
    first, second, third = ps.Stream("cpu"), ps.Stream("cpu"), ps.Stream("cpu")
    filled, held = Gate(), Gate()
    source = ps.zeros(image.shape, "uint8", device="cpu")

    def fill():
        filled()
        source.numpy()[:] = image

    def clear():
        source.numpy()[:] = 0

    first.launch(fill, writes=source)
    second.launch(held)
    result = make(source, stream=second)
    third.launch(clear, writes=source)
    filled.open()
    assert not second.query()
    held.open()
    assert np.array_equal(result.numpy(), make(image).numpy())


def test_the_current_stream_is_used():
    stream, gate = ps.Stream("cpu"), Gate()
    with stream:
        stream.launch(gate)
        result = ps.resize(IMAGE, (3, 4))
        converted = ps.cvt_color(YUV, "NV12", "RGB")
        assert not stream.query()
        gate.open()
    near(result, resized(IMAGE, 3, 4))
    assert converted.shape == (4, 8, 3)


def test_without_a_stream_the_call_does_it_all():
    stream, gate = ps.Stream("cpu"), Gate()
    out = np.zeros((3, 4, 3), "uint8")
    target = ps.as_tensor(out)
    stream.launch(gate, target)
    threading.Timer(0.05, gate.open).start()
    ps.resize(IMAGE, (3, 4), out=target)  # waits for the reader of out
    near(ps.as_tensor(out), resized(IMAGE, 3, 4))


def test_out_is_written_after_its_readers():
    stream, other, gate = ps.Stream("cpu"), ps.Stream("cpu"), Gate()
    target = ps.zeros((3, 4, 3), "uint8", device="cpu")
    seen = []

    def read(tensor):
        gate()
        seen.append(int(tensor.numpy().max()))

    stream.launch(read, target)
    ps.resize(np.full((6, 8, 3), 9, "uint8"), (3, 4), out=target, stream=other)
    gate.open()
    assert target.numpy().min() == 9
    assert seen == [0]


def late_work(make):
    """What ``make`` queues on a stream is complete for the host although the stream goes on."""
    stream, gate = ps.Stream("cpu"), Gate()
    other = ps.zeros((2,), "uint8", device="cpu")
    made = make(stream)
    stream.launch(gate, other)  # comes later, on the same stream, and has nothing to do with it
    returned = threading.Event()
    thread = threading.Thread(target=lambda: (made.numpy(), returned.set()), daemon=True)
    thread.start()
    try:
        assert returned.wait(10), "numpy() waits for what comes later on the stream"
        assert not stream.query()
    finally:
        gate.open()
    thread.join(10)


def copied(stream):
    with stream:
        return ps.zeros((6, 8), "uint8", device="cpu").copy()


def filled(stream):
    with stream:
        return ps.zeros((6, 8), "uint8", device="cpu")


SOURCE = ps.as_tensor(IMAGE.copy())
PLANES = ps.as_tensor(YUV.copy())


@pytest.mark.parametrize(
    "make",
    [
        lambda stream: ps.resize(SOURCE, (3, 4), stream=stream),
        lambda stream: ps.cvt_color(PLANES, "NV12", "RGB", stream=stream),
        lambda stream: ps.cvt_color(SOURCE, "RGB", "I420", stream=stream),
        lambda stream: (ps.resize(SOURCE, (3, 4), stream=stream), SOURCE)[1],  # a use by reading
        copied,
        filled,
    ],
    ids=["resize", "cvt_color", "cvt_color back", "its source", "copy", "zeros"],
)
def test_the_host_does_not_wait_for_later_work(make):
    late_work(make)


def test_many_threads_resize():
    image = noise(40, 50, 3)
    exact = resized(image, 21, 33)
    errors = []

    def work():
        try:
            stream = ps.Stream("cpu")
            for i in range(30):
                near(ps.resize(image, (21, 33), stream=stream if i % 2 else None), exact)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
