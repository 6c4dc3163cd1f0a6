"""emit(x, stream=s) in the explicit form: what is queued on the stream is waited for, whatever holds the arrays."""

import threading

import numpy as np
import pytest

import penstock as ps

pytestmark = pytest.mark.host


class Source(ps.Operator):
    """Emits what ``hold`` makes of an array that a stream fills later."""

    def __init__(self, *args, hold, gate, **words):
        self.hold = hold
        self.gate = gate
        super().__init__(*args, **words)

    def setup(self, spec):
        spec.output("out")

    def compute(self, inputs, outputs, context):
        array = np.zeros(4)
        stream = context.extra_stream("late")

        def fill():
            self.gate.wait(20)
            array[:] = 1

        stream.launch(fill)
        outputs.emit(self.hold(array), "out", stream=stream)


class Look(ps.Operator):
    def __init__(self, *args, see, **words):
        self.see = see
        super().__init__(*args, **words)

    def setup(self, spec):
        spec.input("in")

    def compute(self, inputs, outputs, context):
        self.see(inputs)


class App(ps.Application):
    def __init__(self, *operators):
        self.operators = operators

    def compose(self):
        for sender, receiver in zip(self.operators, self.operators[1:], strict=False):
            self.add_flow(sender, receiver)


HOLDS = [
    lambda array: array,
    lambda array: ps.as_tensor(array),
    lambda array: {"a": array, "name": "text"},
    lambda array: [1, (array,), None],
    lambda array: {"a": ps.as_tensor(array)},
]


def first_array(value):
    while not hasattr(value, "shape"):
        value = next(one for one in (value.values() if isinstance(value, dict) else value) if not isinstance(one, int))
    return np.asarray(value)


@pytest.mark.parametrize("hold", HOLDS)
def test_a_consumer_sees_what_the_stream_wrote(hold):
    gate = threading.Event()
    seen = []
    source = Source(hold=hold, gate=gate, count=3)
    running = App(source, Look(see=lambda i: seen.append(float(first_array(i.receive()).sum())))).run_async()
    threading.Timer(0.05, gate.set).start()
    running.result(20)
    assert seen == [4.0] * 3


def test_what_a_batch_emits_is_on_the_stream():
    seen = []

    class Numbers(ps.Operator):
        def setup(self, spec):
            spec.output("out")

        def start(self):
            self.number = 0

        def compute(self, inputs, outputs, context):
            outputs.emit(self.number, "out")
            self.number += 1

    class Batch(Look):
        def setup(self, spec):
            spec.input("in")
            spec.output("out")

        def compute(self, inputs, outputs, context):
            items = inputs.receive("in")
            outputs.emit([None, *items[1:]], "out", stream=context.extra_stream("s"))

    see = lambda i: seen.append((i.receive(), i.streams()[0] is not None))  # noqa: E731
    App(Numbers(count=8), Batch(see=None, batch=4, max_delay_ms=10_000), Look(see=see)).run()
    assert seen == [(number, True) for number in (1, 2, 3, 5, 6, 7)]


def test_a_pool_gets_its_streams_back_when_stop_raises():
    pool = ps.StreamPool("cpu", max=2)

    class Breaks(ps.Operator):
        def setup(self, spec):
            spec.output("out")

        def compute(self, inputs, outputs, context):
            assert context.stream != context.extra_stream("a")
            with pytest.raises(ps.StreamError, match="in use"):
                context.extra_stream("b")

        def stop(self):
            raise ValueError("at the end")

    class One(ps.Application):
        def compose(self):
            self.add_operator(Breaks(stream_pool=pool, count=1))

    with pytest.raises(ValueError, match="at the end"):
        One().run()
    assert len({pool.acquire(), pool.acquire()}) == 2


@pytest.mark.parametrize("hold", HOLDS)
def test_sync_context_waits_for_work_on_streams_that_nobody_names(hold):
    gate = threading.Event()
    elsewhere = ps.Stream("cpu")
    seen = []

    @ps.operator(sync="context", count=1)
    def opaque():
        while True:
            array = np.zeros(4)

            def fill(array=array):
                gate.wait(20)
                array[:] = 1

            elsewhere.launch(fill)
            yield hold(array)

    @ps.operator
    def look(value):
        seen.append(first_array(value).tolist())

    with ps.start(look(opaque())) as running:
        assert not gate.wait(0.05)
        assert seen == []
        gate.set()
        running.wait()
    assert seen == [[1.0] * 4]
