"""Nothing waits for what it has nothing to do with: no kernel of others, and no host for the GPU."""

import json
import time

import pytest

import penstock as ps

from . import work
from .flows import slow_source, value_of
from .programs import check_python
from .work import CupyCheck, CupyWork, PenstockCheck, PenstockWork, TorchCheck, TorchWork

pytestmark = pytest.mark.needs("torch")
FRAMES = 200
LONG_MS = 500


class LongKernel:
    """A kernel of half a second on a stream that nobody else uses."""

    def __enter__(self):
        import torch

        cycles = work.cycles_for(LONG_MS)
        side, self.end = torch.cuda.Stream(), torch.cuda.Event()
        work.synchronize()
        self.begin_s = time.perf_counter()
        with torch.cuda.stream(side):
            work.torch_spin(cycles)
            self.end.record()
        return self

    def __exit__(self, *exception):
        work.synchronize()

    def is_running(self):
        return not self.end.query()

    def report(self, record_property):
        """Ends the kernel, and tells what part of its time had passed: for the report of the run."""
        before_s = time.perf_counter() - self.begin_s
        self.end.synchronize()
        record_property("part_of_the_long_kernel", round(before_s / (time.perf_counter() - self.begin_s), 3))


def run_pipeline(made, check):
    """FRAMES frames, and waits until the last check is done on the GPU; no other wait."""
    import torch

    last = torch.cuda.Event()

    @ps.operator
    def passed_on(x):
        return x

    @ps.operator
    def sink(x):
        number = ps.message().origin.number
        check.look(x, value_of(number))
        if number == FRAMES - 1:
            last.record()  # on the operator's stream, which is PyTorch's current one

    ps.run(slow_source(made, FRAMES) >> passed_on >> sink, streams="per_operator")
    last.synchronize()


@pytest.mark.parametrize(
    ("made", "checked"),
    [
        pytest.param(TorchWork, TorchCheck, id="torch"),
        pytest.param(CupyWork, CupyCheck, id="cupy", marks=pytest.mark.needs("cupy")),
        pytest.param(PenstockWork, PenstockCheck, id="penstock"),
        pytest.param(TorchWork, CupyCheck, id="torch to cupy", marks=pytest.mark.needs("cupy")),
    ],
)
def test_a_long_kernel_elsewhere_delays_nothing(made, checked, record_property):
    run_pipeline(made, checked())  # what is compiled, loaded and mapped at first use
    check = checked()
    with LongKernel() as kernel:
        assert kernel.is_running()
        run_pipeline(made, check)
        assert kernel.is_running(), "the pipeline was over only after the unrelated kernel"
        kernel.report(record_property)
    assert check.seen == FRAMES
    assert check.wrong() == 0


def exchange(x):
    import torch

    y = ps.as_tensor(x)
    assert torch.from_dlpack(y).data_ptr() == x.data_ptr()
    assert y.torch().data_ptr() == x.data_ptr()


def allocate(x):
    ps.zeros((1 << 20,), "uint8", device=work.DEVICE).copy()


def grow(x):
    """More than the cache has: pages are mapped."""
    ps.empty((96 << 20,), "uint8", device=work.DEVICE)
    ps.memory.trim(0, work.DEVICE)


def use_streams(x):
    a, b = ps.Stream(work.DEVICE), ps.Stream(work.DEVICE)
    b.wait(a.record())
    ps.uses(ps.as_tensor(x), b)
    with a, b:
        pass
    assert isinstance(a.query(), bool)
    a.sync()
    b.sync()


@pytest.mark.parametrize("call", [exchange, allocate, grow, use_streams])
def test_calls_wait_for_no_kernel_elsewhere(call):
    x = TorchWork.slow(1, 0)
    call(x)
    with LongKernel() as kernel:
        for _ in range(20):
            call(x)
        assert kernel.is_running()


def test_a_long_kernel_of_its_own_does_not_block_the_caller():
    """as_tensor, copies, exports and drops of what is late: the host goes on, the result is right."""
    import torch

    kept = []
    cycles = work.cycles_for(LONG_MS)
    kept.append(ps.as_tensor(TorchWork.slow(1, 0)).copy().torch())
    work.synchronize()
    done = torch.cuda.Event()
    with ps.Stream(work.DEVICE):
        x = ps.as_tensor(TorchWork.slow(7, cycles))
        done.record()
    with ps.Stream(work.DEVICE):
        y = x.copy().torch()
        right = (y == 7).all()
        del x, y
        assert not done.query(), "the host waited for the kernel"
    work.synchronize()
    assert bool(right)


COUNTED = """
    import json
    from gpu.cupti import CallCounter, Unavailable
    try:
        counter = CallCounter()  # before anything of CUDA
    except Unavailable as error:
        print(json.dumps({"unavailable": str(error)}))
        raise SystemExit(0)
    import cupy, numpy, torch
    import penstock as ps
    from gpu import work
    from gpu.flows import slow_source, value_of

    def run(frames):
        check = work.CupyCheck()

        @ps.operator
        def copied(x):
            return ps.as_tensor(x).copy()

        @ps.operator
        def read(x):
            check.look(cupy.from_dlpack(x), value_of(ps.message().origin.number))
            return torch.from_dlpack(x)

        @ps.operator
        def read_again(x):
            x + 1

        ps.run(slow_source(work.TorchWork, frames) >> copied >> read >> read_again, streams="per_operator")
        before_wait = counter.counts()
        assert (check.seen, check.wrong()) == (frames, 0)
        return before_wait

    run(50)
    marks = []
    for frames in (50, 250):
        begin = counter.counts()
        end = run(frames)
        marks.append({name: end[name] - begin.get(name, 0) for name in end})
    begin = counter.counts()
    torch.cuda.synchronize()
    end = counter.counts()
    control = {name: end[name] - begin.get(name, 0) for name in end}
    print(json.dumps({"short": marks[0], "long": marks[1], "control": control}))
"""


@pytest.fixture(scope="module")
def counted():
    found = json.loads(check_python(COUNTED, timeout_s=300).splitlines()[-1])
    if "unavailable" in found:
        pytest.skip(found["unavailable"])
    return found


@pytest.mark.needs("cupy")
def test_the_counter_counts(counted):
    assert counted["control"].get("cudaDeviceSynchronize", 0) + counted["control"].get("cuCtxSynchronize", 0) > 0
    launches = [name for name, count in counted["long"].items() if "LaunchKernel" in name and count > 250]
    assert launches


@pytest.mark.needs("cupy")
def test_no_frame_waits_on_the_host(counted):
    """Five times the frames: not one more call that waits. The runs themselves may wait at their ends."""
    waits = {
        name: (counted["short"].get(name, 0), counted["long"][name])
        for name in counted["long"]
        if "Synchronize" in name and counted["short"].get(name, 0) != counted["long"][name]
    }
    assert waits == {}


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("run", ["short", "long"])
def test_nothing_waits_for_the_whole_device(counted, run):
    """CupyCheck's own wait for the device at its making is the only one."""
    assert counted[run].get("cudaDeviceSynchronize", 0) <= 1
    assert counted[run].get("cuCtxSynchronize", 0) <= 1
    assert counted[run].get("cudaFree", 0) == 0
    assert counted[run].get("cuMemFree", 0) == 0
