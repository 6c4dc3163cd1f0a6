"""Streams on a GPU: numbers that every library takes, current where they should be, and restored."""

import contextlib
import ctypes
import gc
import threading

import pytest

import penstock as ps

from . import work
from .current import current
from .work import TorchWork

pytestmark = pytest.mark.needs("torch")
needs_cupy = pytest.mark.needs("cupy")


def test_a_stream_is_its_handle():
    s, t = ps.Stream("cuda"), ps.Stream()
    assert isinstance(s, int)
    assert s.handle == int(s) > 2
    assert s != t
    assert s.id != t.id
    assert (s.device, t.device) == ("cuda:0", "cuda:0")
    assert s.__cuda_stream__() == (0, int(s))
    assert ctypes.c_void_p(s).value == int(s)
    assert {s: 1}[int(s)] == 1


@needs_cupy
def test_it_is_non_blocking_and_has_its_priority():
    import cupy

    assert cupy.cuda.Stream.from_external(ps.Stream("cuda")).is_non_blocking
    low, high = ps.StreamPool("cuda"), ps.StreamPool("cuda", priority=-1)
    assert cupy.cuda.Stream.from_external(low.acquire()).priority == 0
    assert cupy.cuda.Stream.from_external(high.acquire()).priority == -1


def test_ids_are_never_used_twice():
    ids = [ps.Stream("cuda").id for _ in range(200)]
    assert len(set(ids)) == 200


def in_torch(s):
    import torch

    return torch.cuda.stream(torch.cuda.ExternalStream(s))


def in_cupy(s):
    import cupy

    return cupy.cuda.ExternalStream(int(s))


def in_cupy_by_protocol(s):
    import cupy

    return cupy.cuda.Stream.from_external(s)


@needs_cupy
@pytest.mark.filterwarnings("ignore:ExternalStream is deprecated")
@pytest.mark.parametrize("enter", [in_torch, in_cupy, in_cupy_by_protocol])
def test_libraries_work_on_it(enter):
    """Work that a library queues there is waited for by the stream's sync."""
    s = ps.Stream("cuda")
    assert s.query()
    with enter(s):
        assert int(s) in current()
        x = (TorchWork if enter is in_torch else work.CupyWork).slow(5, 20_000_000)
        ps.uses(ps.as_tensor(x), s, write=True)
    assert not s.query()
    event = s.record()
    assert not event.query()
    s.sync()
    assert s.query()
    assert event.query()
    assert int(ps.as_tensor(x).cpu().numpy()[-1]) == 5


@needs_cupy
def test_with_makes_it_current_everywhere():
    s, t = ps.Stream("cuda"), ps.Stream("cuda")
    before = current()
    with s:
        assert current() == (s, s)
        assert ps.current_stream("cuda") == s
        with t:
            assert current() == (t, t)
            with s:
                assert current() == (s, s)
            assert current() == (t, t)
        assert current() == (s, s)
        assert in_thread(current) == before
    assert current() == before


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(30)
    return found[0]


@needs_cupy
def test_with_restores_what_a_user_had_made_current():
    import cupy
    import torch

    torch_stream, cupy_stream = torch.cuda.Stream(), cupy.cuda.Stream(non_blocking=True)
    with torch.cuda.stream(torch_stream), cupy_stream:
        for leave in (contextlib.nullcontext(), pytest.raises(ZeroDivisionError)):
            with leave, ps.Stream("cuda") as s:
                assert current() == (s, s)
                if not isinstance(leave, contextlib.nullcontext):
                    raise ZeroDivisionError
            assert current() == (torch_stream.cuda_stream, cupy_stream.ptr)
    assert current() == (1, 1)


@needs_cupy
def test_a_host_stream_changes_nothing_there():
    before = current()
    with ps.Stream("cpu"):
        assert current() == before


@needs_cupy
def test_threads_have_streams_of_their_own():
    wrong = []
    barrier = threading.Barrier(8)

    def use():
        for _ in range(100):
            with ps.Stream("cuda") as s:
                barrier.wait(30)
                if current() != (s, s):
                    wrong.append(current())
        if current() != (1, 1):
            wrong.append("left over")

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def torch_stream():
    import torch

    stream = torch.cuda.Stream()
    return stream, stream.cuda_stream


def torch_default():
    import torch

    return torch.cuda.default_stream(), 1


def cupy_stream():
    cupy = pytest.importorskip("cupy")
    stream = cupy.cuda.Stream(non_blocking=True)
    return stream, stream.ptr


def cupy_null():
    cupy = pytest.importorskip("cupy")
    return cupy.cuda.Stream.null, 1


def cupy_per_thread():
    cupy = pytest.importorskip("cupy")
    return cupy.cuda.Stream.ptds, 2


def numba_stream():
    cuda = pytest.importorskip("numba.cuda")
    stream = cuda.stream()
    return stream, int(stream)


def core_stream():
    try:
        from cuda.core import Device
    except ImportError:
        Device = pytest.importorskip("cuda.core.experimental").Device
    device = Device(0)
    device.set_current()
    stream = device.create_stream()
    return stream, int(stream.handle)


def number():
    stream, handle = torch_stream()
    number.kept = stream
    return handle, handle


def pointer():
    _, handle = number()
    return ctypes.c_void_p(handle), handle


FOREIGN = [
    torch_stream,
    torch_default,
    cupy_stream,
    cupy_null,
    cupy_per_thread,
    numba_stream,
    core_stream,
    number,
    pointer,
]


@pytest.mark.parametrize("make", FOREIGN)
def test_as_stream(make):
    foreign, handle = make()
    s = ps.as_stream(foreign)
    assert (int(s), s.device) == (handle, "cuda:0")
    assert ps.as_stream(s) is s
    del foreign
    gc.collect()
    with s:
        x = ps.as_tensor(TorchWork.slow(9))
        y = x.copy()
    s.sync()
    assert int(y.cpu().numpy()[0]) == 9


def test_core_takes_ours():
    try:
        from cuda.core import Device
    except ImportError:
        Device = pytest.importorskip("cuda.core.experimental").Device
    device = Device(0)
    device.set_current()
    s = ps.Stream("cuda")
    assert int(device.create_stream(s).handle) == int(s)


@pytest.mark.parametrize("what", [0, -1, 1 << 62, 1 << 50, ctypes.c_void_p(0)])
def test_what_is_no_handle(what):
    with pytest.raises(ps.StreamError):
        ps.as_stream(what)


def test_functions_are_for_host_streams():
    with pytest.raises(ps.StreamError, match="launch"):
        ps.Stream("cuda").launch(print)


def test_waiting_for_streams_events_and_tensors():
    """Each makes the second stream wait, and the host does not."""
    import torch

    waits = {
        "stream": lambda b, a, x: b.wait(a),
        "event": lambda b, a, x: b.wait(a.record()),
        "tensor": lambda b, a, x: b.wait(x),
    }
    for name, wait in waits.items():
        a, b = ps.Stream("cuda"), ps.Stream("cuda")
        with a:
            x = ps.as_tensor(TorchWork.slow(3, 200_000_000))
            ps.uses(x, a, write=True)
        wait(b, a, x)
        with torch.cuda.stream(torch.cuda.ExternalStream(int(b))):
            right = (work.by_address(x) == 3).all()
        assert not b.query(), name
        b.sync()
        assert bool(right.cpu()), name


def test_a_dropped_stream_finishes_its_work():
    with ps.Stream("cuda"):
        x = ps.as_tensor(TorchWork.slow(8, 20_000_000)).copy()
    gc.collect()
    assert int(x.cpu().numpy()[-1]) == 8
