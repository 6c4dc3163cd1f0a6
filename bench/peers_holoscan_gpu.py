"""The parts of peers_holoscan.py that pass frames of PyTorch: what a stage costs, and whether the order holds."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import gpu_graphs as graphs
import numpy as np
import torch
from holoscan import Tensor, tensor
from holoscan.errors import BackpressuredError
from holoscan.time import us
from peers_holoscan import Program, attempt, say

externals: dict[int, Any] = {}


def spec(device: str, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    kind = tensor.MemoryKind.CUDA_DEVICE if device == "cuda" else tensor.MemoryKind.HOST
    bounds = tensor.TensorBounds(max_rank=len(shape), max_shape=list(shape), max_byte_span=size_bytes)
    return {"memory_kind": kind, "dtype": np.dtype(dtype), "rank": len(shape), "bounds": bounds}


def torch_stream(context: Any) -> Any:
    """The operator's stream as one of PyTorch; None on the CPU."""
    handle = context.stream().__cuda_stream__()[1]
    if handle == 0:
        return None
    if handle not in externals:
        externals[handle] = torch.cuda.ExternalStream(handle)
    return externals[handle]


def emit_patiently(port: Any, value: Any) -> None:
    """A full queue is an error here: wait for room by trying again."""
    while True:
        try:
            return port.emit(value)
        except BackpressuredError:
            time.sleep(0)


def entered_each_time(self: Any, context: Any) -> None:
    """As the documentation says it for other libraries: the stream is current while the operator works."""
    with torch.cuda.stream(torch_stream(context)):
        emit_patiently(self.out, torch.from_dlpack(self.inp.receive_data()) + 1)


def entered_once(self: Any, context: Any) -> None:
    """The fastest way that is right while a thread has one partition: the stream stays current."""
    stream = torch_stream(context)
    if stream is not None and getattr(self, "entered", None) is not stream:
        torch.cuda.set_stream(stream)
        self.entered = stream
    emit_patiently(self.out, torch.from_dlpack(self.inp.receive_data()) + 1)


def chain_us(frames: list[Any], device: str, stages: int, compute: Any, **placed: bool) -> float:
    """Microseconds a frame at the sink, in the steady middle of a run."""
    marks = graphs.Marks()
    program = Program(spec(device, tuple(frames[0].shape), "uint8"), **placed)
    total = graphs.WARM + graphs.COUNT + graphs.TAIL
    given = iter(frames * (total // len(frames) + 1))

    def source(self: Any, _: Any) -> None:
        emit_patiently(self.out, next(given))

    last = program.source(lambda: None, total, compute=source)
    for _ in range(stages):
        last = program.stage(last, compute)
    program.sink(last, marks)
    program.run()
    graphs.synchronize(device)
    return marks.each_us()


def frames(device: str) -> None:
    """What each further stage costs over the bare loop, both by turns, as gpu_runtime.py does it for ours."""
    given = graphs.frames(device)
    ways: dict[str, tuple[Callable[..., None], dict[str, bool], int]] = {
        "chain": (entered_each_time, {}, 8),
        "once": (entered_once, {}, 8),
        "own": (entered_each_time, {"split": True}, 3),
    }
    for name, (compute, placed, rounds) in ways.items():

        def measure(name: str = name, compute: Any = compute, placed: Any = placed, rounds: int = rounds) -> float:
            over: dict[int, list[float]] = {stages: [] for stages in graphs.STAGES}
            chain_us(given, device, 1, compute, **placed)
            for _ in range(rounds):
                for stages in graphs.STAGES:
                    bare = graphs.bare_us(given, device, stages)
                    over[stages].append(chain_us(given, device, stages, compute, **placed) - bare)
                gc.collect()
            medians = {stages: statistics.median(values) for stages, values in over.items()}
            for stages, value in medians.items():
                say(**{f"R5-{name}-{stages}": value})
            return graphs.slope(medians)

        attempt(f"R5-{name}", measure)


def order(device: str) -> None:
    """Of a thousand frames, how many the consumer saw with values of another one."""
    for name, own_stream, late_reader in (("own", True, False), ("early", False, True)):
        for split in (False, True):

            def measure(own_stream: bool = own_stream, late_reader: bool = late_reader, split: bool = split) -> float:
                return wrong_frames(device, own_stream, late_reader, split)

            attempt(f"R10-{name}{'-split' if split else ''}", measure)


def wrong_frames(device: str, own_stream: bool, late_reader: bool, split: bool) -> int:
    made = graphs.Maker(device, own_stream, not late_reader)
    seen = graphs.Reader(device, late_reader)

    def produce(self: Any, context: Any) -> None:
        with torch.cuda.stream(made.stream or torch_stream(context)):
            emit_patiently(self.out, made())

    def read(self: Any, context: Any) -> None:
        with torch.cuda.stream(torch_stream(context)):
            seen(torch.from_dlpack(self.inp.receive_data()))

    program = Program(spec(device, (graphs.WORDS,), "int32"), split=split)
    program.sink(program.source(lambda: None, graphs.ORDERED, us(20), compute=produce), None, compute=read)
    program.run()
    return seen.wrong()


def tensors(device: str) -> None:
    """Tensor conversions, microseconds a call."""
    frame = graphs.frames(device)[0]
    host = np.zeros((1080, 1920, 3), np.uint8)
    attempt("T1-torch", lambda: graphs.call_us(lambda: Tensor.as_tensor(frame)))
    attempt("T1-numpy", lambda: graphs.call_us(lambda: Tensor.as_tensor(host)))
    attempt("T2", lambda: graphs.call_us(lambda: torch.from_dlpack(Tensor.as_tensor(frame))))
    if device == "cuda":
        import cupy

        array = cupy.zeros((1080, 1920, 3), cupy.uint8)
        attempt("T1-cupy", lambda: graphs.call_us(lambda: Tensor.as_tensor(array)))
