"""Graphs that several GPU tests run: a source of slow frames, and a sink that checks each one."""

from __future__ import annotations

import penstock as ps


def value_of(number):
    """What frame ``number`` is filled with."""
    return number + 1


def slow_source(work, frames, **words):
    """Frames whose content comes late, made by one of the classes of work.py."""

    @ps.operator(**words)
    def slow_source():
        for number in range(frames):
            yield work.slow(value_of(number))

    return slow_source()


def check_sink(check, expected=value_of, **words):
    """Checks each frame, with no host wait."""

    @ps.operator(**words)
    def check_sink(x):
        check.look(x, expected(ps.message().origin.number))

    return check_sink


def added(difference):
    """What a frame is expected to be after operators that add so much."""
    return lambda number: value_of(number) + difference


def dropped(stats):
    return sum(edge.dropped for edge in stats.edges.values())


class App(ps.Application):
    """Operators in the explicit form, one after the other."""

    def __init__(self, *operators):
        self.operators = operators

    def compose(self):
        for sender, receiver in zip(self.operators, self.operators[1:], strict=False):
            self.add_flow(sender, receiver)


class Emitter(ps.Operator):
    """An explicit source: ``emit_frame(outputs, context, value)`` makes a frame and emits it."""

    def __init__(self, *arguments, emit_frame, **words):
        self.emit_frame = emit_frame
        self.number = 0
        super().__init__(*arguments, **words)

    def setup(self, spec):
        spec.output("out")

    def compute(self, inputs, outputs, context):
        self.emit_frame(outputs, context, value_of(self.number))
        self.number += 1


class Checker(ps.Operator):
    """An explicit sink."""

    def __init__(self, *arguments, check, **words):
        self.check = check
        self.number = 0
        super().__init__(*arguments, **words)

    def setup(self, spec):
        spec.input("in")

    def compute(self, inputs, outputs, context):
        self.check.look(inputs.receive("in"), value_of(self.number))
        self.number += 1
