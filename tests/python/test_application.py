"""The explicit form: operators with setup and compute, and applications."""

from __future__ import annotations

import asyncio
import threading

import pytest
from graphs import Gate, Meeting

import penstock as ps


class Source(ps.Operator):
    def setup(self, spec):
        spec.output("out")
        self.number = 0

    def compute(self, inputs, outputs, context):
        outputs.emit(self.number, "out")
        self.number += 1


class Gain(ps.Operator):
    def setup(self, spec):
        spec.input("in")
        spec.output("out")
        spec.param("gain", 2.0)

    def compute(self, inputs, outputs, context):
        outputs.emit(inputs.receive("in") * self.gain, "out")


class Sink(ps.Operator):
    def __init__(self, app, found, **words):
        super().__init__(app, **words)
        self.found = found

    def setup(self, spec):
        spec.input("in")

    def compute(self, inputs, outputs, context):
        self.found.append(inputs.receive("in"))


class App(ps.Application):
    def __init__(self, count=5, **gain):
        self.count = count
        self.gain = gain
        self.found = []

    def compose(self):
        source = Source(self, count=self.count)
        gain = Gain(self, name="gain", **self.gain)
        sink = Sink(self, self.found)
        self.add_flow(source, gain, {("out", "in")})
        self.add_flow(gain, sink)


def test_an_application_runs_and_gives_statistics():
    app = App(gain=3)
    stats = app.run()
    assert app.found == [0, 3, 6, 9, 12]
    assert list(stats.operators) == ["Source", "gain", "Sink"]
    assert stats.operators["gain"].activations == 5
    assert app.stats().operators["gain"].activations == 5


def test_settings_have_defaults_and_unknown_ones_name_the_nearest():
    app = App(count=2)
    app.run()
    assert app.found == [0.0, 2.0]
    with pytest.raises(ps.GraphError, match="gain: no setting 'gian'.*'gain'"):
        App(gian=3).run()


def test_a_required_setting():
    class Needs(ps.Operator):
        def setup(self, spec):
            spec.param("level")

    with pytest.raises(ps.GraphError, match="'level' has no default"):
        Needs()._node()


def test_an_application_runs_again():
    app = App(count=3)
    app.run()
    app.run()
    assert app.found == [0.0, 2.0, 4.0] * 2


def test_two_run_side_by_side():
    meeting = Meeting(2)

    class Meets(App):
        def compose(self):
            super().compose()
            meet = ps.operator(lambda: meeting.meet(), count=1)
            self.add_operator(meet)

    apps = [Meets(count=3), Meets(count=3)]
    futures = [app.run_async() for app in apps]
    for future in futures:
        future.result(20)
    assert all(app.found == [0.0, 2.0, 4.0] for app in apps)


class Waits(ps.Application):
    def __init__(self):
        self.gate = Gate()

    def compose(self):
        outer = self

        class Forever(Source):
            def compute(self, inputs, outputs, context):
                outer.gate.entered.set()
                super().compute(inputs, outputs, context)

        self.add_flow(Forever(self), Gain(self))


def test_run_while_it_runs_raises():
    app = Waits()
    future = app.run_async()
    app.gate.wait_entered()
    with pytest.raises(ps.GraphError, match="runs already"):
        app.run()
    with pytest.raises(ps.GraphError, match="runs already"):
        app.run_async()
    app.stop()
    assert future.result(20).operators["Gain"].activations > 0
    app.stop()


def test_await():
    app = App(count=4)

    async def main():
        stats = await app
        assert stats.operators["gain"].activations == 4
        await app

    asyncio.run(main())
    assert len(app.found) == 8


def test_run_async_gives_the_exception():
    class Bad(Gain):
        def compute(self, inputs, outputs, context):
            raise ValueError("bad")

    class Fails(App):
        def compose(self):
            self.add_flow(Source(self, count=1), Bad(self))

    with pytest.raises(ValueError, match="bad"):
        Fails().run_async().result(20)
    with pytest.raises(ValueError, match="bad"):
        Fails().run()


def test_start_and_stop_are_called_on_the_instances_thread_and_context_is_set():
    log = []

    class Looks(Gain):
        def start(self):
            log.append(("start", threading.get_ident(), self.context.name))

        def compute(self, inputs, outputs, context):
            assert context is self.context
            log.append(("compute", threading.get_ident(), context.instance))
            super().compute(inputs, outputs, context)

        def stop(self):
            log.append(("stop", threading.get_ident(), self.context.name))

    made = []

    class Own(ps.Application):
        def compose(self):
            made.append(Looks(self, name="looks"))
            assert made[-1].context is None
            self.add_flow(Source(self, count=2), made[-1])

    Own().run()
    assert [entry[0] for entry in log] == ["start", "compute", "compute", "stop"]
    assert len({entry[1] for entry in log}) == 1
    assert made[0].context is None


def test_a_context_after_its_run_is_an_error():
    kept = []

    class Keeps(Source):
        def compute(self, inputs, outputs, context):
            kept.append((inputs, outputs, context))
            super().compute(inputs, outputs, context)

    ps.run(Keeps(count=1)())
    with pytest.raises(ps.GraphError, match="over"):
        _ = kept[0][2].name
    with pytest.raises(ps.GraphError, match="over"):
        kept[0][1].emit(1)


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


def test_wrong_flows_are_refused():
    class Wrong(ps.Application):
        def __init__(self, ports):
            self.ports = ports

        def compose(self):
            self.add_flow(Source(self, count=1), Gain(self), self.ports)

    with pytest.raises(ps.GraphError, match="'outt'.*'out'"):
        Wrong({("outt", "in")}).run()
    with pytest.raises(ps.GraphError, match="'inn'.*'in'"):
        Wrong({("out", "inn")}).run()
    with pytest.raises(ps.GraphError, match="for compose"):
        Wrong(None).add_flow(Source(), Gain())

    class Empty(ps.Application):
        def compose(self):
            pass

    with pytest.raises(ps.GraphError, match="no operator"):
        Empty().run()


def test_an_operator_without_flows_is_part_of_it():
    ran = []

    class Alone(ps.Operator):
        def compute(self, inputs, outputs, context):
            ran.append(1)

    class Only(ps.Application):
        def compose(self):
            Alone(self, count=3)

    Only().run()
    assert ran == [1, 1, 1]


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
