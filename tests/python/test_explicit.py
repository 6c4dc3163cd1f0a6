"""The explicit form of operators: ports, emits, sizes, settings, pools."""

from __future__ import annotations

import time

import pytest
from graphs import Gain, Gate, Meeting, Sink, Source, eventually

import penstock as ps


def test_several_ports_and_several_emits():
    class Split(ps.Operator):
        def setup(self, spec):
            spec.input("in")
            spec.output("small")
            spec.output("large")

        def compute(self, inputs, outputs, context):
            x = inputs.receive("in")
            for i in range(3):
                outputs.emit((x, i), "small")
            outputs.emit(x * 100, "large")

    out = ps.Harness(Split())
    out.send("in", 1)
    out.send("in", 2)
    found = out.run()
    assert found["small"] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert found["large"] == [100, 200]
    assert [m.origin.sub for m in found.messages["small"]] == [0, 1, 2, 0, 1, 2]
    assert [m.origin.sub for m in found.messages["large"]] == [None, None]


def test_what_several_emits_have_no_room_for_waits():
    ran, gate = [], Gate()

    class Many(ps.Operator):
        def setup(self, spec):
            spec.output("out")

        def compute(self, inputs, outputs, context):
            ran.append(1)
            for i in range(10):
                outputs.emit(i)

    found = []

    @ps.operator(capacity=2)
    def sink(x):
        if not found:
            gate.wait()
        found.append(x)

    run = ps.start(Many(count=2) >> sink)
    gate.wait_entered()
    assert len(ran) == 1
    gate.open()
    run.wait(20)
    assert found == [*range(10)] * 2


def test_emit_none_and_unknown_ports_are_errors():
    class Nothing(Gain):
        def compute(self, inputs, outputs, context):
            outputs.emit(None, "out")

    class Wrong(Gain):
        def compute(self, inputs, outputs, context):
            outputs.emit(1, "outt")

    class Unknown(Gain):
        def compute(self, inputs, outputs, context):
            inputs.receive("inn")

    for kind, text in ((Nothing, "emit.None."), (Wrong, '"outt".*"out"'), (Unknown, '"inn".*"in"')):
        h = ps.Harness(kind())
        h.send("in", 1)
        with pytest.raises(ps.GraphError, match=text):
            h.run()


def test_receive_gives_none_when_there_is_none():
    seen = []

    class Twice(ps.Operator):
        def setup(self, spec):
            spec.input("in")
            spec.input("maybe", optional=True)

        def compute(self, inputs, outputs, context):
            seen.append((inputs.receive("in"), inputs.receive("in"), inputs.receive("maybe")))

    h = ps.Harness(Twice())
    h.send("in", 1)
    h.run()
    assert seen == [(1, None, None)]


def test_size_takes_several_for_each_activation():
    seen = []

    class Three(ps.Operator):
        def setup(self, spec):
            spec.input("in", size=3)

        def compute(self, inputs, outputs, context):
            seen.append([inputs.receive("in") for _ in range(4)])

    h = ps.Harness(Three())
    for i in range(7):
        h.send("in", i)
    h.run()
    assert seen == [[0, 1, 2, None], [3, 4, 5, None]]


def test_any_size_takes_one_from_each_sender_in_the_order_of_connection():
    seen = []

    class All(ps.Operator):
        def setup(self, spec):
            spec.input("in", size=ps.ANY_SIZE)

        def compute(self, inputs, outputs, context):
            seen.append(inputs.receive("in"))

    class Three(ps.Application):
        def compose(self):
            everything = All(self)
            for number, count in enumerate((1, 3, 2)):
                source = Source(self, name=f"s{number}", count=count)
                self.add_flow(source, everything)

    Three().run()
    assert seen == [(0, 0, 0), (1, 1), (2,)]


def test_with_instances_the_constructor_is_called_so_often_with_the_same_arguments():
    made = []
    meeting = Meeting(3)

    class Worker(ps.Operator):
        def __init__(self, app, word, **words):
            super().__init__(app, **words)
            made.append((self, word))

        def setup(self, spec):
            spec.input("in")
            spec.output("out")
            spec.param("factor", 1)

        def compute(self, inputs, outputs, context):
            meeting.meet()
            outputs.emit(inputs.receive("in") * self.factor)

    found = []

    class Many(ps.Application):
        def compose(self):
            worker = Worker(self, "word", instances=3, factor=10)
            self.add_flow(Source(self, count=6), worker)
            self.add_flow(worker, Sink(self, found))

    Many().run()
    assert found == [0, 10, 20, 30, 40, 50]
    assert len({id(worker) for worker, _ in made}) == 3
    assert {word for _, word in made} == {"word"}


def test_ready_of_the_explicit_form():
    class Shy(Source):
        asked = 0

        def ready(self):
            type(self).asked += 1
            return type(self).asked > 3

    assert list(ps.iterate(Shy(count=2))) == [0, 1]
    assert Shy.asked > 3


def test_types_that_do_not_fit_are_refused():
    class Numbers(Source):
        def setup(self, spec):
            super().setup(spec)
            spec._outputs.clear()
            spec.output("out", type=int)

    class Tensors(ps.Operator):
        def setup(self, spec):
            spec.input("in", type=ps.Tensor)

    with pytest.raises(ps.GraphError, match=r"Numbers\.out gives int, Tensors\.in takes Tensor"):
        ps.run(Numbers(count=1) >> Tensors())

    class Objects(ps.Operator):
        def setup(self, spec):
            spec.input("in", type=object)

        def compute(self, inputs, outputs, context):
            pass

    ps.run(Numbers(count=1) >> Objects())


def test_wrong_setups_are_refused():
    def operator_with(setup):
        return type("Wrong", (ps.Operator,), {"setup": lambda self, spec: setup(spec)})()

    def two(spec):
        spec.input("in")
        spec.input("in")

    for setup, text in (
        (two, "two inputs are called 'in'"),
        (lambda spec: spec.input("in", hots=True), "unknown keyword 'hots'.*'host'"),
        (lambda spec: spec.input(""), "name of an input"),
    ):
        with pytest.raises(ps.GraphError, match=text):
            operator_with(setup)._node()


def test_a_stream_pool_limits_the_streams_that_are_asked_for():
    pool = ps.StreamPool("cpu", reserved=0, max=2)
    streams = []

    class Asks(Gain):
        def compute(self, inputs, outputs, context):
            streams.append((context.stream, context.extra_stream("a"), context.extra_stream("a")))
            if inputs.receive("in"):
                context.extra_stream("b")

    h = ps.Harness(Asks(stream_pool=pool))
    h.send("in", 0)
    h.send("in", 1)
    with pytest.raises(ps.StreamError, match="all 2 streams are in use"):
        h.run()
    assert len({s.id for entry in streams for s in entry}) == 2
    assert pool.acquire() is not None
    assert pool.acquire() is not None


def test_an_input_may_have_an_age_and_a_capacity_of_its_own():
    gate, seen = Gate(), []

    class Ages(ps.Operator):
        def setup(self, spec):
            spec.input("in", max_age_ms=50, capacity=8)

        def compute(self, inputs, outputs, context):
            seen.append(inputs.receive())
            gate.wait()

    run = ps.start(Source(count=5) >> Ages())
    gate.wait_entered()
    assert eventually(lambda: run.stats().edges[("Source", "out", "Ages", "in")].passed == 5)
    time.sleep(0.06)
    gate.open()
    edge = run.wait(20).edges[("Source", "out", "Ages", "in")]
    assert seen == [0]
    assert (edge.dropped, edge.capacity) == (4, 8)
