"""Conditions, queues, errors and runs in Holoscan's words; and that the core does without."""

import datetime
import threading
import time
from pathlib import Path

import pytest
from helpers import check_python
from holoscan_app import App, Rx, Through, Tx, ones, pipe

import penstock as ps
from penstock.compat.holoscan import conditions as when
from penstock.compat.holoscan.core import (
    Application,
    Condition,
    ConditionType,
    IOSpec,
    Operator,
    SchedulingStatusType,
    as_tensor,
)
from penstock.compat.holoscan.operators import PingTensorRxOp, ProbeOp
from penstock.compat.holoscan.resources import CudaStreamPool


def run_source(*conditions, make=None, **options):
    """The number of activations of a source with these conditions."""
    made = []

    def compose(app):
        given = {} if make is None else {"make": make}
        made.append(Tx(app, *conditions, name="tx", **given))
        app.add_flow(made[-1], Rx(app, name="rx"))

    app = App(compose)
    app.run(**options)
    return made[-1].number


def test_count():
    assert run_source(when.CountCondition(count=7)) == 7
    assert run_source(when.CountCondition(3)) == 3


@pytest.mark.parametrize("period", [5_000_000, datetime.timedelta(milliseconds=5)])
def test_periodic(period):
    begun = time.monotonic()
    assert run_source(when.CountCondition(5), when.PeriodicCondition(recess_period=period)) == 5
    assert time.monotonic() - begun >= 0.018


def test_boolean_ends_the_operator_that_disables_it():
    condition = when.BooleanCondition(enable_tick=True, name="on")

    def make(number, context, output):
        if number == 4:
            condition.disable_tick()
        return number

    assert run_source(condition, make=make) == 5
    assert not condition.check_tick_enabled()


def test_boolean_is_disabled_by_another_operator():
    condition = when.BooleanCondition()

    def compose(app):
        def look(i, o, c):
            if i.receive() == 3:
                condition.disable_tick()

        app.add_flow(Tx(app, condition), Rx(app, look=look))

    App(compose).run()


def test_boolean_disabled_from_the_start_never_runs():
    assert run_source(when.BooleanCondition(False)) == 0


def test_asynchronous_waits_for_another_thread():
    states = when.AsynchronousEventState
    condition = when.AsynchronousCondition(name="async")
    done = []

    def make(number, context, output):
        if number == 2:
            condition.event_state = states.EVENT_NEVER
            return number
        condition.event_state = states.EVENT_WAITING

        def finish():
            done.append(number)
            condition.event_state = states.EVENT_DONE

        threading.Timer(0.02, finish).start()
        return number

    assert run_source(condition, make=make) == 3
    assert done == [0, 1]


def test_a_condition_of_ones_own():
    class EveryThird(Condition):
        asked = 0

        def check(self, timestamp):
            self.asked += 1
            if self.asked > 12:
                return SchedulingStatusType.NEVER, None
            return (SchedulingStatusType.READY if self.asked % 3 == 0 else SchedulingStatusType.WAIT), None

    assert 0 < run_source(EveryThird(name="third")) < 6


def test_message_available_takes_so_many():
    def look(i, o, c):
        return i.receive(), i.receive(), i.receive()

    conditions = [when.MessageAvailableCondition(min_size=2, receiver="in")]
    assert pipe(look, count=6, rx=conditions) == [(0, 1, None), (2, 3, None), (4, 5, None)]


def test_expiring_gives_up_to_a_batch_and_one_result():
    came, results = [], []

    def look(i, o, c):
        batch = []
        while (message := i.receive()) is not None:
            batch.append(message)
        came.append(batch)
        o.set_cuda_stream(c.allocate_cuda_stream("mine"))
        o.emit(sum(batch), "out")

    def compose(app):
        through = Through(app, when.ExpiringMessageAvailableCondition(4, 10_000_000_000), look=look, name="through")
        app.add_flow(Tx(app, when.CountCondition(app, 10)), through)
        rx = Rx(
            app, look=lambda i, o, c: results.append((i.receive(), *i.receive_cuda_streams(), ps.message())), name="rx"
        )
        app.add_flow(through, rx)

    App(compose).run()
    assert came == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [(value, about.origin.number) for value, _, about in results] == [(6, 3), (22, 7), (17, 9)]
    assert all(stream is not None for _, stream, _ in results)


def test_expiring_does_not_wait_longer():
    gate = threading.Event()

    def make(number, context, output):
        if number:
            gate.wait(20)
        return number

    def look(i, o, c):
        first = i.receive()
        gate.set()
        return first

    assert pipe(look, make, count=2, rx=[when.ExpiringMessageAvailableCondition(2, 20_000_000)]) == [0, 1]


def test_a_condition_names_its_port():
    with pytest.raises(ps.GraphError, match="no input"):
        pipe(lambda i, o, c: None, rx=[when.CudaStreamCondition(receiver="nowhere")])
    with pytest.raises(ps.GraphError, match="not both"):
        pipe(lambda i, o, c: None, rx=[when.CudaStreamCondition(receiver="in", receivers=["in"])])
    with pytest.raises(TypeError, match="it takes count"):
        when.CountCondition(1, 2)


def test_an_input_without_a_condition_may_have_nothing():
    class Both(Operator):
        def setup(self, spec):
            spec.input("a")
            spec.input("b").condition(ConditionType.NONE)

        def compute(self, op_input, op_output, context):
            seen.append((op_input.receive("a"), op_input.receive("b")))

    seen = []

    def compose(app):
        both = Both(app)
        app.add_flow(Tx(app, when.CountCondition(3), name="a"), both, {("out", "a")})
        app.add_flow(Tx(app, when.CountCondition(3), make=lambda n, c, o: None, name="b"), both, {("out", "b")})

    App(compose).run()
    assert seen == [(0, None), (1, None), (2, None)]


