"""The explicit form: operators with setup and compute, and applications."""

from __future__ import annotations

import asyncio
import threading

import pytest
from graphs import Gain, Gate, Meeting, Sink, Source

import penstock as ps


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
