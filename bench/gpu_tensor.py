"""Tensors and memory on a GPU beside CV-CUDA, PyTorch and Holoscan: imports, allocation, streams, what waits for what.

Also what a waiting gate costs those who launch kernels. `--device cpu` runs ours on host streams, without the peers.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import signal
import statistics
import sys
from collections.abc import Callable

import gpu_graphs
import numpy as np
import peers
import torch
from harness import Bench, Row
from tensor_programs import Cvcuda, Ours, launches_per_s, run_with_gate

import penstock as ps

FULL_HD = (1080, 1920, 3)
SMALL = (8, 8, 3)
BUSY_MS, READER_MS = 50.0, 20.0
PROTOCOL = "a block, a view and a Python object are made for each import"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="where the tensors are")


bench = Bench(__doc__, add_arguments)
faulthandler.register(signal.SIGTERM, chain=True)  # a run that is stopped says where it was
device = bench.options.device
if device == "cuda" and not torch.cuda.is_available():
    bench.skip("T", "PyTorch sees no GPU here; --device cpu runs ours without one")
    sys.exit(bench.finish() > 0)
is_gpu = device == "cuda"
shape = FULL_HD if is_gpu else SMALL
frame = torch.zeros(shape, dtype=torch.uint8, device=device)
host_image = np.zeros(FULL_HD, np.uint8)
ours = Ours(device, shape)
cvcuda_module = peers.load("cvcuda") if is_gpu else None
cvcuda = Cvcuda(cvcuda_module, shape) if cvcuda_module else None
array = None
if is_gpu:
    import cupy

    array = cupy.zeros(shape, cupy.uint8)


def add(
    id: str,
    what: str,
    value: float,
    unit: str,
    target: float | None = None,
    peer: float | None = None,
    peer_name: str = "CV-CUDA",
    reason: str | None = None,
) -> None:
    peer_value = None if peer is None else max(0.0, peer)
    name = None if peer is None else peer_name
    bench.add(Row(id, what, max(0.0, value), peer_value, name, unit, target, reason))


def measured_peer(program: Callable[[], float]) -> float | None:
    """A peer that fails leaves its place empty, and a line that says why."""
    if cvcuda is None:
        return None
    try:
        return program()
    except Exception as error:
        print(f"CV-CUDA: {type(error).__name__}: {error}", flush=True)
        return None


def working(peer: Callable[[], object] | None, name: str) -> Callable[[], object] | None:
    """The peer's program if it runs at all."""
    if peer is None:
        return None
    try:
        peer()
        return peer
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", flush=True)
        return None


def measure(
    id: str,
    what: str,
    call: Callable[[], object],
    target: float | None = None,
    peer: Callable[[], object] | None = None,
    peer_name: str = "CV-CUDA",
    reason: str | None = None,
) -> None:
    """A row of its own: if it fails the others are measured."""
    works = working(peer, peer_name)
    name = peer_name if works else None
    bench.attempt(
        id,
        lambda: bench.measure(id, what, ours=call, peer=works, peer_name=name, target=target, reason=reason),
    )


def add_imports() -> None:
    wrap = cvcuda_module.as_tensor if cvcuda_module else None
    same = (lambda: wrap(frame, "HWC")) if wrap else None
    measure("T1-torch", f"as_tensor(torch, {device}), same stream", wrap_torch, 0.3, same, reason=PROTOCOL)
    measure("T1-numpy", "as_tensor(numpy)", lambda: ps.as_tensor(host_image), 0.3, reason=PROTOCOL)
    with ours.stream, torch.cuda.stream(torch.cuda.Stream() if is_gpu else None):
        reason = PROTOCOL + ", and the driver's record and wait take 0.2 us"
        measure("T1-edge", "as_tensor(torch) while torch's stream is another", wrap_torch, 0.65, reason=reason)
        measure("T1-edge-wait", "the same, and our stream waits", lambda: ours.stream.wait(ps.as_tensor(frame)))
    gpu_graphs.synchronize(device)
    ours.stream.sync()
    if array is not None:
        reason = "CuPy has no C exchange API: a capsule or a dictionary is made in Python for each import"
        theirs = (lambda: wrap(array, "HWC")) if wrap else None
        measure("T1-cupy", "as_tensor(cupy)", lambda: ps.as_tensor(array), 0.6, theirs, reason=reason)
    if peers.is_there("holoscan"):
        measured = peers.measured("peers_holoscan.py", "tensors", "--device", device, timeout_s=60)
        for name, value in measured.items():
            add(f"{name}-holoscan", "Holoscan 5.0 alone: the same", value, "us")


def wrap_torch() -> object:
    return ps.as_tensor(frame)


def add_round_trip() -> None:
    module = cvcuda_module
    theirs = (lambda: torch.as_tensor(module.as_tensor(frame, "HWC").cuda(), device="cuda")) if module else None
    reason = "PyTorch makes a tensor of its own on the way back"
    measure("T2", f"torch -> ours -> torch, {device}", lambda: wrap_torch().torch(), 0.9, theirs, reason=reason)