def test_inputs_are_paired_in_the_order_of_their_messages():
    seen = []

    def compose(app):
        rx = Rx(app, ports=("a", "b"), look=lambda i, o, c: seen.append((i.receive("a"), i.receive("b"))))
        odd = Tx(app, when.CountCondition(6), make=lambda n, c, o: n if n % 2 else None, name="odd")
        app.add_flow(odd, rx, {("out", "a")})
        app.add_flow(Tx(app, when.CountCondition(3), name="all"), rx, {("out", "b")})

    App(compose).run()
    assert seen == [(1, 0), (3, 1), (5, 2)]


@pytest.mark.parametrize(("policy", "kept"), [("POP", 999), ("REJECT", 0)])
def test_queue_policies(policy, kept):
    def make(number, context, output):
        for value in range(1000):
            output.emit(value, "out")

    seen = pipe(lambda i, o, c: i.receive(), make, policy=IOSpec.QueuePolicy[policy])
    assert kept in seen
    assert len(seen) < 1000
    assert seen == sorted(seen)
    assert (999 - kept) not in seen


def test_fault_waits_and_loses_nothing():
    assert pipe(lambda i, o, c: i.receive(), count=50, policy=IOSpec.QueuePolicy.FAULT) == list(range(50))


def test_several_consumers_get_each_message():
    made = []

    def compose(app):
        tx = Tx(app, when.CountCondition(4))
        made.extend(Rx(app, name=f"rx{number}") for number in range(3))
        for rx in made:
            app.add_flow(tx, rx)

    App(compose).run()
    assert [rx.seen for rx in made] == [[0, 1, 2, 3]] * 3


@pytest.mark.parametrize("where", ["start", "compute", "stop", "initialize"])
def test_an_exception_comes_out_of_run(where):
    class Breaks(Tx):
        pass

    def fails(self, *args):
        raise KeyError(f"in {where}")

    setattr(Breaks, where, fails)
    with pytest.raises(KeyError, match=f"in {where}"):
        App(lambda app: app.add_flow(Breaks(app, when.CountCondition(1)), Rx(app))).run()


def test_an_application_runs_again_and_in_the_background():
    made = []

    def compose(app):
        made.append(Rx(app))
        app.add_flow(Tx(app, when.CountCondition(app, 2)), made[-1])

    app = App(compose)
    app.run()
    app.run()
    app.run_async().result(20)
    assert [rx.seen for rx in made] == [[0, 1]] * 3


def test_parameters():
    class Scale(Operator):
        def setup(self, spec):
            spec.output("out")
            spec.param("factor", 2)
            spec.param("offset", default_value=1)
            spec.param("needed")

        def compute(self, op_input, op_output, context):
            seen.append((self.factor, self.offset, self.needed, self.name))

    seen = []
    App(lambda app: app.add_operator(Scale(app, when.CountCondition(1), factor=5, needed="x", name="s"))).run()
    assert seen == [(5, 1, "x", "s")]
    with pytest.raises(ps.GraphError, match="'needed' has no default"):
        Scale()
    with pytest.raises(ps.GraphError, match="unknown parameters \\['fctor'\\]"):
        Scale(fctor=1, needed=2)
    with pytest.raises(ps.ArgumentTypeError, match="no condition"):
        Scale(3, needed=2)


@pytest.mark.parametrize("is_given", [True, False])
def test_the_fragment_may_be_left_out(is_given):
    def compose(app):
        first = [app] if is_given else []
        pool = CudaStreamPool(*first, -1, 0, 0, 1, 5)
        assert pool.max_size == 5
        tx = Tx(*first, when.CountCondition(*first, 2), pool, name="tx")
        assert tx.fragment is (app if is_given else None)
        assert tx.resources == {"CudaStreamPool": pool}
        app.add_flow(tx, Rx(*first))

    App(compose).run()


def test_ping_tensor_rx_and_probe_print(capfd):
    def compose(app):
        def make(number, context, output):
            output.set_cuda_stream(context.allocate_cuda_stream("s"))
            return {"a": ones, "b": as_tensor(ones)}

        tx = Tx(app, when.CountCondition(1), make=make)
        app.add_flow(tx, PingTensorRxOp(app, name="rx"))
        app.add_flow(tx, ProbeOp(app, name="probe"))

    App(compose).run()
    out = capfd.readouterr().out
    assert "rx received non-default CUDA stream from port 'in'" in out
    assert "rx received message 2: Tensor key: 'b', shape: (2, 3)" in out
    assert "probe message 1: 'a' shape=(2, 3) strides=(12, 4) dtype=float32 device=cpu data=0x" in out


# The core alone.


def test_the_core_does_not_import_compat():
    code = """
        import sys, penstock
        assert not any(name.startswith("penstock.compat") for name in sys.modules)
        assert not hasattr(penstock, "compat")
        for word in ("CudaStreamPool", "CountCondition", "OperatorSpec", "IOSpec", "Fragment"):
            assert not hasattr(penstock, word), word
    """
    check_python(code)
    package = Path(ps.__file__).parent
    for file in package.rglob("*.py"):
        if "compat" not in file.relative_to(package).parts:
            assert "compat" not in file.read_text().replace("compatible", "").replace("incompat", ""), file


def test_the_words_are_less_than_400_lines():
    folder = Path(ps.__file__).parent / "compat" / "holoscan"
    lines = [line for file in folder.glob("*.py") for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) < 400


def test_an_application_is_one_of_penstock():
    assert issubclass(Application, ps.Application)
