"""A user's capture of a CUDA graph, while a pipeline of Penstock's runs in other threads."""

import contextlib
import time

import pytest

import penstock as ps

from . import work
from .flows import check_sink, value_of
from .work import TorchCheck, TorchWork

pytestmark = pytest.mark.needs("torch")
ROUNDS = 20


class OwnWork:
    """Penstock's calls alone: PyTorch's own allocations in other threads would end a capture in the strict mode."""

    @staticmethod
    def slow(value, cycles):
        x = ps.zeros((work.COUNT,), "int32", device=work.DEVICE)
        x.copy().copy_to(x)
        return x


class OwnCheck:
    def __init__(self):
        self.seen = 0

    def look(self, x, value):
        self.seen += 1
        ps.uses(x, ps.Stream(work.DEVICE))

    def wrong(self):
        return 0


PIPELINES = {"own": (OwnWork, OwnCheck), "torch": (TorchWork, TorchCheck)}


@contextlib.contextmanager
def running_pipeline(kind):
    """Allocates, copies, makes and waits for events, and drops, in threads of its own, until the block ends."""
    made, checked = PIPELINES[kind]
    check = checked()

    @ps.operator
    def endless():
        number = 0
        while True:
            yield made.slow(value_of(number), 20_000)
            number += 1

    @ps.operator
    def copied(x):
        return ps.as_tensor(x).copy()

    run = ps.start(endless() >> copied >> check_sink(check), streams="per_operator")
    try:
        while check.seen < 20 and not run.is_over:  # what is loaded and compiled at first use
            time.sleep(0.001)
        before = check.seen
        yield run
        while check.seen < before + 20 and not run.is_over:
            time.sleep(0.001)
    finally:
        run.stop()
    run.wait(60)
    assert check.seen >= before + 20
    assert check.wrong() == 0


@pytest.mark.parametrize(
    ("mode", "kind"), [("global", "own"), ("thread_local", "own"), ("thread_local", "torch"), ("relaxed", "torch")]
)
def test_torch_graphs(mode, kind):
    """PyTorch's default is the strict mode: a forbidden call of any thread would end the capture."""
    import torch

    given = torch.zeros(work.COUNT, dtype=torch.int32, device=work.DEVICE)
    with running_pipeline(kind):
        for round_ in range(ROUNDS):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode=mode):
                result = given * 3 + round_
            given.fill_(round_ + 1)
            graph.replay()
            right = (result == 3 * (round_ + 1) + round_).all()
            given.fill_(round_ + 7)
            graph.replay()
            right &= (result == 3 * (round_ + 7) + round_).all()
            assert bool(right), f"round {round_}"


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("mode", [0, 1, 2], ids=["global", "thread_local", "relaxed"])  # as CUDA numbers them
def test_cupy_graphs(mode):
    import cupy

    side = cupy.cuda.Stream(non_blocking=True)
    with running_pipeline("own"):
        for round_ in range(ROUNDS):
            with side:
                given = cupy.full(work.COUNT, round_, dtype=cupy.int32)
                result = cupy.empty_like(given)
                cupy.add(cupy.multiply(given, 3, out=result), 1, out=result)  # compiled outside of the capture
                side.begin_capture(mode)
                cupy.multiply(given, 3, out=result)
                cupy.add(result, 1, out=result)
                graph = side.end_capture()
                given.fill(round_ + 5)
                graph.launch(side)
                right = (result == 3 * (round_ + 5) + 1).all()
                assert bool(right), f"round {round_}"


def test_a_pipeline_beside_replays():
    """Replays on a user's stream, and a graph of ours that consumes what they write."""
    import torch

    check = TorchCheck()
    given = torch.zeros(work.COUNT, dtype=torch.int32, device=work.DEVICE)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = given * 2

    @ps.operator
    def source():
        for number in range(200):
            work.torch_spin(work.SLOW)
            given.fill_(number)
            graph.replay()  # on the operator's stream
            yield result.clone()

    ps.run(source() >> check_sink(check, lambda number: 2 * number), streams="per_operator")
    assert check.seen == 200
    assert check.wrong() == 0
