"""Streams in Holoscan's words."""

import threading
import time

import numpy as np
import pytest
from holoscan_app import ANY_SIZE, App, Rx, Through, Tx, on_stream, ones, pipe

import penstock as ps
from penstock.compat.holoscan.conditions import CountCondition, CudaStreamCondition
from penstock.compat.holoscan.core import Operator, as_tensor
from penstock.compat.holoscan.resources import CudaStreamPool


def many(senders, look, make=None, **words):
    """What Rx with an ANY_SIZE input saw of one message of each sender."""
    made = []

    def compose(app):
        made.append(Rx(app, look=look, size=ANY_SIZE, name="rx", **words))
        for number in range(senders):
            tx = Tx(app, CountCondition(app, 1), make=make or on_stream(ones), name=f"tx{number}")
            app.add_flow(tx, made[-1])

    App(compose).run()
    return made[-1].seen


@pytest.mark.parametrize("allocate", [True, False])
@pytest.mark.parametrize("pooled", [True, False])
def test_two_inputs_give_the_operators_one_stream(allocate, pooled):
    seen = []

    def look(i, o, c):
        i.receive("in1"), i.receive("in2")
        s1, s2 = (i.receive_cuda_stream(port, allocate) for port in ("in1", "in2"))
        lists = [i.receive_cuda_streams(port) for port in ("in1", "in2")]
        seen.append((s1, s2, lists, c.device_from_stream(s1)))

    def compose(app):
        pool = [CudaStreamPool(app, -1, max_size=5)] if pooled else []
        rx = Rx(app, *pool, look=look, ports=("in1", "in2"))
        for port in ("in1", "in2"):
            tx = Tx(app, CountCondition(app, 3), *pool, make=on_stream(ones), name=port)
            app.add_flow(tx, rx, {("out", port)})

    App(compose).run()
    assert len(seen) == 3
    for s1, s2, lists, device in seen:
        assert s1 != 0
        assert [len(one) for one in lists] == [1, 1]
        assert pooled or lists[0][0] != lists[1][0]  # a sender that has ended gives its own back to the pool
        assert device == 0
        if allocate:
            assert s1 is s2
            assert s1 not in (lists[0][0], lists[1][0])
        else:
            assert (s1, s2) == (lists[0][0], lists[1][0])


def test_any_number_of_senders_give_as_many_streams():
    def look(i, o, c):
        return len(i.receive("in")), i.receive_cuda_streams("in")

    ((count, streams),) = many(3, look)
    assert count == 3
    assert len(set(streams)) == 3


def test_a_port_with_a_size_gives_a_stream_or_none_for_each_message():
    def make(number, context, output):
        if number % 2 == 0:
            output.set_cuda_stream(context.allocate_cuda_stream("mine"))
        return number

    def look(i, o, c):
        return i.receive("in"), [stream is not None for stream in i.receive_cuda_streams()]

    assert pipe(look, make, count=5, size=5) == [((0, 1, 2, 3, 4), [True, False, True, False, True])]


def test_two_consumers_have_streams_of_their_own():
    streams = []

    def look(i, o, c):
        i.receive("in")
        streams.append((i.receive_cuda_streams()[0], i.receive_cuda_stream()))

    def compose(app):
        tx = Tx(app, CountCondition(app, 1), make=on_stream(ones))
        for name in ("rx1", "rx2"):
            app.add_flow(tx, Rx(app, look=look, name=name))

    App(compose).run()
    (sent1, own1), (sent2, own2) = streams
    assert sent1 == sent2
    assert len({sent1, own1, own2}) == 3


def test_without_a_pool_streams_differ_and_none_is_zero():
    def look(i, o, c):
        i.receive()
        return i.receive_cuda_streams()[0], i.receive_cuda_stream(), c.allocate_cuda_stream("extra")

    (streams,) = pipe(look, on_stream(ones))
    assert len(set(streams)) == 3
    assert 0 not in streams


