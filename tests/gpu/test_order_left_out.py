"""The same with an order left out on purpose: wrong frames come, so the tests of order can fail; the checker says who."""

import contextlib
import re

import pytest

import penstock as ps

from . import work
from .flows import check_sink, slow_source, value_of
from .programs import run_python
from .work import CupyCheck, TorchCheck, TorchWork

pytestmark = pytest.mark.needs("torch")


@pytest.fixture(autouse=True)
def other_numbers():
    work.reuse_memory()


@contextlib.contextmanager
def unseen(stream):
    """PyTorch's current stream, by a way on which nobody hears of it."""
    import torch

    def set_current(stream):
        torch._C._cuda_setStream(
            stream_id=stream.stream_id, device_index=stream.device_index, device_type=stream.device_type
        )

    before = torch.cuda.current_stream()
    set_current(stream)
    try:
        yield
    finally:
        set_current(before)


def torch_frames(frames, join):
    import torch

    side = torch.cuda.Stream()
    for number in range(frames):
        with unseen(side):
            x = TorchWork.slow(value_of(number))
        if join:
            torch.cuda.current_stream().wait_stream(side)
        yield x


def cupy_frames(frames, join):
    """A copy on a stream that is given to the copy alone."""
    import cupy
    import torch

    side = cupy.cuda.Stream(non_blocking=True)
    kept = []
    for number in range(frames):
        kept.append(cupy.full(work.COUNT, value_of(number), cupy.int32))
        side.wait_event(cupy.cuda.get_current_stream().record())
        with unseen(torch.cuda.ExternalStream(side.ptr)):
            work.torch_spin(work.SLOW)
        x = cupy.empty(work.COUNT, cupy.int32)
        x.data.copy_from_device_async(kept[-1].data, x.nbytes, stream=side)
        if join:
            cupy.cuda.get_current_stream().wait_event(side.record())
        yield x


SOURCES = [
    pytest.param(torch_frames, TorchCheck, id="torch"),
    pytest.param(cupy_frames, CupyCheck, id="cupy", marks=pytest.mark.needs("cupy")),
]


@pytest.mark.parametrize("join", [True, False], ids=["joined", "left out"])
@pytest.mark.parametrize(("made", "checked"), SOURCES)
def test_a_stream_that_nobody_names_is_not_waited_for(made, checked, join, frames):
    check = checked()

    @ps.operator
    def source():
        yield from made(frames, join)

    ps.run(source() >> check_sink(check), streams="per_operator")
    assert check.seen == frames
    assert (check.wrong() == 0) == join


@pytest.mark.parametrize("wait", [True, False], ids=["waits", "left out"])
def test_uses_without_a_wait(wait, frames):
    """The sink reads on a stream of its own, which it names."""
    import torch

    side = ps.Stream(work.DEVICE)
    check = TorchCheck()

    @ps.operator
    def tensors(x):
        return ps.as_tensor(x)

    @ps.operator
    def sink(x):
        # The address alone: an export would order the stream.
        view = work.by_address(x)
        ps.uses(x, side, wait=wait)
        with unseen(torch.cuda.ExternalStream(int(side))):
            check.look(view, value_of(ps.message().origin.number))
        ps.uses(x, side, wait=wait)

    ps.run(slow_source(TorchWork, frames) >> tensors >> sink, streams="per_operator")
    assert check.seen == frames
    assert (check.wrong() == 0) == wait


RACY = """
    import penstock as ps
    from gpu import work
    import torch
    a, b = ps.Stream("cuda"), ps.Stream("cuda")
    x = ps.zeros((work.COUNT,), "int32", device="cuda")
    with ps.label("the producer"), a:
        work.torch_spin(work.SLOW)
        x.torch().fill_(1)
        ps.uses(x, a, write=True)  # HERE
    with ps.label("the library"):
        ps.uses(x, b, wait=WAIT)  # THERE
    a.sync()
    b.sync()
    from penstock import _core
    print(_core._race_count())
"""

RACY_GRAPH = """
    import penstock as ps
    from gpu import work
    side = ps.Stream("cuda")

    @ps.operator
    def source():
        for number in range(20):
            yield work.PenstockWork.slow(number)

    @ps.operator
    def sink(x):
        ps.uses(x, side, wait=WAIT)

    ps.run(source() >> sink, streams="per_operator")
    from penstock import _core
    print(_core._race_count())
"""
ACCESS = re.compile(r"^  (write|read) of bytes (\d+) to (\d+) by (\S+) on (.*?), thread ", re.MULTILINE)


@pytest.mark.parametrize("program", [RACY, RACY_GRAPH], ids=["streams", "graph"])
def test_the_checker_names_the_pair(program):
    done = run_python(program.replace("WAIT", "False"), PENSTOCK_CHECK="order")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert "nothing orders" in done.stderr
    first, second, *_ = ACCESS.findall(done.stderr)
    assert first[4] != second[4]
    assert second[3] == "uses"
    if program is RACY:
        assert "the producer" in done.stderr
        assert "the library" in done.stderr


@pytest.mark.parametrize("program", [RACY, RACY_GRAPH], ids=["streams", "graph"])
def test_the_checker_is_silent_where_all_is_ordered(program):
    done = run_python(program.replace("WAIT", "True"), PENSTOCK_CHECK="order")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 0
    assert done.stderr == ""


@pytest.mark.parametrize("program", [RACY, RACY_GRAPH], ids=["streams", "graph"])
def test_the_checker_raises_at_the_access(program):
    done = run_python(program.replace("WAIT", "False"), PENSTOCK_CHECK="order:raise")
    assert done.returncode == 1
    assert "StreamError" in done.stderr
    assert "nothing orders" in done.stderr


@pytest.mark.needs("cupy")
def test_ordered_graphs_pass_the_checker():
    """No false alarm over libraries, C++ and fan-out."""
    done = run_python(
        """
        import penstock as ps
        from gpu.flows import check_sink, slow_source, added
        from gpu.work import TorchWork, CupyCheck, TorchCheck, PenstockCheck, torch_spin

        @ps.operator(instances=3)
        class Later:
            def __call__(self, x):
                torch_spin(100_000)
                return x + 10

        @ps.operator
        def copied(x):
            return ps.as_tensor(x).copy()

        checks = [TorchCheck(), CupyCheck(), PenstockCheck()]
        flow = slow_source(TorchWork, 200) >> Later() >> copied
        ps.run(*(check_sink(check, added(10))(flow) for check in checks), streams="per_operator")
        assert [check.seen for check in checks] == [200] * 3
        from penstock import _core
        print(*(check.wrong() for check in checks), _core._race_count())
        """,
        PENSTOCK_CHECK="order",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"] * 4, done.stderr
