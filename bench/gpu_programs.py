"""The programs of gpu_graphs.py as Penstock graphs, and the steps of which a hop of a GPU frame is made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gpu_graphs as graphs
import torch

import penstock as ps


@ps.operator
def given(*, frames: list[Any], count: int) -> Iterator[Any]:
    for number in range(count):
        yield frames[number % len(frames)]


def chain_us(
    frames: list[Any], device: str, stages: int, streams: str, call: Callable[[Any], Any] = graphs.add_one
) -> float:
    """Microseconds a frame at the sink, in the steady middle of a run."""
    marks = graphs.Marks()
    stage = ps.operator(call)
    flow = given(frames=frames, count=graphs.WARM + graphs.COUNT + graphs.TAIL)
    for _ in range(stages):
        flow = stage(flow)
    ps.run(ps.operator(marks.__call__, name="sink")(flow), device=device, streams=streams)
    graphs.synchronize(device)
    return marks.each_us()


@ps.operator
def late_frames(*, device: str) -> Iterator[Any]:
    """Yields frames from within a block of PyTorch's own stream."""
    made = graphs.Maker(device, True, True)
    for _ in range(graphs.ORDERED):
        with torch.cuda.stream(made.stream):
            yield made()


@ps.operator
def dropped_frames(*, device: str) -> Iterator[Any]:
    """Yields frames that nobody else holds, made at once."""
    made = graphs.Maker(device, False, False)
    for _ in range(graphs.ORDERED):
        yield made()


def wrong_frames(device: str, own_stream: bool, streams: str) -> int:
    """Of a thousand frames, how many the consumer saw with other values: of a late writer, or read late when dropped."""
    seen = graphs.Reader(device, late=not own_stream)
    source = late_frames(device=device) if own_stream else dropped_frames(device=device)
    ps.run(ps.operator(seen.__call__, name="read")(source), device=device, streams=streams)
    return seen.wrong()


def wrong_emitted(device: str) -> int:
    """The same, emitted by an operator of the explicit form."""
    seen = graphs.Reader(device, late=False)

    class Emits(ps.Operator):
        def setup(self, spec: Any) -> None:
            spec.output("out")

        def start(self) -> None:
            self.made = graphs.Maker(device, True, True)

        def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
            with torch.cuda.stream(self.made.stream):
                outputs.emit(self.made(), "out")

    class Reads(ps.Operator):
        def setup(self, spec: Any) -> None:
            spec.input("in")

        def compute(self, inputs: Any, outputs: Any, context: Any) -> None:
            seen(inputs.receive("in"))

    class Program(ps.Application):
        def compose(self) -> None:
            self.add_flow(Emits(self, count=graphs.ORDERED), Reads(self), {("out", "in")})

    Program().run(device=device, streams="per_operator")
    return seen.wrong()


_CURRENT = """
import sys, time, json, statistics
device, modules = sys.argv[1], sys.argv[2:]
if "torch" in modules:
    import torch
    torch.zeros(1, device=device)
if "cupy" in modules:
    import cupy
    cupy.zeros(1)
import penstock as ps
stream = ps.Stream(device)
times = []
for _ in range(31):
    begun = time.perf_counter_ns()
    for _ in range(1000):
        with stream:
            pass
    middle = time.perf_counter_ns()
    for _ in range(1000):
        pass
    times.append((2 * middle - begun - time.perf_counter_ns()) / 1e6)
print(json.dumps(statistics.median(times)))
"""


def with_stream_us(device: str, *modules: str) -> float:
    """A `with stream:` in a process that has imported these modules."""
    command = [sys.executable, "-c", _CURRENT, device, *modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"with stream: ({' '.join(modules) or 'alone'}): {done.stderr.strip()[-400:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def steps(device: str) -> dict[str, Callable[[], object]]:
    """Single steps that a hop of a GPU frame may consist of."""
    frame = graphs.frames(device)[0]
    first, second = ps.Stream(device), ps.Stream(device)
    wrapped = ps.as_tensor(frame)
    return {
        "import": lambda: ps.as_tensor(frame),
        "record": first.record,
        "query": first.query,
        "edge": lambda: second.wait(first.record()),
        "use": lambda: ps.uses(wrapped, first),
        "import-and-use": lambda: ps.uses(ps.as_tensor(frame), first),
    }
