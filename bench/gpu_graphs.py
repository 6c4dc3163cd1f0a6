"""What the programs of gpu_runtime.py and of its peers share: frames, marks of time, a bare loop, late writers, readers.

Without Penstock, so that a peer's process has nothing of it. Imports PyTorch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

# Frames of a block: until all is warm, those timed, those behind them that keep the pipeline full.
WARM, COUNT, TAIL = 60, 200, 20
STAGES = (1, 2, 3, 4)
FRAME = (1080, 1920, 3)
SMALL = (8, 8, 3)

ORDERED = 1_000
WORDS = 1 << 20
SPIN_CYCLES = 500_000  # about 0.3 ms: longer than a runtime needs to hand a frame on

now_ns = time.perf_counter_ns


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def frames(device: str, shape: tuple[int, ...] | None = None) -> list[Any]:
    """Some to take turns with: 1080p on a GPU; small ones on the CPU, where the work would hide what a call costs."""
    shape = shape or (FRAME if device == "cuda" else SMALL)
    made = [torch.full(shape, n, dtype=torch.uint8, device=device) for n in range(4)]
    synchronize(device)
    return made


@cache
def side_stream() -> Any:
    return torch.cuda.Stream()


def add_one(frame: Any) -> Any:
    return frame + 1


class Marks:
    """A sink that notes when the first and the last of the timed frames came."""

    def __init__(self) -> None:
        self.count = 0
        self.begun_ns = self.ended_ns = 0

    def __call__(self, _: Any) -> None:
        self.count += 1
        if self.count == WARM:
            self.begun_ns = now_ns()
        elif self.count == WARM + COUNT:
            self.ended_ns = now_ns()

    def each_us(self) -> float:
        if not self.ended_ns:
            raise RuntimeError(f"only {self.count} of {WARM + COUNT + TAIL} frames came")
        return (self.ended_ns - self.begun_ns) / 1e3 / COUNT


def bare_us(given: list[Any], device: str, stages: int, call: Callable[[Any], Any] = add_one) -> float:
    """Microseconds a frame without a runtime: a loop on a stream of PyTorch's."""
    calls = [call] * stages
    marks = Marks()
    with torch.cuda.stream(side_stream() if device == "cuda" else None):
        for number in range(WARM + COUNT + TAIL):
            frame = given[number % len(given)]
            for call in calls:
                frame = call(frame)
            marks(frame)
    synchronize(device)
    return marks.each_us()


def slope(by_stages: dict[int, float]) -> float:
    """What each further stage adds, by least squares."""
    middle = statistics.mean(by_stages)
    return sum((n - middle) * value for n, value in by_stages.items()) / sum((n - middle) ** 2 for n in by_stages)


def call_us(call: Callable[[], object], rounds: int = 15, count: int = 1_000) -> float:
    """The median microseconds of a call, without those of an empty loop."""
    calls = range(count)
    times = []
    for _ in range(rounds):
        begun = now_ns()
        for _ in calls:
            call()
        middle = now_ns()
        for _ in calls:
            pass
        times.append((2 * middle - begun - now_ns()) / 1e3 / count)
    return statistics.median(times)


class Maker:
    """Makes frames full of their numbers: late, behind a kernel that takes its time, or at once."""

    def __init__(self, device: str, own_stream: bool, late: bool) -> None:
        self.device = device
        self.late = late
        self.stream = torch.cuda.Stream() if own_stream and device == "cuda" else None
        self.number = 0

    def __call__(self) -> Any:
        if self.late and self.device == "cuda":
            torch.cuda._sleep(SPIN_CYCLES)
        frame = torch.full((WORDS,), self.number, dtype=torch.int32, device=self.device)
        self.number += 1
        return frame


class Reader:
    """Notes the least and the greatest value of each frame; late, when others may have written over it."""

    def __init__(self, device: str, late: bool) -> None:
        self.device = device
        self.late = late
        self.seen: list[Any] = []

    def __call__(self, frame: Any) -> None:
        if self.late and self.device == "cuda":
            torch.cuda._sleep(SPIN_CYCLES)
        self.seen.append(torch.stack(torch.aminmax(frame)))

    def wrong(self) -> int:
        """Of the thousand numbers, how many no frame came with that was full of it."""
        synchronize(self.device)
        found = torch.stack(self.seen).cpu().tolist() if self.seen else []
        right = {least for least, greatest in found if least == greatest and 0 <= least < ORDERED}
        self.seen.clear()
        return ORDERED - len(right)
