"""The streams of operators: their own, current in every library, restored after a call; pools; the explicit form."""

import threading

import pytest

import penstock as ps

from . import work
from .current import current, torch_current
from .flows import App, Emitter
from .work import TorchWork

pytestmark = pytest.mark.needs("torch")
needs_cupy = pytest.mark.needs("cupy")


@needs_cupy
@pytest.mark.parametrize("mode", ["per_operator", "chain", "single"])
def test_an_operator_sees_its_own_stream(mode):
    seen = {}

    @ps.operator
    def source():
        for _ in range(20):
            seen.setdefault("source", set()).add((int(ps.current_stream("cuda")), *current()))
            yield TorchWork.slow(1, 0)

    @ps.operator
    def middle(x):
        seen.setdefault("middle", set()).add((int(ps.current_stream("cuda")), *current()))
        return x + 1

    @ps.operator
    def sink(x):
        seen.setdefault("sink", set()).add((int(ps.current_stream("cuda")), *current()))

    ps.run(source() >> middle >> sink, streams=mode)
    for handles in seen.values():
        assert len(handles) == 1, "one stream for its life"
        assert len(set(*handles)) == 1, "the same for all libraries"
    streams = {next(iter(handles))[0] for handles in seen.values()}
    assert len(streams) == (3 if mode == "per_operator" else 1)
    assert current() == (1, 1)


@needs_cupy
def test_instances_have_streams_of_their_own():
    seen, meeting = set(), threading.Barrier(4)

    @ps.operator
    def source():
        for _ in range(200):
            yield TorchWork.slow(1, 0)

    @ps.operator(instances=4)
    class Work:
        def __init__(self):
            self.first = None

        def __call__(self, x):
            if self.first is None:
                self.first = current()
                meeting.wait(30)
            assert current() == self.first
            seen.add(self.first)
            work.torch_spin(work.SLOW)
            return x

    ps.run(source() >> Work(), streams="per_operator")
    assert len(seen) == 4
    assert all(torch == cupy for torch, cupy in seen)


@needs_cupy
def test_a_direct_call_restores_the_users_streams():
    import cupy
    import torch

    inside = []

    @ps.operator
    def called(x):
        inside.append(current())
        with torch.cuda.stream(torch.cuda.Stream()):
            pass
        cupy.cuda.Stream(non_blocking=True).use()  # left behind by a careless operator
        if len(inside) == 3:
            raise ZeroDivisionError
        return x + 1

    x = TorchWork.slow(1, 0)
    torch_side, cupy_side = torch.cuda.Stream(), cupy.cuda.Stream(non_blocking=True)
    with torch.cuda.stream(torch_side), cupy_side:
        called(x)
        assert current() == (torch_side.cuda_stream, cupy_side.ptr)
        with ps.Stream("cuda") as s:
            called(x)
            assert current() == (s, s)
            with pytest.raises(ZeroDivisionError):
                called(x)
            assert current() == (s, s)
        assert current() == (torch_side.cuda_stream, cupy_side.ptr)
    assert inside[1] == inside[2] == (s, s)


class Looks(ps.Operator):
    def __init__(self, *arguments, see, **words):
        self.see = see
        super().__init__(*arguments, **words)

    def setup(self, spec):
        spec.input("in")

    def compute(self, inputs, outputs, context):
        self.see(inputs, context)


def test_streams_in_the_explicit_form():
    own, extra, seen = set(), set(), []

    def emit_frame(outputs, context, value):
        own.add(context.stream)
        extra.add(context.extra_stream("side"))
        assert context.extra_stream("side").id == context.extra_stream("side").id
        assert context.extra_stream("other") != context.extra_stream("side")
        assert torch_current() == context.stream
        stream = {0: None, 1: context.extra_stream("side"), 2: context.stream}[value % 3]
        if stream is None:
            outputs.emit(TorchWork.slow(value), "out")
        else:
            with stream:
                x = TorchWork.slow(value)
            outputs.emit(x, "out", stream=stream)

    def see(inputs, context):
        streams = inputs.streams("in")
        assert len(streams) == 1
        seen.append(streams[0])
        assert inputs.receive("in") is not None

    App(Emitter(emit_frame=emit_frame, count=30), Looks(see=see)).run(streams="per_operator")
    assert len(own) == len(extra) == 1
    assert own != extra
    assert {int(s) for s in seen[0::3]} == {int(s) for s in extra}  # values begin with 1
    assert {int(s) for s in seen[1::3]} == {int(s) for s in own}


def test_pools():
    pool = ps.StreamPool("cuda", reserved=2, max=3)
    streams = [pool.acquire() for _ in range(3)]
    assert len({int(s) for s in streams}) == 3
    assert all(s.device == "cuda:0" for s in streams)
    with pytest.raises(ps.StreamError, match="3"):
        pool.acquire()
    pool.release(streams[0])
    with pool.stream() as s:
        assert s.id == streams[0].id


def test_an_operators_streams_come_from_its_pool():
    pool = ps.StreamPool("cuda", reserved=1, max=2)
    failed = []

    def emit_frame(outputs, context, value):
        assert context.stream != context.extra_stream("side")
        with pytest.raises(ps.StreamError):
            context.extra_stream("one too many")
        failed.append(value)
        outputs.emit(TorchWork.slow(value, 0), "out")

    source = Emitter(emit_frame=emit_frame, count=3, stream_pool=pool)
    App(source, Looks(see=lambda inputs, context: inputs.receive("in"))).run()
    assert failed == [1, 2, 3]
    assert len({int(pool.acquire()), int(pool.acquire())}) == 2
