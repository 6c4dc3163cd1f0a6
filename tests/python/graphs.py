"""What tests of graphs share: sources and sinks in both forms, and gates inside of operators."""

from __future__ import annotations

import threading
import time

import penstock as ps

PATIENCE_S = 20.0


def numbers(count, **words):
    """A source of 0, 1, … count - 1."""

    @ps.operator(**words)
    def numbers():
        yield from range(count)

    return numbers()


def listed(values, name="listed", **words):
    """A source of these values."""

    @ps.operator(name=name, **words)
    def listed():
        yield from values

    return listed()


def collect(flow, **options):
    """Runs the flow and gives all its messages in the order in which they came."""
    found = []

    @ps.operator
    def collected(x):
        found.append(x)

    ps.run(flow >> collected, **options)
    return found


def collect_with_stats(flow, **options):
    found = []

    @ps.operator
    def collected(x):
        found.append(x)

    stats = ps.run(flow >> collected, **options)
    return found, stats


class Gate:
    """An operator waits at it until the test opens it; ``entered`` says that one does."""

    def __init__(self):
        self.entered = threading.Event()
        self.opened = threading.Event()

    def wait(self):
        self.entered.set()
        assert self.opened.wait(PATIENCE_S), "the test never opened the gate"

    def open(self):
        self.opened.set()

    def wait_entered(self):
        assert self.entered.wait(PATIENCE_S), "nobody came to the gate"


class Meeting:
    """Threads that have to be inside at the same time: each waits until so many are."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count)

    def meet(self):
        self.barrier.wait(PATIENCE_S)


def eventually(condition, seconds=PATIENCE_S):
    """True as soon as the condition is; for what other threads do, never for order."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


class Source(ps.Operator):
    """Emits 0, 1, … in the explicit form."""

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
    """Appends what comes to ``found``."""

    def __init__(self, app, found, **words):
        super().__init__(app, **words)
        self.found = found

    def setup(self, spec):
        spec.input("in")

    def compute(self, inputs, outputs, context):
        self.found.append(inputs.receive("in"))
