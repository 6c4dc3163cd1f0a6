"""Tensors and memory on the CPU: imports, round trips, allocation, and single steps of order."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Bench, Row

import penstock as ps

BUILD = Path(os.environ["PENSTOCK_BUILD_DIR"]) / "bench" / "cpp"


MADE = "a block, a view and a Python object are made for each import"
HANDED = "cache lines of the block and of its home list cross between the cores, as malloc's do"


def wrap_and_back() -> None:
    ps.as_tensor(torch_image).torch()


def torch_and_back() -> None:
    torch.from_dlpack(np.from_dlpack(torch_image))


def program(name: str) -> Any:
    """What a C++ benchmark prints."""
    done = subprocess.run([str(BUILD / name)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def add_allocation() -> None:
    """Ours beside the best of the general allocators, for each size and way of use."""
    rows = program("bench_memory")
    targets = {"1 thread": 0.1, "2 threads": 0.2, "handed over": 0.25}
    for size in sorted({row["bytes"] for row in rows}):
        for way, target in targets.items():
            times = {r["allocator"]: r["us"] for r in rows if r["bytes"] == size and r["way"] == way}
            ours = times.pop("penstock on a stream")
            off = times.pop("penstock")
            peer = min(times, key=lambda name: times[name])
            text = ", ".join(f"{name} {us:.3f}" for name, us in sorted(times.items()))
            what = f"allocate + free {size >> 10} KB, {way} (without a stream {off:.3f}; {text})"
            bench.add(
                Row(f"T4-{size >> 10}K-{way.replace(' ', '-')}", what, ours, times[peer], peer, "us", target, HANDED)
            )


bench = Bench(__doc__)
numpy_image = np.zeros((1080, 1920, 3), np.uint8)
torch_image = torch.zeros((1080, 1920, 3), dtype=torch.uint8)

bench.measure(
    "T1-numpy",
    "as_tensor(numpy), 1080p",
    ours=lambda: ps.as_tensor(numpy_image),
    peer=lambda: torch.from_numpy(numpy_image),
    peer_name="torch.from_numpy",
    target=0.3,
    reason=MADE,
)
bench.measure(
    "T1-torch",
    "as_tensor(torch), 1080p",
    ours=lambda: ps.as_tensor(torch_image),
    peer=lambda: np.from_dlpack(torch_image),
    peer_name="np.from_dlpack",
    target=0.2,
    reason=MADE,
)
bench.measure(
    "T2-torch",
    "torch -> ours -> torch",
    ours=wrap_and_back,
    peer=torch_and_back,
    peer_name="torch -> numpy -> torch",
    target=0.9,
    reason=MADE + ", and PyTorch makes a tensor of its own on the way back",
)
bench.measure(
    "T3-host",
    "empty from the cache, 1080p",
    ours=lambda: ps.empty((1080, 1920, 3), "uint8", "HWC", "cpu"),
    peer=lambda: torch.empty((1080, 1920, 3), dtype=torch.uint8),
    peer_name="torch.empty",
    target=0.4,
    reason="arguments are read from Python's general forms (any shape, any dtype, any device), about 0.3 us of it",
)
bench.measure(
    "T5-host",
    "Stream()",
    ours=lambda: ps.Stream("cpu"),
    target=0.3,
    reason="a subclass of int is made in Python, around a kept stream that gets a new id",
)

stream = ps.Stream("cpu")


def with_stream() -> None:
    with stream:
        pass


bench.measure("T5-with", "with stream:", ours=with_stream, target=0.6)

if any(bench.wanted(f"T4-{kb}K-") for kb in (4, 1024, 6075)) or bench.wanted("T4"):
    add_allocation()
if bench.wanted("step"):
    steps = program("bench_order")
    for what, target in (("mark", 60.0), ("covered wait", 10.0), ("other wait", 150.0)):
        reason = "a mark keeps its stream's clock: up to 128 numbers are copied"
        bench.add(
            Row(f"step-{what.replace(' ', '-')}", f"{what} on the host", steps[what], None, None, "ns", target, reason)
        )
bench.finish()
