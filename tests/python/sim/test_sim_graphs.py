"""Graphs on a GPU with slow producers: no wrong frame, and wrong ones where the order is left out."""

from __future__ import annotations

import re
import textwrap

import pytest
import simulated
from graphs import numbers
from helpers import run_python

import penstock as ps

COUNT = 4096
FRAMES = 30


def value_of(number):
    return number % 250 + 1


class Results:
    """Where each frame is copied to by the consumer's stream, read once at the end."""

    def __init__(self, frames=FRAMES):
        self.memory = simulated.Memory(COUNT * frames)
        self.frames = frames
        self.seen = 0

    def look(self, data, number):
        stream = ps.current_stream("cuda").handle
        simulated.copy(stream, self.memory.address + COUNT * number, data, COUNT)
        self.seen += 1

    def wrong(self):
        simulated.raw("cudaDeviceSynchronize")
        found = [simulated.peek(self.memory.address + COUNT * n, COUNT) for n in range(self.frames)]
        return [n for n, values in enumerate(found) if values != {value_of(n)}]


def slow_frame(number, is_own, milliseconds=1):
    """A frame in the cache's memory, or somebody else's, whose content comes late."""
    stream = ps.current_stream("cuda").handle
    if is_own:
        frame = ps.empty((COUNT,), "uint8", device="cuda")
        address = frame.data
    else:
        frame = simulated.Memory(COUNT, 0, stream)
        address = frame.address
    simulated.delay(stream, milliseconds)
    simulated.fill(stream, address, value_of(number), COUNT)
    return frame


@ps.operator
def slow():
    for number in range(FRAMES):
        yield slow_frame(number, is_own=number % 2)


@ps.operator
def slow_own():
    for number in range(FRAMES):
        yield slow_frame(number, is_own=True)


@ps.operator
def copied(x):
    return ps.as_tensor(x).copy()


def check(results, **words):
    @ps.operator(**words)
    def check(x):
        results.look(ps.as_tensor(x).data, ps.message().origin.number)

    return check


@pytest.mark.parametrize("streams", ["chain", "per_operator", "single", "default"])
@pytest.mark.parametrize("workers", [1, 4])
def test_no_frame_is_wrong(streams, workers, delays):
    results = Results()
    before = simulated.calls(*simulated.SYNCHRONISE)
    ps.run(slow() >> copied >> check(results), device="cuda", streams=streams, workers=workers)
    assert simulated.calls(*simulated.SYNCHRONISE) == before
    assert results.seen == FRAMES
    assert results.wrong() == []


def test_two_consumers_and_a_writer(delays):
    first, second = Results(), Results()
    frames = slow_own()

    @ps.operator(writes=("x",))
    def wiped(x):
        tensor = ps.as_tensor(x)
        simulated.fill(ps.current_stream("cuda").handle, tensor.data, 255, COUNT)
        return tensor

    @ps.operator
    def ignored(x):
        pass

    ps.run(
        frames >> check(first, name="first"),
        frames >> check(second, name="second"),
        frames >> wiped >> ignored,
        device="cuda",
        streams="per_operator",
    )
    assert (first.wrong(), second.wrong()) == ([], [])


def test_instances_share_no_stream(delays):
    results = Results()
    copies = ps.operator(lambda x: ps.as_tensor(x).copy(), instances=3, name="copies")
    ps.run(slow() >> copies >> check(results), device="cuda", streams="per_operator")
    assert results.wrong() == []


def test_one_event_stands_for_several_operators_of_a_chain():
    """Each operator on its own would record one for each second frame: half as many as there are activations."""
    memory = [simulated.Memory(COUNT) for _ in range(6)]

    def stage(number):
        def work(x):
            stream = ps.current_stream("cuda").handle
            simulated.fill(stream, memory[number].address, 1, COUNT)
            return memory[number]

        return ps.operator(work, name=f"stage{number}")

    def chain():
        flow = numbers(2 * FRAMES)
        for number in range(len(memory)):
            flow = flow >> stage(number)
        ps.run(flow >> (lambda x: None), device="cuda", streams="chain")

    chain()
    before = simulated.calls("cudaEventRecord")
    chain()
    assert simulated.calls("cudaEventRecord") - before < 0.35 * 2 * FRAMES * (len(memory) + 2)


def test_a_host_input_is_complete():
    found = []

    @ps.operator(host=("x",))
    def host(x):
        tensor = ps.as_tensor(x)
        found.append(simulated.peek(tensor.data, COUNT))

    ps.run(slow() >> host, device="cuda", streams="per_operator")
    assert found == [{value_of(number)} for number in range(FRAMES)]


def test_frames_that_are_emitted_from_another_stream(delays):
    """The producer works on a stream that it names."""
    results = Results()
    side = simulated.Stream()

    @ps.operator
    def source():
        for number in range(FRAMES):
            frame = simulated.Memory(COUNT, 0, side.handle)
            simulated.delay(side.handle, 1)
            simulated.fill(side.handle, frame.address, value_of(number), COUNT)
            yield frame

    ps.run(source() >> copied >> check(results), device="cuda", streams="per_operator")
    assert results.wrong() == []


RACY = """
    import sys
    sys.path[:0] = {paths}
    import simulated
    import penstock as ps

    producer, consumer = ps.Stream("cuda"), ps.Stream("cuda")
    frame = ps.zeros((4096,), "uint8", device="cuda")
    target = simulated.Memory(4096)
    producer.sync()
    with simulated.held(producer.handle):
        with ps.label("the producer"):
            ps.uses(frame, producer, write=True)
            simulated.fill(producer.handle, frame.data, 7, 4096)
        with ps.label("the consumer"):
            ps.uses(frame, consumer, wait={wait})
            simulated.copy(consumer.handle, target.address, frame.data, 4096)
        if not {wait}:
            consumer.sync()
    consumer.sync()
    print(target.peek())
"""


@pytest.mark.parametrize("wait", [True, False])
def test_an_order_that_is_left_out_is_seen_and_named(wait):
    import helpers

    paths = [str(simulated.__file__).rsplit("/", 1)[0], str(helpers.__file__).rsplit("/", 1)[0]]
    done = run_python(textwrap.dedent(RACY).format(paths=paths, wait=wait), PENSTOCK_CHECK="order")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("{7}" if wait else "{0}")
    assert ("nothing orders" in done.stderr) == (not wait), done.stderr
    if not wait:
        assert re.findall(r'label "(.*?)"', done.stderr) == ["the producer", "the consumer"]


def test_an_array_that_has_no_copy_method_is_copied_for_a_writer():
    shared = simulated.Memory(COUNT, 7)
    seen = []

    @ps.operator
    def source():
        yield shared

    @ps.operator(writes=("x",))
    def writer(x):
        seen.append(x)
        simulated.fill(ps.current_stream("cuda").handle, ps.as_tensor(x).data, 9, COUNT)

    ps.run(writer(source()), device="cuda")
    simulated.raw("cudaDeviceSynchronize")
    assert seen[0] is not shared
    assert shared.peek() == {7}
    assert simulated.peek(seen[0].data, COUNT) == {9}
