"""``holoscan.operators``."""

from __future__ import annotations

from typing import Any

from ._message import as_tensor
from .core import Operator, OperatorSpec


class ProbeOp(Operator):
    """Prints what each tensor of a message is."""

    count = 1

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("in")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        received = op_input.receive("in")
        for key, value in (received if isinstance(received, dict) else {"": received}).items():
            self.show(key, as_tensor(value))
        self.count += 1

    def show(self, key: str, tensor: Any) -> None:
        about = f"shape={tensor.shape} strides={tensor.strides} dtype={tensor.dtype} device={tensor.device}"
        print(f"{self.name} message {self.count}: '{key}' {about} data={tensor.data:#x}", flush=True)


class PingTensorRxOp(ProbeOp):
    """Prints what stream and which tensors came, once their work is complete."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        received = op_input.receive("in")
        stream = op_input.receive_cuda_stream("in", allocate=False)
        print(f"{self.name} received {'' if stream is None else 'non-'}default CUDA stream from port 'in'", flush=True)
        if stream is not None:
            stream.sync()
        for key, value in (received if isinstance(received, dict) else {"": received}).items():
            self.show(key, as_tensor(value))
            self.count += 1

    def show(self, key: str, tensor: Any) -> None:
        shape = ", ".join(map(str, tensor.shape))
        print(f"{self.name} received message {self.count}: Tensor key: '{key}', shape: ({shape})", flush=True)
