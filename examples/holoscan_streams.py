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


def ramp(out):
    """exp of an even ramp from 0 to 10."""
    np.exp(np.linspace(0, 10, out.size, dtype=np.float32).reshape(out.shape), out=out)


def sum_of_products(in1, in2, out):
    np.einsum("yx,yx->y", in1, in2, out=out)


class SourceOp(Operator):
    """Makes an array, on a stream of its own unless it is to use the default one."""

    def __init__(self, fragment, *args, use_default_stream=False, **kwargs):
        self.use_default_stream = use_default_stream
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec):
        spec.output("out")

    def compute(self, op_input, op_output, context):
        array = np.empty((HEIGHT, WIDTH), np.float32)
        if self.use_default_stream:
            ramp(array)
        else:
            stream = context.allocate_cuda_stream("my_stream")
            stream.launch(ramp, array)
            op_output.set_cuda_stream(stream, "out")
        op_output.emit(array, "out")


class ProcessOp(Operator):
    """Multiplies two arrays and sums each row."""

    def __init__(self, fragment, *args, use_default_stream=False, **kwargs):
        self.use_default_stream = use_default_stream
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec):
        spec.input("in1")
        spec.input("in2")
        spec.output("out")

    def compute(self, op_input, op_output, context):
        tensor1 = op_input.receive("in1")
        tensor2 = op_input.receive("in2")
        print(f"{type(tensor1)=}", flush=True)
        in1, in2 = np.asarray(tensor1), np.asarray(tensor2)
        sums = np.empty(HEIGHT, np.float32)
        if self.use_default_stream:
            print("Stream: none", flush=True)
            sum_of_products(in1, in2, sums)
        else:
            stream = op_input.receive_cuda_stream("in1")
            stream2 = op_input.receive_cuda_stream("in2")
            assert stream2 == stream
            print(f"Stream: {stream:#x}", flush=True)
            stream.launch(sum_of_products, as_tensor(in1), as_tensor(in2), sums)
        # The operator's stream goes with it without a word.
        op_output.emit(sums, "out", emitter_name="holoscan::Tensor")


class StreamsApp(Application):
    def __init__(self, *args, count=10, use_default_stream=False, **kwargs):
        self.count = count
        self.use_default_stream = use_default_stream
        super().__init__(*args, **kwargs)

    def compose(self):
        pooled, synced = [], []
        if not self.use_default_stream:
            pooled = [CudaStreamPool(self, CPU, stream_flags=0, stream_priority=0, reserved_size=1, max_size=5)]
            synced = [CudaStreamCondition(self, receiver="in", name="stream_sync")]
        sources = [
            SourceOp(
                self,
                *pooled,
                CountCondition(self, self.count, name=f"{name}_count"),
                use_default_stream=self.use_default_stream,
                name=name,
            )
            for name in ("source1", "source2")
        ]
        combine = ProcessOp(self, *pooled, use_default_stream=self.use_default_stream, name="combine_and_sum")
        rx = PingTensorRxOp(self, *synced, *pooled, name="rx")
        self.add_flow(sources[0], combine, {("out", "in1")})
        self.add_flow(sources[1], combine, {("out", "in2")})
        self.add_flow(combine, rx)


def main():
    parser = ArgumentParser(description="Streams of a pool in an application")
    parser.add_argument("-d", "--default_stream", action="store_true", help="name no streams at all")
    parser.add_argument("-c", "--count", type=int, default=10, help="messages of each source")
    args = parser.parse_args()
    if args.count < 1:
        raise ValueError("count must be a positive integer")
    StreamsApp(count=args.count, use_default_stream=args.default_stream).run(device="cpu")


if __name__ == "__main__":
    main()
