"""Two sources, an operator that combines them and a receiver, each with a stream of one pool, in Holoscan's words.

What would be kernels on a GPU are tasks queued on host streams here: nobody waits for them but those who use what
they write.
"""

from argparse import ArgumentParser

import numpy as np

from penstock.compat.holoscan.conditions import CountCondition, CudaStreamCondition
from penstock.compat.holoscan.core import Application, Operator, OperatorSpec, as_tensor
from penstock.compat.holoscan.operators import PingTensorRxOp
from penstock.compat.holoscan.resources import CudaStreamPool

HEIGHT, WIDTH = 2160, 3840
CPU = -1  # the pool's device: kernels are NumPy's


def ramp(out, number):
    """``number`` times exp of an even ramp from 0 to 10."""
    np.exp(np.linspace(0, 10, out.size, dtype=np.float32).reshape(out.shape), out=out)
    out *= number


def sum_of_products(in1, in2, out):
    np.einsum("yx,yx->y", in1, in2, out=out)


class StreamsOp(Operator):
    """An operator that may be told to use the default stream alone."""

    def __init__(self, fragment, *args, use_default_stream=False, **kwargs):
        self.use_default_stream = use_default_stream
        super().__init__(fragment, *args, **kwargs)


class SourceOp(StreamsOp):
    """Makes an array, on a stream of its own unless it is to use the default one."""

    number = 0

    def setup(self, spec: OperatorSpec):
        spec.output("out")

    def compute(self, op_input, op_output, context):
        self.number += 1
        stream = None
        if not self.use_default_stream:
            stream = context.allocate_cuda_stream("my_stream")
            op_output.set_cuda_stream(stream, "out")
        op_output.emit(self.make(stream), "out")

    def make(self, stream):
        array = np.empty((HEIGHT, WIDTH), np.float32)
        if stream is None:
            ramp(array, self.number)
        else:
            stream.launch(ramp, array, self.number)
        return array


class ProcessOp(StreamsOp):
    """Multiplies two arrays and sums each row."""

    def setup(self, spec: OperatorSpec):
        spec.input("in1")
        spec.input("in2")
        spec.output("out")

    def compute(self, op_input, op_output, context):
        tensor1 = op_input.receive("in1")
        tensor2 = op_input.receive("in2")
        print(f"{type(tensor1)=}", flush=True)
        stream = None
        if self.use_default_stream:
            print("Stream: none", flush=True)
        else:
            stream = op_input.receive_cuda_stream("in1")
            stream2 = op_input.receive_cuda_stream("in2")
            assert stream2 == stream
            print(f"Stream: {stream:#x}", flush=True)
        # The operator's stream goes with it without a word.
        op_output.emit(self.combine(stream, tensor1, tensor2), "out", emitter_name="holoscan::Tensor")

    def combine(self, stream, tensor1, tensor2):
        in1, in2 = np.asarray(tensor1), np.asarray(tensor2)
        sums = np.empty(HEIGHT, np.float32)
        if stream is None:
            sum_of_products(in1, in2, sums)
        else:
            stream.launch(sum_of_products, as_tensor(in1), as_tensor(in2), sums)
        return sums


class CheckOp(Operator):
    """Compares what came with the sums in closed form: of a geometric series in each row."""

    number = 0

    def setup(self, spec: OperatorSpec):
        spec.input("in")

    def compute(self, op_input, op_output, context):
        self.number += 1
        step = 2 * 10 / (HEIGHT * WIDTH - 1)
        expected = np.exp(np.arange(HEIGHT) * WIDTH * step) * (np.expm1(WIDTH * step) / np.expm1(step))
        sums = as_tensor(op_input.receive("in")).cpu().numpy()
        np.testing.assert_allclose(sums, expected * self.number**2, rtol=1e-3)


class StreamsApp(Application):
    """Which operators it is made of can be said: holoscan_cupy.py does."""

    def __init__(
        self,
        *args,
        count=10,
        use_default_stream=False,
        sources=(SourceOp, SourceOp),
        process=ProcessOp,
        pool_device=CPU,
        **kwargs,
    ):
        self.count = count
        self.use_default_stream = use_default_stream
        self.sources = sources
        self.process = process
        self.pool_device = pool_device
        super().__init__(*args, **kwargs)

    def compose(self):
        pooled, synced = [], []
        if not self.use_default_stream:
            pooled = [
                CudaStreamPool(self, self.pool_device, stream_flags=0, stream_priority=0, reserved_size=1, max_size=5)
            ]
            synced = [CudaStreamCondition(self, receiver="in", name="stream_sync")]
        sources = [
            source(
                self,
                *pooled,
                CountCondition(self, self.count, name=f"source{number}_count"),
                use_default_stream=self.use_default_stream,
                name=f"source{number}",
            )
            for number, source in enumerate(self.sources, 1)
        ]
        combine = self.process(self, *pooled, use_default_stream=self.use_default_stream, name="combine_and_sum")
        rx = PingTensorRxOp(self, *synced, *pooled, name="rx")
        self.add_flow(sources[0], combine, {("out", "in1")})
        self.add_flow(sources[1], combine, {("out", "in2")})
        self.add_flow(combine, rx)
        self.check = CheckOp(self, name="check")
        self.add_flow(combine, self.check)

    def run(self, **options):
        stats = super().run(**options)
        print(f"the sums of {self.check.number} messages are right")
        return stats


def parse(parser):
    parser.add_argument("-d", "--default_stream", action="store_true", help="name no streams at all")
    parser.add_argument("-c", "--count", type=int, default=10, help="messages of each source")
    args = parser.parse_args()
    if args.count < 1:
        raise ValueError("count must be a positive integer")
    return args


def main():
    args = parse(ArgumentParser(description="Streams of a pool in an application"))
    StreamsApp(count=args.count, use_default_stream=args.default_stream).run(device="cpu")


if __name__ == "__main__":
    main()