def test_a_forwarded_message_carries_the_forwarders_stream_also_later():
    own, came = [], []

    def forward(i, o, c):
        message = i.receive()
        if not own:
            own.append(i.receive_cuda_stream())
        o.emit(message, "out")

    def look(i, o, c):
        i.receive()
        came.append((i.receive_cuda_streams(), i.receive_cuda_stream() in own))

    def compose(app):
        tx = Tx(app, CountCondition(app, 2), make=on_stream(ones))
        through = Through(app, look=forward)
        app.add_flow(tx, through)
        app.add_flow(through, Rx(app, look=look, name="rx"))

    App(compose).run()
    assert came == [([own[0]], False)] * 2


class AllocatesInStart(Operator):
    def setup(self, spec):
        spec.output("out")

    def start(self):
        self.stream = self.execution_context.allocate_cuda_stream("early")

    def compute(self, op_input, op_output, context):
        same = context.allocate_cuda_stream("early")
        self.fragment.seen = (same is self.stream or same == self.stream, context.device_from_stream(same))


@pytest.mark.parametrize("how", ["positional", "keyword", "default"])
def test_a_stream_allocated_in_start_is_there_in_compute(how):
    def compose(app):
        pool = CudaStreamPool(app, dev_id=-1, max_size=1)
        given = {"positional": (pool,), "keyword": (), "default": ()}[how]
        named = {"cuda_stream_pool": pool} if how == "keyword" else {}
        app.add_operator(AllocatesInStart(app, CountCondition(app, 1), *given, **named))

    app = App(compose)
    app.run()
    assert app.seen == (True, 0)


def test_an_exhausted_pool_is_an_error():
    def compose(app):
        pool = CudaStreamPool(app, -1, 0, 0, 1, 2)

        def make(number, context, output):
            for name in "abc":
                context.allocate_cuda_stream(name)

        app.add_operator(Tx(app, pool, CountCondition(app, 1), make=make))

    with pytest.raises(ps.StreamError, match="all 2 streams are in use"):
        App(compose).run()


def test_the_operators_own_stream_counts_once_it_is_asked_for():
    def compose(app, ask):
        pool = CudaStreamPool(app, -1, max_size=1)

        def look(i, o, c):
            i.receive()
            c.allocate_cuda_stream("one")
            if ask:
                i.receive_cuda_stream()

        app.add_flow(Tx(app, CountCondition(app, 1)), Rx(app, pool, look=look))

    App(lambda app: compose(app, False)).run()
    with pytest.raises(ps.StreamError, match="in use"):
        App(lambda app: compose(app, True)).run()


def test_a_pools_streams_come_back_when_an_operator_stops_even_with_an_error():
    pools = []

    class Breaks(Tx):
        def stop(self):
            raise ValueError("at the end")

    def compose(app):
        pools.append(CudaStreamPool(app, -1, max_size=1))
        make = lambda number, context, output: context.allocate_cuda_stream("a") and None  # noqa: E731
        app.add_operator(Breaks(app, pools[-1], CountCondition(app, 1), make=make))

    with pytest.raises(ValueError, match="at the end"):
        App(compose).run()
    assert pools[0].pool.acquire() is not None


# What is behind a message is waited for.


def slow(value, kind):
    def make(number, context, output):
        array = np.zeros((2, 3), np.float32)
        stream = context.allocate_cuda_stream("mine")

        def task():
            time.sleep(0.02)
            array[...] = value

        stream.launch(task)
        output.set_cuda_stream(stream, "out")
        return {"array": array, "tensor": as_tensor(array), "dict": {"a": array}, "tensors": {"a": as_tensor(array)}}[
            kind
        ]

    return make


@pytest.mark.parametrize("kind", ["array", "tensor", "dict", "tensors"])
@pytest.mark.parametrize("condition", [True, False])
def test_a_receiver_sees_what_the_senders_stream_wrote(kind, condition):
    given = [CudaStreamCondition(receivers=["in"])] if condition else []
    seen = pipe(lambda i, o, c: float(np.asarray(i.receive().get()).sum()), slow(2, kind), count=5, rx=given)
    assert seen == [12.0] * 5


def test_a_condition_on_any_size_waits_for_all():
    made = many(
        3,
        lambda i, o, c: [float(np.asarray(m).sum()) for m in i.receive("in")],
        make=slow(1, "array"),
    )
    assert made == [[6.0] * 3]


