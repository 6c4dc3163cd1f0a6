"""Streams of PyTorch and CuPy, as libraries that Penstock takes for them have them: set before an operator runs, read
and followed after it. Each test has a process: a library is found once.
"""

from __future__ import annotations

import pytest
from programs import run

both = pytest.mark.parametrize("name", ["torch", "cupy"])


@both
@pytest.mark.parametrize("streams", ["chain", "per_operator"])
def test_what_a_library_makes_is_ordered(name, streams):
    """Its arrays go on as they are; the consumer's stream waits for the producer's."""
    program = """
    @ps.operator
    def slow():
        for n in range(FRAMES):
            yield Array().fill(value(n), late_ms=1)
    @ps.operator
    def check(x):
        look(x)
    ps.run(check(slow()), device="cuda", streams="STREAMS")
    print(len(wrong()))
    """.replace("STREAMS", streams)
    assert run(program, name) == ["0"]


@both
@pytest.mark.parametrize("way", ["function", "with"])
def test_work_on_a_stream_that_the_operator_entered_is_ordered(name, way):
    """Both ways: the side stream waits for what came in, and the operator's waits for the side stream."""
    program = """
    side = side_stream()
    @ps.operator
    def slow():
        for n in range(FRAMES):
            yield Array().fill(value(n), late_ms=1)
    @ps.operator
    def aside(x):
        with entered(side):
            y = Array()
            x.copy_to(y.address, late_ms=1)
            return y
    @ps.operator
    def check(x):
        look(x)
    ps.run(check(aside(slow())), device="cuda")
    print(len(wrong()))
    """
    assert run(program, name, way) == ["0"]


@both
def test_a_stream_that_nobody_sees_is_not_ordered(name):
    """What the test above would find if the streams were not noted."""
    program = """
    side = simulated.Stream().handle
    @ps.operator
    def slow():
        for n in range(FRAMES):
            y = Array()
            simulated.delay(side, 1)
            simulated.fill(side, y.address, value(n), library.COUNT)
            yield y
    @ps.operator
    def check(x):
        look(x)
    ps.run(check(slow()), device="cuda")
    print(len(wrong()) > 0)
    """
    assert run(program, name) == ["True"]


@both
def test_memory_is_kept_until_a_consumer_on_another_stream_is_done(name):
    """The producer's allocator uses it again in the order of its own stream."""
    program = """
    @ps.operator
    def quick():
        for n in range(FRAMES):
            yield Array().fill(value(n))
    @ps.operator
    def check(x):
        look(x, late_ms=1)
    ps.run(check(quick()), device="cuda", streams="per_operator")
    print(len(wrong()), lib.backing.reused > 0)
    """
    assert run(program, name) == ["0", "True"]


@both
def test_a_view_is_kept_as_long_as_what_it_views(name):
    """It went through an operator on another stream than the memory's, and is read behind that on a third place."""
    program = """
    class View:
        def __init__(self, array): self.array = array
    @ps.operator
    def quick():
        for n in range(FRAMES):
            yield Array().fill(value(n))
    @ps.operator(host="x")
    def view(x):
        return View(x)
    @ps.operator
    def check(x):
        look(x.array, late_ms=1)
    ps.run(check(view(quick())), device="cuda")
    print(len(wrong()), lib.backing.reused > 0)
    """
    assert run(program, name) == ["0", "True"]


@both
def test_an_operators_stream_is_the_librarys_current_one(name):
    program = """
    seen = []
    class Look(ps.Operator):
        def setup(self, spec):
            spec.input("in")
        def start(self):
            seen.append(lib.backing.current() == int(self.context.stream))
        def compute(self, inputs, outputs, context):
            inputs.receive("in")
            seen.append(lib.backing.current() == int(context.stream))
    class Count(ps.Operator):
        def setup(self, spec):
            spec.output("out")
        def compute(self, inputs, outputs, context):
            outputs.emit(1, "out")
    class App(ps.Application):
        def compose(self):
            self.add_flow(Count(self, count=5), Look(self))
    App().run()
    print(all(seen), len(seen), lib.backing.current())
    """
    assert run(program, name) == ["True", "6", "0"]


@both
def test_the_other_gpus_streams_are_set_and_given_back(name):
    """By blocks, runs and direct calls; those of the first are left alone."""
    program = """
    first, seen = side_stream(), []
    with simulated.on_device(1):
        second = simulated.Stream().handle
    now = lambda: [lib.backing.current(device) for device in (0, 1)]
    with first:
        own = lib.backing.current()
        with ps.Stream("cuda:1") as s:
            with ps.Stream("cuda:0") as t:
                print(now() == [int(t), int(s)])
            print(now() == [own, int(s)])
        print(now() == [own, 0], simulated.current_device())

        @ps.operator
        def enter(x):
            lib.backing.set_current(second, 1)
            return 1
        enter(1)
        print(now() == [own, 0], simulated.current_device())

        @ps.operator
        def frames():
            seen.append(lib.backing.current(1) == ps.current_stream("cuda:1").handle)
            seen.append(simulated.current_device() == 1)
            yield 1
        ps.run(frames() >> enter, device="cuda:1")
        print(seen, now() == [own, 0])
    """
    assert run(program, name) == ["True", "True", "True", "0", "True", "0", "[True,", "True]", "True"]


