"""The bound on the memory cache, and what happens when there is no more."""

import gc

import numpy as np
import pytest
from helpers import check_python

import penstock as ps

MEGA = 1 << 20


def take(count):
    return ps.empty((count,), "uint8", device="cpu")


def stats():
    return ps.memory.stats("cpu")


@pytest.fixture(autouse=True)
def fresh():
    limit = ps.memory.limit("cpu")
    gc.collect()
    ps.memory.clear("cpu")
    ps.memory.reset_peak("cpu")
    yield
    gc.collect()
    ps.memory.set_limit(limit, "cpu")
    ps.memory.clear("cpu")


def test_the_limit_evicts_what_was_not_used_for_longest():
    addresses = {}
    for size in (1, 2, 3):
        addresses[size] = take(size * MEGA).data
    assert stats()["bytes_idle"] == 6 * MEGA
    ps.memory.set_limit(5 * MEGA, "cpu")
    assert {block["address"] for block in ps.memory.snapshot("cpu")} == {addresses[2], addresses[3]}
    evictions = stats()["evictions"]
    kept = take(2 * MEGA), take(MEGA)  # the first is there, for the second the rest goes
    assert {block["address"] for block in ps.memory.snapshot("cpu")} == {x.data for x in kept}
    assert stats()["evictions"] == evictions + 1


def test_live_memory_is_never_evicted():
    x = take(4 * MEGA)
    x.numpy()[:] = 7
    ps.memory.set_limit(MEGA, "cpu")
    assert (x.numpy() == 7).all()
    assert stats()["bytes_live"] == 4 * MEGA
    y = take(MEGA)  # no room: no member, and it works
    y.numpy()[:] = 8
    assert (x.numpy() == 7).all()
    assert stats()["bytes_live"] == 4 * MEGA
    del x
    assert stats()["bytes_live"] + stats()["bytes_idle"] <= MEGA
    assert (y.numpy() == 8).all()


def test_what_is_larger_than_the_limit_works_and_evicts_nothing():
    ps.memory.set_limit(2 * MEGA, "cpu")
    take(MEGA)
    before = stats()
    large = take(8 * MEGA)
    large.numpy()[:] = 3
    assert stats()["evictions"] == before["evictions"]
    assert stats()["bytes_idle"] == MEGA
    assert stats()["bytes_live"] == 0
    assert (large.numpy() == 3).all()
    del large
    assert stats()["bytes_idle"] == MEGA


def test_a_limit_of_0_keeps_nothing():
    take(MEGA)
    ps.memory.set_limit(0, "cpu")
    assert ps.memory.limit("cpu") == 0
    assert stats()["blocks"] == 0
    x = take(MEGA)
    x.numpy()[:] = 1
    del x
    now = stats()
    assert (now["blocks"], now["bytes_live"], now["bytes_idle"]) == (0, 0, 0)


@pytest.mark.parametrize("wrong", [-1, -(2**70), np.int64(-5)])
@pytest.mark.parametrize("call", [ps.memory.set_limit, ps.memory.trim], ids=["set_limit", "trim"])
def test_negative_bytes(call, wrong):
    with pytest.raises(ValueError, match="negative"):
        call(wrong, "cpu")


@pytest.mark.parametrize("wrong", [1.5, "1", None, True])
@pytest.mark.parametrize("call", [ps.memory.set_limit, ps.memory.trim], ids=["set_limit", "trim"])
def test_bytes_are_integers(call, wrong):
    with pytest.raises(TypeError, match="no integer"):
        call(wrong, "cpu")


@pytest.mark.parametrize("huge", [2**62, 2**63, 2**100])
def test_a_limit_beyond_the_device_is_allowed(huge):
    ps.memory.set_limit(huge, "cpu")
    assert ps.memory.limit("cpu") >= 2**62
    assert take(MEGA).nbytes == MEGA


def test_trim():
    for size in (1, 2, 3):
        take(size * MEGA)
    ps.memory.trim(5 * MEGA, "cpu")
    assert stats()["bytes_idle"] == 5 * MEGA
    kept = take(2 * MEGA)
    ps.memory.trim(device="cpu")
    assert (stats()["bytes_idle"], stats()["bytes_live"]) == (0, 2 * MEGA)
    kept.numpy()[:] = 1