def add_allocation() -> None:
    reason = "arguments are read from Python's general forms (any shape, any dtype, any device), about 0.3 us of it"
    theirs = cvcuda.empty if cvcuda else None
    measure("T3", "empty from the cache, 1080p", ours.empty, 0.4, theirs, reason=reason)
    by_torch = lambda: torch.empty(shape, dtype=torch.uint8, device=device)  # noqa: E731
    measure("T3-torch", "the same", ours.empty, None, by_torch, "torch.empty")
    carved = statistics.median(ours.carve() for _ in range(5))
    add("T3-carved", "empty that carves a slab, 96 KB", carved, "us", 2.0, measured_peer(lambda: cvcuda.carve()))


def add_streams() -> None:
    theirs = cvcuda_module.Stream if cvcuda_module else None
    reason = "a subclass of int is made in Python, around a kept stream that gets a new id"
    measure("T5", f"Stream(), {device}", lambda: ps.Stream(device), 0.3, theirs, reason=reason)
    side = torch.cuda.Stream() if is_gpu else None

    def enter() -> None:
        with ours.stream:
            pass

    def enter_torch() -> None:
        with torch.cuda.stream(side):
            pass

    def enter_cvcuda() -> None:
        with cvcuda.stream:
            pass

    what = "with stream:, current in PyTorch and CuPy too" if is_gpu else "with stream:"
    reason = "CuPy's current stream is read and set by calls of Python"
    theirs = enter_torch if is_gpu else None
    measure("T5-with", what, enter, 0.6, theirs, "torch.cuda.stream", reason=reason)
    if cvcuda:
        measure("T5-with-cvcuda", "the same; CV-CUDA's is not PyTorch's", enter, None, enter_cvcuda)


def add_unrelated_stream() -> None:
    times = [ours.beside_busy_us(frame, BUSY_MS) for _ in range(7)]
    theirs = measured_peer(lambda: statistics.median(cvcuda.beside_busy_us(frame, BUSY_MS) for _ in range(7)))
    what = f"as_tensor(torch) and a copy while another stream is busy for {BUSY_MS:g} ms"
    reason = (
        "one call after a pause, of which the first CUDA call and a thread that wakes are most; T6-torch is its floor"
    )
    add("T6", what, statistics.median(times), "us", 10.0, theirs, reason=reason)
    if not is_gpu:
        return
    plain = statistics.median(ours.plain_beside_busy_us(frame, BUSY_MS) for _ in range(7))
    add("T6-torch", "the same", statistics.median(times), "us", None, plain, "torch's copy_ alone")


def add_two_readers() -> None:
    times = [ours.second_reader_ms(READER_MS) for _ in range(7)]
    theirs = measured_peer(lambda: statistics.median(cvcuda.second_reader_ms(READER_MS) for _ in range(7)))
    add("T7", f"a reader behind one of {READER_MS:g} ms on another stream", statistics.median(times), "ms", 0.1, theirs)


def add_reuse() -> None:
    what = "blocks for 20 times allocate, operate, drop on a busy stream"
    reason = "a copy that waits holds the tensors that it was given"
    theirs = measured_peer(lambda: cvcuda.blocks_of_busy_stream(20))
    add("T8", what, ours.blocks_of_busy_stream(20), "blocks", 2, theirs, reason=reason)
    gc.collect()

    def ratio(program: Ours | Cvcuda) -> float:
        return program.peak_of_steps(100, synced=False) / program.peak_of_steps(100, synced=True)

    what = "memory of a run 100 steps ahead, over one that syncs"
    theirs = measured_peer(lambda: ratio(cvcuda))
    add("T8-ahead", what, ratio(ours), "x", 1.2, theirs, reason=reason)


def add_reactor() -> None:
    """Kernels launched a second by PyTorch, alone and while an operator's gate waits for another stream."""
    alone, beside = [], []
    for _ in range(9):
        alone.append(launches_per_s(device, 0.15))
        beside.append(run_with_gate(device, 0.4, lambda: launches_per_s(device, 0.15)))
    rate, slowed = statistics.median(alone), statistics.median(beside)
    add("reactor-rate", "torch launches a second while a gate waits", slowed / 1e3, "k/s", None, rate / 1e3, "no gate")
    cost = (rate / slowed - 1) * 100
    reason = "the driver has one lock for the look at an event and for a launch"
    add("reactor-cost", "what a waiting gate costs launches", cost, "%", 10.0, reason=reason)


for prefix, part in (
    ("T1", add_imports),
    ("T2", add_round_trip),
    ("T3", add_allocation),
    ("T5", add_streams),
    ("T6", add_unrelated_stream),
    ("T7", add_two_readers),
    ("T8", add_reuse),
    ("reactor", add_reactor),
):
    bench.attempt(prefix, part)
    gpu_graphs.synchronize(device)
sys.exit(bench.finish() > 0)
