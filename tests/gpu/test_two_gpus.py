"""Two GPUs in one program: pipelines on the second, frames that go from one to the other, streams of both."""

import threading

import pytest

import penstock as ps

from . import work
from .flows import value_of

pytestmark = [
    pytest.mark.needs("torch"),
    pytest.mark.skipif(ps.device_count() < 2, reason="needs two GPUs"),
]
FIRST, SECOND = "cuda:0", "cuda:1"
BOTH = pytest.mark.parametrize("device", [FIRST, SECOND])
FRAMES = 300


def slow(value, device, stream=None):
    """COUNT times the value, 0.2 ms late, on the stream or on PyTorch's current one of that GPU."""
    import torch

    with torch.cuda.device(device), torch.cuda.stream(stream):
        x = torch.empty(work.COUNT, dtype=torch.int32, device=device)
        torch.cuda._sleep(work.SLOW)
        return x.fill_(value)


def cupy_slow(value, device):
    import cupy

    with cupy.cuda.Device(int(device[-1])):
        return work.CupyWork.slow(value)


class Check:
    """Counts wrong frames on a GPU."""

    def __init__(self, device):
        import torch

        self.device = device
        self.seen = 0
        self.count = torch.zeros((), dtype=torch.int64, device=device)
        self.synchronize()

    def synchronize(self):
        import torch

        for device in (FIRST, SECOND):
            torch.cuda.synchronize(device)

    def look(self, x, value):
        import torch

        assert ps.as_tensor(x).device == self.device
        self.seen += 1
        x = x if isinstance(x, torch.Tensor) else ps.as_tensor(x).torch()
        with torch.cuda.device(self.device):
            self.count.add_((x != value).any())

    def settle(self, frames=FRAMES):
        self.synchronize()
        assert (self.seen, int(self.count)) == (frames, 0)


def source(make, device):
    @ps.operator
    def source():
        for number in range(FRAMES):
            yield make(value_of(number), device)

    return source()


def sink(check, added=0):
    @ps.operator
    def sink(x):
        check.look(x, value_of(ps.message().origin.number) + added)

    return sink


@pytest.mark.parametrize("mode", ["chain", "per_operator", "single", "default"])
@pytest.mark.parametrize("make", [slow, pytest.param(cupy_slow, marks=pytest.mark.needs("cupy"))])
@BOTH
def test_a_pipeline_on_either(device, make, mode):
    check = Check(device)

    @ps.operator
    def later(x):
        import torch

        assert torch.cuda.current_device() == int(device[-1])
        assert ps.current_stream(device).handle == torch.cuda.current_stream().cuda_stream
        torch.cuda._sleep(work.SLOW)
        return ps.as_tensor(x).torch() + 10

    @ps.operator
    def copied(x):
        return ps.as_tensor(x).copy()

    ps.run(source(make, device) >> later >> copied >> sink(check, 10), device=device, streams=mode)
    check.settle()


@pytest.mark.parametrize("other_device", [FIRST, SECOND])
@pytest.mark.parametrize("means", ["penstock", "torch"])
@BOTH
def test_frames_go_from_one_to_the_other(device, means, other_device):
    """Whichever of the two the operators work on."""
    target = SECOND if device == FIRST else FIRST
    check = Check(target)

    @ps.operator
    def over(x):
        return ps.as_tensor(x).to(target) if means == "penstock" else x.to(target, non_blocking=True)

    ps.run(source(slow, device) >> over >> sink(check), device=other_device, streams="per_operator")
    check.settle()


@BOTH
def test_there_and_back(device):
    """The first one's memory is used again while the other still reads it."""
    target = SECOND if device == FIRST else FIRST
    check = Check(device)

    @ps.operator
    def there(x):
        return ps.as_tensor(x).to(target)

    @ps.operator
    def later(x):
        import torch

        with torch.cuda.device(target):
            torch.cuda._sleep(work.SLOW)
            return x.torch() + 7

    @ps.operator
    def back(x):
        return ps.as_tensor(x).copy().to(device)  # from memory of our own, too

    ps.run(source(slow, device) >> there >> later >> back >> sink(check, 7), device=device, streams="per_operator")
    check.settle()


@BOTH
def test_work_on_a_side_stream_of_the_other(device):
    """Entered in the operator, and over before it returns."""
    import torch

    target = SECOND if device == FIRST else FIRST
    side = torch.cuda.Stream(target)
    check = Check(target)

    def make(value, _):
        return slow(value, target, side)

    ps.run(source(make, device) >> sink(check), device=device, streams="per_operator")
    check.settle()


def test_each_has_a_pipeline_at_once():
    checks = {device: Check(device) for device in (FIRST, SECOND)}
    errors = []

    def run(device):
        try:
            ps.run(source(slow, device) >> sink(checks[device]), device=device)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(device,)) for device in checks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for check in checks.values():
        check.settle()


@BOTH
def test_blocks_and_calls_leave_what_was_current(device):
    import torch

    def current():
        return [torch.cuda.current_stream(gpu).cuda_stream for gpu in (FIRST, SECOND)]

    @ps.operator
    def forgetful(x):
        torch.cuda.set_stream(torch.cuda.Stream(device))
        return x + 1

    before = current(), torch.cuda.current_device()
    own = ps.Stream(device)
    with own:
        assert torch.cuda.current_stream(device).cuda_stream == own.handle
        assert ps.current_stream(device) == own
    assert (current(), torch.cuda.current_device()) == before
    with torch.cuda.device(device):
        forgetful(slow(1, device))
    assert (current(), torch.cuda.current_device()) == before


@BOTH
@pytest.mark.parametrize("keep", [lambda x: x, lambda x: {"x": x}, lambda x: [(1, x)]], ids=["itself", "dict", "list"])
def test_pytorchs_arrays_of_the_other(device, keep):
    """Made, changed and read by PyTorch on its current stream there; the operators work on this one."""
    target = SECOND if device == FIRST else FIRST
    check = Check(target)

    def found(x):
        while isinstance(x, (list, dict, tuple)):
            x = x["x"] if isinstance(x, dict) else x[-1]
        return x

    @ps.operator
    def over(x):
        return keep(x.to(target, non_blocking=True))

    @ps.operator
    def changed(x):
        import torch

        with torch.cuda.device(target):
            torch.cuda._sleep(work.SLOW)
            return keep(found(x) + 3)

    @ps.operator
    def look(x):
        check.look(found(x), value_of(ps.message().origin.number) + 3)

    ps.run(source(slow, device) >> over >> changed >> look, device=device, streams="per_operator")
    check.settle()


@BOTH
def test_tensors_of_each(device):
    tensor = ps.zeros((1000,), "int32", device=device)
    assert tensor.device == device
    assert not tensor.cpu().numpy().any()
    assert (tensor.copy().torch() == 0).all()
    assert tensor.torch().device == ps.as_tensor(slow(3, device)).torch().device
    assert (ps.as_tensor(slow(3, device)).cpu().numpy() == 3).all()
    assert {str(gpu) for gpu in ps.devices()} >= {FIRST, SECOND}