def test_clear_forgets_the_live_ones():
    x = take(MEGA)
    x.numpy()[:] = 5
    take(2 * MEGA)
    ps.memory.clear("cpu")
    now = stats()
    assert (now["bytes_live"], now["bytes_idle"], now["blocks"]) == (0, 0, 0)
    assert (x.numpy() == 5).all()
    y = take(MEGA)
    assert y.data != x.data
    del x
    now = stats()
    assert (now["bytes_live"], now["bytes_idle"], now["blocks"]) == (MEGA, 0, 1)


def test_at_the_limit_a_stream_takes_over_what_is_in_use(gate):
    """The work of the other stream is ordered before; nobody blocks the host."""
    ps.memory.set_limit(MEGA, "cpu")
    a, b = ps.Stream("cpu"), ps.Stream("cpu")
    order = []
    a.launch(gate)
    a.launch(order.append, "a")
    with a:
        x = take(MEGA)
        ps.uses(x, a)
        address = x.data
        del x
    before = stats()["waits"]
    with b:
        y = take(MEGA)
        assert y.data == address
        b.launch(order.append, "b")  # as a kernel does that was given the address
    assert stats()["waits"] == before + 1
    assert order == []
    gate.open()
    b.sync()
    assert order == ["a", "b"]


@pytest.mark.parametrize("count", [2**50, 2**58])
def test_too_much_is_out_of_memory(count):
    with pytest.raises(ps.OutOfMemory, match=r"\d+ bytes") as caught:
        take(count)
    assert isinstance(caught.value, MemoryError)


# Under a bound on the addresses of the process: what the backend can give.
SMALL = """
    import gc, resource, threading, time
    import numpy as np
    import penstock as ps

    MEGA = 1 << 20
    take = lambda count: ps.empty((count,), "uint8", device="cpu")
    stream, other = ps.Stream("cpu"), ps.Stream("cpu")
    stream.launch(lambda: 1).result(), other.launch(lambda: 1).result()
    take(10).numpy()
    soon, free = threading.Event(), threading.Event()  # free is set a moment after soon is
    threading.Thread(target=lambda: (soon.wait(), time.sleep(0.2), free.set()), daemon=True).start()
    ps.memory.set_limit(1 << 40, "cpu")
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    room = 256 * MEGA
    resource.setrlimit(resource.RLIMIT_AS, (used + room + 64 * MEGA, resource.RLIM_INFINITY))
"""


def test_out_of_memory_says_who_holds_what():
    out = check_python(
        SMALL
        + """
    kept = [take(64 * MEGA) for _ in range(3)]
    try:
        take(512 * MEGA)
    except ps.OutOfMemory as error:
        print(error)
    assert take(10).nbytes == 10
    kept.pop()
    assert take(64 * MEGA).nbytes == 64 * MEGA
    """
    )
    for said in (f"{512 * MEGA} bytes on cpu", f"{192 * MEGA}", "live", "idle", "blocks", "drop tensors"):
        assert said in out, out


def test_idle_memory_goes_first():
    check_python(
        SMALL
        + """
    for n in range(1, 4):
        take(n * 32 * MEGA)
    before = ps.memory.stats("cpu")
    assert before["bytes_idle"] >= 192 * MEGA
    x = take(224 * MEGA)
    assert ps.memory.stats("cpu")["evictions"] > before["evictions"]
    """
    )


def test_memory_in_flight_is_waited_for():
    check_python(
        SMALL
        + """
    entered = threading.Event()
    def hold(x):
        entered.set()
        assert free.wait(30)
    x = take(192 * MEGA)
    stream.launch(hold, x)
    del x
    assert entered.wait(30)
    soon.set()
    waits = ps.memory.stats("cpu")["waits"]
    y = take(200 * MEGA)
    assert free.is_set()
    assert ps.memory.stats("cpu")["waits"] > waits
    stream.sync()
    """
    )


def test_a_task_that_holds_the_memory_gets_an_error_and_no_deadlock():
    out = check_python(
        SMALL
        + """
    x = take(192 * MEGA)
    def more(x):
        take(224 * MEGA)
    event = stream.launch(more, x)
    try:
        event.result()
    except ps.OutOfMemory as error:
        print("refused")
    """,
        timeout_s=30.0,
    )
    assert out.strip() == "refused"
