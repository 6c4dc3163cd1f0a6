"""Streams that come and go: those of others, which are kept or found anew, and ours, which are used again."""

from __future__ import annotations

import pytest
from helpers import check_python
from programs import program, run

both = pytest.mark.parametrize("name", ["torch", "cupy"])


@both
@pytest.mark.parametrize("where", ["legacy", "pool"])
def test_a_librarys_array_that_is_dropped_unused_is_released_at_once(name, where):
    """Its producer still runs. On the legacy stream, and on one of PyTorch's pool, nothing is asked of CUDA."""
    text = """
    import contextlib, weakref
    CALLS = "cudaEventRecord", "cudaStreamGetId", "cudaEventCreateWithFlags", "cuPointerGetAttributes"
    with side_stream() if WHERE == "pool" else contextlib.nullcontext():
        kept = ps.as_tensor(known_array())  # the stream is known from here on
        x = known_array()
        alive = weakref.ref(x)
        with simulated.held(lib.backing.current() or simulated.LEGACY):
            x.fill(3)
            before = simulated.calls(*CALLS)
            tensor = ps.as_tensor(x)
            print(tensor.data == x.address)
            del x, tensor
            print(alive() is None)
            print(simulated.calls(*CALLS) == before or (WHERE, NAME) == ("pool", "cupy"))
    """
    assert run(text.replace("WHERE", repr(where)), name) == ["True"] * 3


@both
@pytest.mark.parametrize("use", ["tensor.copy()", "ps.uses(tensor, own)", "lend(tensor)"])
def test_a_librarys_array_that_was_used_elsewhere_is_kept_until_then(name, use):
    text = """
    import helpers, raw_dlpack, weakref
    own = ps.Stream("cuda")
    def lend(tensor):
        raw_dlpack.consume(tensor.__dlpack__(stream=own.handle, max_version=(1, 1)))()
    x = known_array()
    alive = weakref.ref(x)
    with simulated.held(own.handle):
        tensor = ps.as_tensor(x)
        with own:
            used = USE
        del x, tensor
        print(alive() is not None)
    print(helpers.eventually(lambda: alive() is None, 5))
    """
    assert run(text.replace("USE", use), name) == ["True", "True"]


def test_a_stream_of_a_librarys_pool_is_found_once_and_anothers_each_time():
    text = """
    def found(stream):
        with entered(stream):
            ps.as_tensor(known_array())
            before = simulated.calls("cudaStreamGetId")
            for _ in range(10):
                ps.as_tensor(known_array())
            return simulated.calls("cudaStreamGetId") - before
    def other(made):
        return lib.cuda.Stream(lib, made.handle)
    print(found(side_stream()))
    first = simulated.Stream()
    print(found(other(first)))
    number = ps.as_stream(first.handle).id
    first.close()
    second = simulated.Stream()
    with entered(other(second)):
        ps.as_tensor(known_array())
    print(second.handle == first.handle, ps.as_stream(second.handle).id == number)
    """
    assert run(text, "torch") == ["0", "10", "True", "False"]


def test_a_stream_of_ours_that_still_works_is_not_given_to_the_next():
    """What others queued on it by its handle counts, too."""
    out = check_python(
        program("""
        create = "cudaStreamCreateWithPriority", "cudaStreamCreateWithFlags"
        first = ps.Stream("cuda")
        with simulated.held(first.handle):
            del first
            second = ps.Stream("cuda")
            print(second.query(), simulated.calls(*create))
        second.sync()
        before = simulated.calls("cudaEventRecord")
        del second
        print(simulated.calls("cudaEventRecord") == before)  # it would hardly be over when it is asked for
        third = ps.Stream("cuda")
        print(third.query(), simulated.calls(*create))
        """)
    )
    assert out.splitlines() == ["True 2", "True", "True 2"]
