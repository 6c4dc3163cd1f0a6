"""Small applications for the tests of penstock.compat.holoscan."""

import threading

import numpy as np

from penstock.compat.holoscan.conditions import CountCondition
from penstock.compat.holoscan.core import Application, IOSpec, Operator


class Tx(Operator):
    """Emits what ``make(number, context, op_output)`` gives, None: nothing."""

    def __init__(self, *args, make=lambda number, context, output: number, **kwargs):
        self.make = make
        self.number = 0
        super().__init__(*args, **kwargs)

    def setup(self, spec):
        spec.output("out")

    def compute(self, op_input, op_output, context):
        value = self.make(self.number, context, op_output)
        self.number += 1
        if value is not None:
            op_output.emit(value, "out")


class Rx(Operator):
    """Calls ``look(op_input, op_output, context)``, and keeps what it gives."""

    def __init__(self, *args, look=lambda i, o, c: i.receive("in"), size=1, ports=("in",), policy=None, **kwargs):
        self.look = look
        self.size = size
        self.ports = ports
        self.policy = policy
        self.seen = []
        super().__init__(*args, **kwargs)

    def setup(self, spec):
        for port in self.ports:
            spec.input(port, size=self.size, policy=self.policy)

    def compute(self, op_input, op_output, context):
        self.seen.append(self.look(op_input, op_output, context))


class Through(Rx):
    """The same with an output."""

    def setup(self, spec):
        super().setup(spec)
        spec.output("out")


class App(Application):
    """Composes with a function."""

    def __init__(self, compose):
        self.with_function = compose
        super().__init__()

    def compose(self):
        self.with_function(self)


def pipe(look, make=None, count=1, rx=(), tx=(), **words):
    """What Rx saw of ``count`` messages of Tx."""
    made = []

    def compose(app):
        given = {} if make is None else {"make": make}
        sender = Tx(app, CountCondition(app, count), *tx, name="tx", **given)
        made.append(Rx(app, *rx, look=look, name="rx", **words))
        app.add_flow(sender, made[-1])

    App(compose).run()
    return made[-1].seen


def received(value):
    """What receive() gives for a value."""
    return pipe(lambda i, o, c: i.receive("in"), lambda number, context, output: value)[0]


class Late:
    """Fills an array on a stream, once it is let go."""

    def __init__(self):
        self.go = threading.Event()

    def fill(self, stream, array, value):
        def task():
            self.go.wait(20)
            array[...] = value

        stream.launch(task)


def on_stream(array):
    """A make for Tx: the array, on its stream."""

    def make(number, context, output):
        stream = context.allocate_cuda_stream("mine")
        output.set_cuda_stream(stream, "out")
        return array

    return make


ones = np.ones((2, 3), np.float32)
ANY_SIZE = IOSpec.ANY_SIZE
