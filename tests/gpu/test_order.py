"""Order between libraries and streams with slow producers: every element of every frame is right.

A frame's content comes 0.2 ms late, by a kernel that spins; checks run on the GPU and are read once, at the end.
"""

import functools

import pytest

import penstock as ps

from . import work
from .flows import App, Checker, Emitter, added, check_sink, dropped, slow_source, value_of
from .work import CupyCheck, CupyWork, JaxCheck, NumbaCheck, PenstockCheck, PenstockWork, TorchCheck, TorchWork

MODES = ["per_operator", "chain", "single", "default"]
WORKS = {"torch": TorchWork, "cupy": CupyWork, "penstock": PenstockWork}
CHECKS = {
    "torch": TorchCheck,
    "cupy": CupyCheck,
    "numba": NumbaCheck,
    "numba on our stream": lambda: NumbaCheck(on_operators_stream=True),
    "jax": JaxCheck,
    "penstock": PenstockCheck,
}
NEEDS = {
    "torch": "torch",
    "cupy": "cupy",
    "numba": "numba.cuda",
    "numba on our stream": "numba.cuda",
    "jax": "jax",
    "penstock": "torch",
}
PAIRS = [
    pytest.param(a, b, id=f"{a} to {b}", marks=pytest.mark.needs("torch", NEEDS[a], NEEDS[b]))
    for a in WORKS
    for b in CHECKS
]
pytestmark = pytest.mark.needs("torch")


@pytest.fixture(autouse=True)
def other_numbers():
    work.reuse_memory()


def settle(check, frames):
    """All frames came, and none was wrong."""
    assert check.seen == frames
    assert check.wrong() == 0


@pytest.mark.parametrize(("producer", "consumer"), PAIRS)
def test_a_consumer_waits_for_a_slow_producer(producer, consumer, frames):
    check = CHECKS[consumer]()
    ps.run(slow_source(WORKS[producer], frames) >> check_sink(check), streams="per_operator")
    settle(check, frames)


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("mode", MODES)
def test_the_ways_to_share_streams_give_the_same(mode, frames):
    """torch, then C++, then CuPy, then torch again."""
    check = TorchCheck()

    @ps.operator
    def copied(x):
        return ps.as_tensor(x).copy()

    @ps.operator
    def doubled(x):
        import cupy

        return cupy.asarray(x) * 2

    flow = slow_source(TorchWork, frames) >> copied >> doubled
    ps.run(flow >> check_sink(check, lambda number: 2 * value_of(number)), streams=mode)
    settle(check, frames)


