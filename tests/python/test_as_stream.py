"""Streams of other libraries, and pools of streams."""

import ctypes

import numpy as np
import pytest
from helpers import host, throw

import penstock as ps

FIRST = 1 << 62


class Foreign:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def test_as_stream_gives_a_stream_back():
    stream = host()
    assert ps.as_stream(stream) is stream


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (0, "handle 0"),
        (ctypes.c_void_p(0), "handle 0"),
        (ctypes.c_void_p(None), "handle 0"),
        (np.int64(0), "handle 0"),
        (-1, "no handle"),
        (FIRST, "host stream"),
        (FIRST + 1, "host stream"),
        (1 << 80, "host stream"),
        (1 << 48, "no address"),
        (ctypes.c_void_p(FIRST + 5), "host stream"),
        (Foreign(cuda_stream=1 << 50), "no address"),
    ],
    ids=repr,
)
def test_what_is_no_handle(what, text):
    with pytest.raises(ps.StreamError, match=text):
        ps.as_stream(what)


def test_the_number_of_a_host_stream_is_refused():
    stream = host()
    with pytest.raises(ps.StreamError, match="pass a host stream itself"):
        ps.as_stream(int(stream))


@pytest.mark.parametrize("what", [None, "1", 1.5, True, object(), [1], np.zeros(2), ps.Event], ids=repr)
def test_what_is_no_stream(what):
    with pytest.raises(ps.ArgumentTypeError, match="as_stream"):
        ps.as_stream(what)


@pytest.mark.parametrize("answer", [5, (0,), (0, 1, 2), (0, "x"), None], ids=repr)
def test_a_wrong_protocol_is_named(answer):
    with pytest.raises(ps.ArgumentTypeError, match=r"__cuda_stream__ of Foreign gives .* expected \(version, handle\)"):
        ps.as_stream(Foreign(__cuda_stream__=lambda: answer))


@pytest.mark.skipif(ps.device_count() > 0, reason="there is a GPU")
@pytest.mark.parametrize(
    "what",
    [
        1,
        2,
        0x5555_0000,
        np.uint64(0x5555_0000),
        ctypes.c_void_p(0x5555_0000),
        Foreign(__cuda_stream__=lambda: (0, 0x5555_0000)),
        Foreign(__cuda_stream__=(0, 0x5555_0000)),
        Foreign(__cuda_stream__=lambda: (0, 0)),  # the legacy stream
        Foreign(cuda_stream=0),
        Foreign(ptr=0),
        Foreign(handle=ctypes.c_void_p(None)),
        Foreign(cuda_stream=0x5555_0000),
        Foreign(ptr=0x5555_0000),
        Foreign(handle=0x5555_0000),
        Foreign(handle=ctypes.c_void_p(0x5555_0000)),
    ],
    ids=repr,
)
def test_a_gpus_stream_without_a_gpu(what):
    with pytest.raises(ps.DeviceError, match="no GPU"):
        ps.as_stream(what)


@pytest.fixture
def wrapped_handles(monkeypatch):
    """as_stream() as on a machine with a GPU: what it would wrap."""
    from penstock import _stream

    handles = []

    class Impl:
        handle = 1

        @staticmethod
        def wrap(handle, kept):
            handles.append((handle, kept))
            return Impl()

    monkeypatch.setattr(_stream, "_StreamImpl", Impl)
    monkeypatch.setattr(_stream, "device_count", lambda: 1)
    return handles


@pytest.mark.parametrize(
    ("what", "handle"),
    [
        (1, 1),
        (2, 2),
        (ctypes.c_void_p(77), 77),
        (Foreign(__cuda_stream__=lambda: (0, 0)), 1),
        (Foreign(__cuda_stream__=lambda: (0, 77)), 77),
        (Foreign(cuda_stream=0), 1),
        (Foreign(ptr=0), 1),
        (Foreign(handle=ctypes.c_void_p(None)), 1),
        (Foreign(handle=ctypes.c_void_p(77)), 77),
    ],
    ids=repr,
)
def test_the_handle_that_is_taken(wrapped_handles, what, handle):
    ps.as_stream(what)
    assert wrapped_handles == [(handle, what)]


def test_a_pool_gives_streams_and_takes_them_back():
    pool = ps.StreamPool("cpu", reserved=2, max=3)
    taken = [pool.acquire() for _ in range(3)]
    assert len({stream.id for stream in taken}) == 3
    assert all(stream.device == "cpu" for stream in taken)
    with pytest.raises(ps.StreamError, match="all 3 streams are in use"):
        pool.acquire()
    pool.release(taken[1])
    assert pool.acquire() is taken[1]
    with pytest.raises(ps.StreamError, match="all 3"), pool.stream():
        pass


def test_a_pool_without_a_limit():
    pool = ps.StreamPool("cpu")
    assert len({pool.acquire().id for _ in range(20)}) == 20


def test_a_pool_takes_only_what_it_gave():
    pool = ps.StreamPool("cpu", max=2)
    with pytest.raises(ps.StreamError, match="not one that this pool gave out"):
        pool.release(host())
    taken = pool.acquire()
    pool.release(taken)
    with pytest.raises(ps.StreamError, match="not one that this pool gave out"):
        pool.release(taken)
    for what in (None, int(taken), "x"):
        with pytest.raises(ps.ArgumentTypeError, match="release"):
            pool.release(what)
    assert len({pool.acquire().id, pool.acquire().id}) == 2


def test_a_stream_of_a_pool_comes_back_after_an_exception():
    pool = ps.StreamPool("cpu", max=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), pool.stream():
            raise ValueError("x")
    with pool.stream() as stream:
        assert stream.launch(lambda: 1).result() == 1


def test_a_failed_creation_does_not_count(monkeypatch):
    from penstock import _stream

    pool = ps.StreamPool("cpu", reserved=0, max=1)
    with monkeypatch.context() as patch:
        patch.setattr(_stream.StreamPool, "_make", lambda self: throw(ps.DeviceError("none")))
        for _ in range(3):
            with pytest.raises(ps.DeviceError):
                pool.acquire()
    assert pool.acquire().device == "cpu"


@pytest.mark.parametrize("wrong", [{"reserved": -1}, {"max": -1}, {"reserved": 3, "max": 2}], ids=repr)
def test_wrong_pools(wrong):
    with pytest.raises(ps.StreamError, match="0 <= reserved <= max"):
        ps.StreamPool("cpu", **wrong)


def test_a_pool_keeps_its_device():
    with host():
        pool = ps.StreamPool(reserved=0)
    assert pool.acquire().device == "cpu"
