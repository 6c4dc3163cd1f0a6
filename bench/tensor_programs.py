"""For bench/gpu_tensor.py: the same small programs on streams, with Penstock and with CV-CUDA."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch

import penstock as ps

STEP_BYTES = 32 << 20
CARVED = (96 << 10,)
CARVED_COUNT = 200

now_ns = time.perf_counter_ns


@cache
def cycles_per_ms() -> float:
    """Of PyTorch's sleeping kernel."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda._sleep(1_000_000)
    begin.record()
    torch.cuda._sleep(50_000_000)
    end.record()
    end.synchronize()
    return 50_000_000 / begin.elapsed_time(end)


def spin(ms: float) -> None:
    """A kernel that takes so long, on PyTorch's current stream."""
    torch.cuda._sleep(int(cycles_per_ms() * ms))


def busy(stream: ps.Stream, ms: float) -> None:
    """Makes the stream busy for so long."""
    if stream.device == "cpu":
        stream.launch(time.sleep, ms / 1e3)
        return
    with torch.cuda.stream(torch.cuda.ExternalStream(int(stream))):
        spin(ms)


def carve_us(make: Callable[[], Any]) -> float:
    """The median microseconds of allocations that are all kept."""
    kept, times = [], []
    for _ in range(CARVED_COUNT):
        begun = now_ns()
        made = make()
        times.append(now_ns() - begun)
        kept.append(made)
    return sorted(times)[CARVED_COUNT // 2] / 1e3


class Ours:
    def __init__(self, device: str, shape: tuple[int, ...]) -> None:
        self.device = device
        self.shape = shape
        self.stream, self.second, self.other = (ps.Stream(device) for _ in range(3))
        self.source, self.target = self.empty(), self.empty()
        self.step_bytes = STEP_BYTES if device != "cpu" else 1 << 16
        if device != "cpu":
            cycles_per_ms()

    def empty(self) -> Any:
        return ps.empty(self.shape, "uint8", "HWC", self.device)

    def sync(self) -> None:
        for stream in (self.stream, self.second, self.other):
            stream.sync()

    def carve(self) -> float:
        ps.memory.clear(self.device)
        with self.stream:
            return carve_us(lambda: ps.empty(CARVED, "uint8", None, self.device))

    def beside_busy_us(self, frame: Any, ms: float) -> float:
        """Wraps and copies, while an unrelated stream is busy."""
        with self.stream:
            ps.as_tensor(frame).copy_to(self.target)
        self.sync()
        busy(self.other, ms)
        with self.stream:
            begun = now_ns()
            ps.as_tensor(frame).copy_to(self.target)
            took_us = (now_ns() - begun) / 1e3
        self.sync()
        return took_us

    def plain_beside_busy_us(self, frame: Any, ms: float) -> float:
        """The same copy by PyTorch alone."""
        import torch

        target = self.target.torch()
        side = torch.cuda.ExternalStream(int(self.stream))
        with torch.cuda.stream(side):
            target.copy_(frame)
        self.sync()
        busy(self.other, ms)
        with torch.cuda.stream(side):
            begun = now_ns()
            target.copy_(frame)
            took_us = (now_ns() - begun) / 1e3
        self.sync()
        return took_us

    def second_reader_ms(self, ms: float) -> float:
        """How long a reader takes while one before it, on another stream, waits behind a long kernel."""
        with self.second:
            self.source.copy_to(self.target)
        self.sync()
        last = self.empty()
        busy(self.stream, ms)
        with self.stream:
            self.source.copy_to(self.target)
        begun = now_ns()
        with self.second:
            self.source.copy_to(last)
        self.second.sync()
        took_ms = (now_ns() - begun) / 1e6
        self.sync()
        return took_ms

    def blocks_of_busy_stream(self, count: int) -> int:
        self.sync()
        busy(self.stream, 20)
        addresses = set()
        with self.stream:
            for _ in range(count):
                made = self.empty()
                self.source.copy_to(made)
                addresses.add(made.data)
                del made
        self.sync()
        return len(addresses)

    def peak_of_steps(self, count: int, synced: bool) -> float:
        """The most bytes that steps of three results each took."""
        self.sync()
        ps.memory.clear(self.device)
        ps.memory.reset_peak(self.device)
        with self.stream:
            given = ps.empty((self.step_bytes,), "uint8", None, self.device)
            if not synced:
                busy(self.stream, 50)
            for _ in range(count):
                last = given
                for _ in range(3):
                    made = ps.empty((self.step_bytes,), "uint8", None, self.device)
                    last.copy_to(made)
                    last = made
                del made, last
                if synced:
                    self.stream.sync()
        self.sync()
        return float(ps.memory.stats(self.device)["bytes_peak"])


class Cvcuda:
    def __init__(self, module: Any, shape: tuple[int, ...]) -> None:
        self.cvcuda = module
        self.shape = shape
        self.stream, self.second = module.Stream(), module.Stream()
        self.source, self.target = self.empty(), self.empty()

    def empty(self) -> Any:
        return self.cvcuda.Tensor(self.shape, self.cvcuda.Type.U8, "HWC")

    def copy(self, target: Any, source: Any, stream: Any) -> None:
        self.cvcuda.flip_into(target, source, 0, stream=stream)

    def busy(self, stream: Any, ms: float) -> None:
        with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
            spin(ms)

    def sync(self) -> None:
        torch.cuda.synchronize()

    def carve(self) -> float:
        """There is nothing to carve from: each block is the driver's."""
        self.cvcuda.clear_cache()
        return carve_us(lambda: self.cvcuda.Tensor((1, CARVED[0], 1), self.cvcuda.Type.U8, "HWC"))

    def beside_busy_us(self, frame: Any, ms: float) -> float:
        self.copy(self.target, self.cvcuda.as_tensor(frame, "HWC"), self.stream)
        self.sync()
        with torch.cuda.stream(torch.cuda.Stream()):
            spin(ms)
        begun = now_ns()
        self.copy(self.target, self.cvcuda.as_tensor(frame, "HWC"), self.stream)
        took_us = (now_ns() - begun) / 1e3
        self.sync()
        return took_us

    def second_reader_ms(self, ms: float) -> float:
        last = self.empty()
        self.copy(last, self.source, self.second)
        self.sync()
        self.busy(self.stream, ms)
        self.copy(self.target, self.source, self.stream)
        begun = now_ns()
        self.copy(last, self.source, self.second)
        self.second.sync()
        took_ms = (now_ns() - begun) / 1e6
        self.sync()
        return took_ms

    def blocks_of_busy_stream(self, count: int) -> int:
        self.sync()
        self.busy(self.stream, 20)
        addresses = set()
        for _ in range(count):
            made = self.empty()
            self.copy(made, self.source, self.stream)
            addresses.add(made.cuda().__cuda_array_interface__["data"][0])
            del made
        self.sync()
        return len(addresses)

    def peak_of_steps(self, count: int, synced: bool) -> float:
        self.sync()
        self.cvcuda.clear_cache()
        shape = (STEP_BYTES // 4096, 4096, 1)
        given = self.cvcuda.Tensor(shape, self.cvcuda.Type.U8, "HWC")
        most = 0
        if not synced:
            self.busy(self.stream, 50)
        for _ in range(count):
            last = given
            for _ in range(3):
                made = self.cvcuda.Tensor(shape, self.cvcuda.Type.U8, "HWC")
                self.copy(made, last, self.stream)
                last = made
            most = max(most, self.cvcuda.current_cache_size_inbytes())
            del made, last
            if synced:
                self.stream.sync()
        self.sync()
        return float(most)


def launches_per_s(device: str, seconds: float) -> float:
    """Small operations of PyTorch queued a second, on a stream of its own."""
    values = torch.zeros(8, device=device)
    stream = torch.cuda.Stream() if device == "cuda" else None
    with torch.cuda.stream(stream):
        for _ in range(200):
            values.add_(1)
        count, begun = 0, now_ns()
        while now_ns() - begun < seconds * 1e9:
            for _ in range(100):
                values.add_(1)
            count += 100
        rate = count / (now_ns() - begun) * 1e9
    if stream is not None:
        stream.synchronize()
    return rate


def run_with_gate(device: str, seconds: float, measure: Callable[[], float]) -> float:
    """Measures while an operator with host= waits for work of so many seconds behind the message it was sent."""

    @ps.operator
    def send() -> Iterator[Any]:
        stream = ps.Stream(device)
        busy(stream, seconds * 1e3)
        sent = ps.empty((8,), "uint8", None, device)
        ps.uses(sent, stream, write=True)
        yield sent

    done: list[int] = []

    @ps.operator(host="message")
    def receive(message: Any) -> None:
        done.append(now_ns())

    with ps.start(receive(send()), device=device) as run:
        time.sleep(0.05)
        measured = measure()
        ended = now_ns()
        run.wait()
    if not done or done[0] < ended:
        raise RuntimeError("the gate did not wait for as long as the measuring took")
    return measured
