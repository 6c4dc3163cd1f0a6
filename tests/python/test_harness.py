"""The harness: one operator alone, with staged inputs."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import Gate

import penstock as ps


@ps.operator
def double(x):
    return 2 * x


def test_what_is_sent_goes_in_and_what_is_emitted_comes_back():
    h = ps.Harness(double)
    h.send("x", 1)
    h.send("x", 2)
    out = h.run()
    assert out["out"] == [2, 4]
    assert out.stats.operators["double"].activations == 2


def test_number_time_source_and_metadata():
    seen = []

    @ps.operator
    def look(x):
        m = ps.message()
        seen.append((x, m.origin, m.time, dict(m.metadata)))
        return x

    h = ps.Harness(look)
    h.send("x", "late", number=7, time=0.5, source="cam")
    h.send("x", "early", number=3, time=0.1, source="cam", metadata={"matrix": "bt709"})
    out = h.run()
    assert seen == [
        ("early", ("cam", 3, None), 0.1, {"matrix": "bt709"}),
        ("late", ("cam", 7, None), 0.5, {}),
    ]
    assert [(m.value, m.origin, m.time) for m in out.messages["out"]] == [
        ("early", ("cam", 3, None), 0.1),
        ("late", ("cam", 7, None), 0.5),
    ]


def test_joins_by_number():
    @ps.operator
    def pair(a, b):
        return (a, b)

    h = ps.Harness(pair)
    for number in (0, 1, 3):
        h.send("a", f"a{number}", number=number)
    for number in (1, 2, 3):
        h.send("b", f"b{number}", number=number)
    assert h.run()["out"] == [("a1", "b1"), ("a3", "b3")]


def test_batches():
    @ps.operator(batch=3, max_delay_ms=1000)
    def batched(xs):
        return [len(xs)] * len(xs)

    h = ps.Harness(batched)
    for i in range(4):
        h.send("xs", i)
    assert h.run()["out"] == [3, 3, 3, 1]


def test_optional_inputs_may_stay_silent_and_required_ones_too():
    @ps.operator(optional="b")
    def pair(a, b):
        return (a, b)

    h = ps.Harness(pair)
    h.send("a", 1)
    assert h.run()["out"] == [(1, None)]
    h = ps.Harness(pair)
    h.send("b", 1)
    assert h.run()["out"] == []


def test_each_run_has_an_object_of_its_own_and_uses_up_what_was_sent():
    @ps.operator
    class Counter:
        def __init__(self):
            self.count = 0

        def __call__(self, x):
            self.count += 1
            return self.count

    h = ps.Harness(Counter())
    h.send("x", 1)
    h.send("x", 1)
    assert h.run()["out"] == [1, 2]
    assert h.run()["out"] == []
    h.send("x", 1)
    assert h.run()["out"] == [1]


def test_explicit_operators():
    class Gain(ps.Operator):
        def setup(self, spec):
            spec.input("in")
            spec.output("out")
            spec.param("gain", 2)

        def compute(self, inputs, outputs, context):
            outputs.emit(inputs.receive() * self.gain)

    h = ps.Harness(Gain(gain=5))
    h.send("in", 3)
    assert h.run()["out"] == [15]
    h.send("in", 4)
    assert h.run()["out"] == [20]


def test_sources():
    @ps.operator
    def forever():
        number = 0
        while True:
            yield number
            number += 1

    assert ps.Harness(forever).run(count=3)["out"] == [0, 1, 2]
    with pytest.raises(ps.GraphError, match="source"):
        ps.Harness(forever).send("in", 1)


def test_a_callable():
    h = ps.Harness(lambda x: x + 1)
    h.send("x", 1)
    assert h.run()["out"] == [2]


def test_an_exception_comes_out_as_itself():
    def bad(x):
        raise ValueError("bad")

    h = ps.Harness(bad)
    h.send("x", 1)
    with pytest.raises(ValueError, match="bad"):
        h.run()


def test_a_stream_that_the_work_is_queued_on():
    """The operator does not see the array before what was queued on the stream has been done."""
    stream, blocked = ps.Stream("cpu"), Gate()
    tensor = ps.zeros((4,), "float32", device="cpu")
    stream.launch(blocked)
    stream.launch(lambda t: np.copyto(t.numpy(), 7), tensor, writes=(tensor,))

    @ps.operator(host="x")
    def look(x):
        return float(x.numpy()[0])

    h = ps.Harness(look)
    h.send("x", tensor, stream=stream)
    import threading

    threading.Timer(0.05, blocked.open).start()
    assert h.run()["out"] == [7.0]


def test_wrong_ports_and_values():
    h = ps.Harness(double)
    with pytest.raises(ps.GraphError, match="'y'.*'x'"):
        h.send("y", 1)
    with pytest.raises(ps.GraphError, match="None"):
        h.send("x", None)
    with pytest.raises(ps.GraphError, match="number"):
        h.send("x", 1, number=-1)