@pytest.mark.parametrize("mode", MODES)
def test_operators_of_cpp_between_those_of_python(mode, frames):
    import torch

    image = TorchWork.slow(1, 0).view(work.COUNT // 64, 16, 4).to(torch.uint8)
    try:
        ps.resize(ps.as_tensor(image, "HWC"), image.shape[:2])
    except ps.Error as error:
        pytest.skip(f"no resize on this GPU: {error}")
    check = TorchCheck()

    @ps.operator
    def as_image(x):
        return ps.as_tensor((x % 251).to(torch.uint8).view(image.shape), "HWC")

    @ps.operator
    def as_row(x):
        return x.torch().reshape(-1)

    flow = slow_source(TorchWork, frames) >> as_image >> ps.resize(size=tuple(image.shape[:2]))
    ps.run(flow >> as_row >> check_sink(check, lambda number: value_of(number) % 251), streams=mode)
    settle(check, frames)


@pytest.mark.parametrize("instances", [4, 64])
def test_instances_on_streams_of_their_own(instances, frames):
    """Each adds to what another stream still writes; the sink sees them in order."""
    check = TorchCheck()

    @ps.operator(instances=instances)
    class Later:
        def __call__(self, x):
            work.torch_spin(work.SLOW)
            return x + 10

    ps.run(slow_source(TorchWork, frames) >> Later() >> check_sink(check, added(10)), streams="per_operator")
    settle(check, frames)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
@pytest.mark.parametrize("producer", [pytest.param("cupy", marks=pytest.mark.needs("cupy")), "torch", "penstock"])
def test_edges_that_drop(producer, policy, frames):
    """What is dropped gives its memory back while its producer still writes it."""
    check = TorchCheck(work.SLOW)
    sink = check_sink(check, policy=policy, capacity=1)
    stats = ps.run(slow_source(WORKS[producer], frames) >> sink, streams="per_operator")
    assert check.seen >= 1
    assert check.seen + dropped(stats) == frames
    assert check.wrong() == 0


@pytest.mark.needs("cupy")
@pytest.mark.parametrize("kind", ["torch", "penstock"])
def test_readers_and_a_writer_of_one_frame(kind, frames):
    """Three slow readers see what was sent, whatever the writer does meanwhile; its result is its own."""
    readers = [TorchCheck(work.SLOW), CupyCheck(work.SLOW), PenstockCheck(work.SLOW)]
    written = TorchCheck()

    @ps.operator(writes=("x",))
    def writer(x):
        import torch

        torch.as_tensor(x, device=work.DEVICE).add_(work.LATER)
        return x

    frame = slow_source(WORKS[kind], frames)
    sinks = [check_sink(check)(frame) for check in readers]
    ps.run(*sinks, check_sink(written, added(work.LATER))(writer(frame)), streams="per_operator")
    for check in [*readers, written]:
        settle(check, frames)


@pytest.mark.needs("cupy")
def test_four_streams_into_one(frames):
    check = CupyCheck()

    def source(index):
        @ps.operator(name=f"source{index}")
        def source():
            for number in range(frames):
                yield (TorchWork, CupyWork)[index % 2].slow(4 * number + index)

        return source()

    @ps.operator
    def sink(a, b, c, d):
        for index, x in enumerate((a, b, c, d)):
            check.look(x, 4 * ps.message().origin.number + index)

    ps.run(sink(*(source(index) for index in range(4))), streams="per_operator")
    settle(check, 4 * frames)


@pytest.mark.needs("cupy")
def test_many_senders_into_one_port(frames):
    """A fair merge: the number says what is expected, the source which row."""
    check = TorchCheck()
    flows = [slow_source((TorchWork, CupyWork)[index % 2], frames // 4) for index in range(4)]
    ps.run(ps.merge(*flows) >> check_sink(check), streams="per_operator")
    settle(check, frames // 4 * 4)


@pytest.mark.parametrize("producer", [pytest.param("cupy", marks=pytest.mark.needs("cupy")), "torch", "penstock"])
@pytest.mark.parametrize("consumer", [pytest.param("cupy", marks=pytest.mark.needs("cupy")), "torch", "penstock"])
def test_memory_that_is_dropped_at_once(producer, consumer, frames):
    """The source is fast, the reader slow, nobody keeps the frame: its memory comes back only after the reader."""
    check = {"torch": TorchCheck, "cupy": CupyCheck, "penstock": PenstockCheck}[consumer](work.SLOW)

    @ps.operator
    def fast():
        for number in range(frames):
            yield WORKS[producer].slow(value_of(number), 0)

    ps.run(fast() >> check_sink(check), streams="per_operator")
    settle(check, frames)


@pytest.mark.parametrize("producer", [pytest.param("cupy", marks=pytest.mark.needs("cupy")), "torch", "penstock"])
def test_batches(producer, frames):
    check = TorchCheck()

    @ps.operator(batch=8, max_delay_ms=5)
    def batched(xs):
        import torch

        rows = torch.stack([torch.as_tensor(x, device=work.DEVICE) for x in xs]) + 10
        return list(rows)

    ps.run(slow_source(WORKS[producer], frames) >> batched >> check_sink(check, added(10)), streams="per_operator")
    settle(check, frames)


def torch_stream_in_generator(frames):
    import torch

    side = torch.cuda.Stream()

    @ps.operator
    def source():
        for number in range(frames):
            with torch.cuda.stream(side):
                yield TorchWork.slow(value_of(number))

    return source()


def joined_by_hand(frames):
    """As PyTorch's users write it: what is current when the operator returns has waited for the side stream."""
    import torch

    side = torch.cuda.Stream()

    @ps.operator
    def source():
        for number in range(frames):
            with torch.cuda.stream(side):
                x = TorchWork.slow(value_of(number))
            torch.cuda.current_stream().wait_stream(side)
            x.record_stream(torch.cuda.current_stream())
            yield x

    return source()


def context_is_marked(frames):
    """sync="context" needs no word of the stream."""
    import torch

    side = torch.cuda.Stream()

    @ps.operator(sync="context")
    def source():
        for number in range(frames):
            with torch.cuda.stream(side):
                x = TorchWork.slow(value_of(number))
            yield x

    return source()


@pytest.mark.parametrize("source", [torch_stream_in_generator, joined_by_hand, context_is_marked])
def test_side_streams_of_pytorch(source, frames):
    check = TorchCheck()
    ps.run(source(frames) >> check_sink(check), streams="per_operator")
    settle(check, frames)


@functools.cache
def side_stream(library):
    if library == "cupy":
        import cupy

        return cupy.cuda.Stream(non_blocking=True)
    import torch

    return torch.cuda.Stream()


def emit_on_torch_stream(outputs, context, value):
    import torch

    with torch.cuda.stream(side_stream("torch")):
        outputs.emit(TorchWork.slow(value), "out")


def emit_on_our_stream(outputs, context, value):
    with context.extra_stream("side"):
        outputs.emit(TorchWork.slow(value), "out")


def emit_on_cupy_stream(outputs, context, value):
    with side_stream("cupy"):
        outputs.emit(CupyWork.slow(value), "out")


def emit_with_stream(outputs, context, value):
    """The stream is named at emit and not current any more."""
    import torch

    side = context.extra_stream("side")
    with torch.cuda.stream(torch.cuda.ExternalStream(int(side))):
        x = TorchWork.slow(value)
    outputs.emit(x, "out", stream=side)


def emit_with_foreign_stream(outputs, context, value):
    import torch

    side = side_stream("torch")
    with torch.cuda.stream(side):
        x = TorchWork.slow(value)
    outputs.emit(x, "out", stream=ps.as_stream(side))


def emit_after_uses(outputs, context, value):
    """uses() says what a library's kernels on another stream write."""
    import torch

    side = context.extra_stream("side")
    x = ps.zeros((work.COUNT,), "int32", device=work.DEVICE)
    ps.uses(x, side, write=True)
    with torch.cuda.stream(torch.cuda.ExternalStream(int(side))):
        work.torch_spin(work.SLOW)
        torch.as_tensor(x, device=work.DEVICE).fill_(value)
    ps.uses(x, side, write=True)
    outputs.emit(x, "out")


EMITS = [
    emit_on_torch_stream,
    emit_on_our_stream,
    pytest.param(emit_on_cupy_stream, marks=pytest.mark.needs("cupy")),
    emit_with_stream,
    emit_with_foreign_stream,
    emit_after_uses,
]


@pytest.mark.parametrize("emit_frame", EMITS)
@pytest.mark.parametrize("mode", ["per_operator", "chain"])
def test_side_streams_in_the_explicit_form(emit_frame, mode, frames):
    check = TorchCheck()
    source = Emitter(emit_frame=emit_frame, count=frames)
    App(source, Checker(check=check)).run(streams=mode)
    settle(check, frames)


@pytest.mark.needs("cupy")
def test_calls_on_a_users_thread_follow_the_current_stream(frames):
    """No graph: operators called one after the other, on a side stream of the user's."""
    check = CupyCheck()

    @ps.operator
    def copied(x):
        return ps.as_tensor(x).copy()

    for number in range(min(frames, 200)):
        with ps.Stream(work.DEVICE):
            x = copied(TorchWork.slow(value_of(number)))
        with ps.Stream(work.DEVICE) as other:
            other.wait(x)
            check.look(x, value_of(number))
    settle(check, min(frames, 200))