@both
@pytest.mark.parametrize("held", ["x", "[(x, 1)]", "{'key': x}"])
@pytest.mark.parametrize("place", ["written there", "read there"])
def test_arrays_of_another_gpu_than_the_operators(name, place, held):
    """What the library does with them is on its current stream there; the rest is on the operator's own."""
    program = """
    def own(): return lib.backing.current(0)
    @ps.operator
    def slow():
        for n in range(FRAMES):
            x = known_array(1)
            if "PLACE" == "written there":
                x.fill(value(n), late_ms=2)
            else:
                simulated.delay(own(), 2)
                simulated.fill(own(), x.address, value(n), library.COUNT)
            yield HELD
    @ps.operator
    def check(x):
        while not hasattr(x, "address"):
            x = x[0] if isinstance(x, (list, tuple)) else x["key"]
        if "PLACE" == "read there":
            look(x)
        else:
            n = ps.message().origin.number
            simulated.copy(own(), results.address + library.COUNT * n, x.address, library.COUNT)
    ps.run(check(slow()), device="cuda:0", streams="per_operator")
    print(len(wrong()))
    """.replace("PLACE", place).replace("HELD", held)
    assert run(program, name) == ["0"]


@both
def test_with_stream_sets_the_library_and_gives_back(name):
    program = """
    outer, s, t = side_stream(), ps.Stream("cuda"), ps.Stream("cuda")
    with outer:
        own = lib.backing.current()
        try:
            with s:
                first = lib.backing.current() == int(s)
                with t:
                    second = lib.backing.current() == int(t)
                third = lib.backing.current() == int(s)
                raise KeyError
        except KeyError:
            pass
        print(first, second, third, lib.backing.current() == own)
    print(lib.backing.current())
    """
    assert run(program, name) == ["True", "True", "True", "True", "0"]


@both
def test_what_a_run_gives_a_program_is_ready_on_its_current_stream(name):
    program = """
    @ps.operator
    def slow():
        for n in range(FRAMES):
            yield Array().fill(value(n), late_ms=1)
    got = []
    for n, x in enumerate(ps.iterate(slow())):
        x.copy_to(results.address + library.COUNT * n)
        got.append(x)
    print(len(wrong()))
    """
    assert run(program, name) == ["0"]


@both
def test_plain_values_make_no_marks(name):
    """Numbers that pass operators on a GPU cost no call of CUDA's on the way."""
    program = """
    @ps.operator
    def numbers():
        yield from range(1000)
    @ps.operator
    def add(x):
        return x + 1
    seen = []
    @ps.operator
    def take(x):
        seen.append(x)
    before = simulated.calls("cudaEventRecord", "cudaStreamWaitEvent")
    ps.run(take(add(numbers())), device="cuda", streams="per_operator")
    print(len(seen), (simulated.calls("cudaStreamWaitEvent") - before) < 100)
    """
    assert run(program, name) == ["1000", "True"]


def test_a_library_whose_cuda_does_not_work_is_left_alone():
    program = """
    def refuse(*args, **words):
        raise RuntimeError("the driver is too old")
    lib._C._cuda_getCurrentStream = lib._C._cuda_getCurrentRawStream = refuse
    with ps.Stream("cuda"):
        pass
    @ps.operator
    def numbers():
        yield from range(5)
    seen = []
    ps.run(numbers() >> seen.append, device="cuda")
    print(seen)
    """
    assert run(program, "torch") == ["[0,", "1,", "2,", "3,", "4]"]


@both
def test_a_call_without_a_stream_comes_between_what_the_library_did_and_does_next(name):
    text = """
    late, source, kept = ps.Stream("cuda"), ps.zeros((library.COUNT,), "uint8", device="cuda"), ps.empty(
        (library.COUNT,), "uint8", device="cuda")
    with late:
        simulated.delay(late.handle, 20)
        simulated.fill(late.handle, source.data, 7, library.COUNT)
        simulated.fill(late.handle, kept.data, 8, library.COUNT)
    for x in (source, kept):
        ps.uses(x, late, write=True)

    read = known_array()
    read.fill(1)
    ps.as_tensor(read).copy_to(kept)  # our copy waits for what is late
    read.fill(2)
    written, seen = known_array(), Array()
    source.copy_to(written)
    written.copy_to(seen.address)
    simulated.raw("cudaDeviceSynchronize")
    print(set(simulated.peek(kept.data, library.COUNT)), set(simulated.peek(seen.address, library.COUNT)))
    """
    assert run(text, name) == ["{1}", "{7}"]