def test_the_operators_stream_runs_after_what_is_on_the_port():
    order = []
    go = threading.Event()

    def make(number, context, output):
        stream = context.allocate_cuda_stream("mine")
        stream.launch(lambda: (go.wait(20), order.append("sender")))
        output.set_cuda_stream(stream)
        return "no array"

    def look(i, o, c):
        i.receive()
        done = i.receive_cuda_stream().launch(lambda: order.append("receiver"))
        early = list(order)
        go.set()
        done.sync()
        return early

    assert pipe(look, make) == [[]]
    assert order == ["sender", "receiver"]


def test_set_cuda_stream_is_for_this_activation_and_the_last_call_wins():
    sent = []

    def both(i, o, c):
        i.receive()
        own, a, b = i.receive_cuda_stream(), c.allocate_cuda_stream("a"), c.allocate_cuda_stream("b")
        if not sent:
            o.set_cuda_stream(a, "x")
            o.set_cuda_stream(b, "x")
        sent.append((own, b))
        o.emit(1, "x")
        o.emit(2, "y")

    class Two(Rx):
        def setup(self, spec):
            super().setup(spec)
            spec.output("x")
            spec.output("y")

    came = {"x": [], "y": []}

    def compose(app):
        two = Two(app, look=both)
        app.add_flow(Tx(app, CountCondition(app, 2)), two)
        for port, list_ in came.items():
            look = lambda i, o, c, list_=list_: list_.append((i.receive(), i.receive_cuda_streams()[0]))  # noqa: E731
            app.add_flow(two, Rx(app, look=look, name=port), {(port, "in")})

    App(compose).run()
    (own, b), _ = sent
    assert came["x"] == [(1, b), (1, own)]
    assert came["y"] == [(2, own), (2, own)]


def test_synchronize_streams_makes_the_target_wait():
    order = []

    def make(number, context, output):
        a, b = context.allocate_cuda_stream("a"), context.allocate_cuda_stream("b")
        go = threading.Event()
        a.launch(lambda: (go.wait(20), order.append("a")))
        context.synchronize_streams([a, None, b], b)
        done = b.launch(lambda: order.append("b"))
        go.set()
        done.sync()

    pipe(lambda i, o, c: None, make)
    assert order == ["a", "b"]


@pytest.mark.parametrize(
    ("look", "error", "said"),
    [
        (lambda i, o, c: i.receive_cuda_stream("in"), ps.StreamError, "comes before its streams"),
        (lambda i, o, c: i.receive_cuda_streams("in"), ps.StreamError, "comes before its streams"),
        (lambda i, o, c: i.receive("inn"), ps.GraphError, "no input port 'inn'; it has in"),
        (lambda i, o, c: (i.receive(), i.receive_cuda_stream("inn")), ps.GraphError, "no input port"),
        (lambda i, o, c: o.set_cuda_stream(c.allocate_cuda_stream(), "o"), ps.GraphError, "no output port 'o'"),
        (lambda i, o, c: o.set_cuda_stream(0, "out"), ps.StreamError, "handle 0"),
        (lambda i, o, c: c.device_from_stream(0), ps.StreamError, "handle 0"),
        (lambda i, o, c: c.synchronize_streams([c.allocate_cuda_stream()], 0), ps.StreamError, "handle 0"),
        (lambda i, o, c: (i.receive(), i.receive_cuda_stream("in", c)), ps.ArgumentTypeError, "allocate is a bool"),
        (lambda i, o, c: o.emit(1, "nowhere"), ps.GraphError, "no output port 'nowhere'"),
    ],
)
def test_what_is_wrong_is_said(look, error, said):
    def compose(app):
        app.add_flow(Tx(app, CountCondition(app, 1)), Through(app, look=look, name="through"))

    with pytest.raises(error, match=said):
        App(compose).run()


def test_nothing_on_the_port_is_none_and_no_stream_goes_on():
    assert pipe(lambda i, o, c: (i.receive(), i.receive_cuda_stream(allocate=False))) == [(0, None)]
    assert pipe(lambda i, o, c: (i.receive(), i.receive_cuda_streams())) == [(0, [None])]
