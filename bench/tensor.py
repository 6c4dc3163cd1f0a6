"""Tensors and memory on the CPU: imports, round trips, allocation, and single steps of order."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import torch
from harness import Bench, Row

import penstock as ps

BUILD = Path(os.environ["PENSTOCK_BUILD_DIR"]) / "bench" / "cpp"


def wrap_and_back() -> None:
    ps.as_tensor(torch_image).torch()


def torch_and_back() -> None:
    torch.from_dlpack(np.from_dlpack(torch_image))


def program(name: str) -> dict[str, float]:
    """What a C++ benchmark prints."""
    done = subprocess.run([str(BUILD / name)], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


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
)
bench.measure(
    "T1-torch",
    "as_tensor(torch), 1080p",
    ours=lambda: ps.as_tensor(torch_image),
    peer=lambda: np.from_dlpack(torch_image),
    peer_name="np.from_dlpack",
    target=0.2,
)
bench.measure(
    "T2-torch",
    "torch -> ours -> torch",
    ours=wrap_and_back,
    peer=torch_and_back,
    peer_name="torch -> numpy -> torch",
    target=0.9,
)
bench.measure(
    "T3-host",
    "empty from the cache, 1080p",
    ours=lambda: ps.empty((1080, 1920, 3), "uint8", "HWC", "cpu"),
    peer=lambda: torch.empty((1080, 1920, 3), dtype=torch.uint8),
    peer_name="torch.empty",
    target=0.4,
)
bench.measure("T5-host", "Stream()", ours=lambda: ps.Stream("cpu"), target=0.3)

stream = ps.Stream("cpu")


def with_stream() -> None:
    with stream:
        pass


bench.measure("T5-with", "with stream:", ours=with_stream, target=0.6)

if bench.wanted("T4"):
    for row in program("bench_memory")["rows"]:  # type: ignore[attr-defined]
        bench.add(Row(**row))
if bench.wanted("step"):
    steps = program("bench_order")
    for what, target in (("mark", 60.0), ("covered wait", 10.0), ("other wait", 150.0)):
        bench.add(Row(f"step-{what.split()[0]}", f"{what} on the host", steps[what], None, None, "ns", target))
bench.finish()
