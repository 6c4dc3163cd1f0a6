"""The runtime on a machine with a GPU: what a Python operator on a GPU frame costs over a bare loop, and what of it is what.

The bare loop and ours run by turns in one process, in small blocks; each number is the median of their differences.
Beside Holoscan SDK 5, which does the same against the same bare loop in a process of its own. Then the rows of
runtime.py that need no GPU, beside Holoscan too. `--device cpu` runs it all without a GPU, with small frames.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import signal
import statistics
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import gpu_graphs
import gpu_programs as programs
import peers
import runtime_graphs
import torch
from harness import Bench, Row
from runtime_measures import FIRST_MESSAGE, each_us, fresh, medians, slope_us, slow_sink

STAGES = gpu_graphs.STAGES
ROUNDS = 40
HOLOSCAN = "Holoscan 5.0"
TIMEOUTS_S = {"start": 20.0, "host": 60.0, "frames": 100.0, "order": 60.0, "tensors": 30.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="where the frames are")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="blocks of each kind")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure")
    parser.add_argument("--no-peers", action="store_true", help="without Holoscan")


@cache
def has_holoscan() -> bool:
    return not bench.options.no_peers and peers.is_there("holoscan")


@cache
def holoscan(part: str) -> dict[str, float]:
    """What Holoscan's process measured; nothing, and a line that says so, where it is not there."""
    if not has_holoscan():
        return {}
    return peers.measured("peers_holoscan.py", part, "--device", bench.options.device, timeout_s=TIMEOUTS_S[part])


def add(
    id: str,
    what: str,
    ours: float,
    unit: str,
    target: float | None = None,
    *,
    peer: float | None = None,
    peer_name: str = HOLOSCAN,
    reason: str | None = None,
) -> None:
    peer = None if peer is None else max(0.0, peer)
    bench.add(Row(id, what, max(0.0, ours), peer, None if peer is None else peer_name, unit, target, reason))


def differences(
    frames: list[Any], ways: dict[str, str], rounds: int
) -> tuple[dict[int, float], dict[str, dict[int, float]]]:
    """Microseconds a frame: of the bare loop by stages, and how much more each way of streams took, median of blocks."""
    device = bench.options.device
    bare: dict[int, list[float]] = {stages: [] for stages in STAGES}
    over: dict[str, dict[int, list[float]]] = {way: {stages: [] for stages in STAGES} for way in ways}
    for turn in range(-2, rounds):
        for stages in STAGES:
            order = list(ways) if turn % 2 else list(reversed(ways))
            alone = gpu_graphs.bare_us(frames, device, stages)
            values = {way: programs.chain_us(frames, device, stages, ways[way]) for way in order}
            if turn < 0:
                continue
            again = gpu_graphs.bare_us(frames, device, stages)
            bare[stages].append((alone + again) / 2)
            for way, value in values.items():
                over[way][stages].append(value - (alone + again) / 2)
        gc.collect()

    def middle(values: dict[int, list[float]]) -> dict[int, float]:
        return {stages: statistics.median(of_it) for stages, of_it in values.items()}

    return middle(bare), {way: middle(of_it) for way, of_it in over.items()}


def works(id: str, frames: list[Any], streams: str) -> bool:
    """Whether a chain runs at all; one that does not is told of, and the others are measured without it."""

    def once() -> None:
        programs.chain_us(frames, bench.options.device, 2, streams)
        done.append(id)

    done: list[str] = []
    bench.attempt(id, once)
    return bool(done)


def add_frames() -> None:
    peer = holoscan("frames")
    given = gpu_graphs.frames(bench.options.device)
    every = {"chain": "chain", "own": "per_operator"}
    ways = {way: streams for way, streams in every.items() if works("R5", given, streams)}
    bare, over = differences(given, ways, bench.options.rounds)
    add("R5-bare", "the bare loop, each stage", gpu_graphs.slope(bare), "us")
    for way, by_stages in over.items():
        for stages, value in by_stages.items():
            what = f"{stages} torch x+1 on a frame over the bare loop, {ways[way]}"
            add(f"R5-{way}-{stages}", what, value, "us", peer=peer.get(f"R5-{way}-{stages}"))
    slopes = {way: gpu_graphs.slope(values) for way, values in over.items()}
    parts: dict[str, float] = {}
    bench.attempt("R5", lambda: parts.update(explain(slopes)))
    text = ", ".join(f"{name} {us:.2f}" for name, us in parts.items()) or None
    chain_peer = min((peer[name] for name in ("R5-chain", "R5-once") if name in peer), default=None)
    what = "Python operator on a GPU frame over the bare loop, each further one"
    for id, way, target, theirs in (("R5", "chain", 1.5, chain_peer), ("R5-own", "own", 6.5, peer.get("R5-own"))):
        if way in slopes:
            add(id, f"{what}, {ways[way]}", slopes[way], "us", target, peer=theirs, reason=text)
    if "R5-once" in peer and "R5-chain" in peer:
        add("R5-peer", "Holoscan alone, its stream made current once", peer["R5-once"], "us", peer=peer["R5-chain"])


@cache
def hop_us() -> float:
    return medians(slope_us(runtime_graphs.chain, 20_000))[0]


def explain(slopes: dict[str, float]) -> dict[str, float]:
    """Of what a stage's cost is made: by graphs that leave something out."""
    device = bench.options.device
    given = gpu_graphs.frames(device)
    streams = {"chain": "chain", "own": "per_operator"}
    by_way: dict[str, dict[int, list[float]]] = {way: {n: [] for n in STAGES} for way in slopes}
    for _ in range(9):
        for way, by_stages in by_way.items():
            for stages, values in by_stages.items():
                values.append(programs.chain_us(given, device, stages, streams[way], runtime_graphs.passing))
    passed = {
        way: gpu_graphs.slope({stages: statistics.median(values) for stages, values in by_stages.items()})
        for way, by_stages in by_way.items()
    }
    parts = {"hop": hop_us()}
    for way, name in (("chain", ""), ("own", " own")):
        if way in passed:
            parts[f"frame{name}"] = passed[way] - hop_us()
            parts[f"new{name}"] = slopes[way] - passed[way]
    for name, what in (
        ("hop", "hop of an int"),
        ("frame", "the same frame handed on, over an int"),
        ("new", "a new frame from torch each, over the same and the bare loop"),
        ("frame own", "the same frame handed on, own streams, over an int"),
        ("new own", "a new frame from torch each, own streams, over the same and the bare loop"),
    ):
        if name in parts:
            add(f"R5-part-{name.replace(' ', '-')}", f"of R5: {what}", parts[name], "us")
    return parts


def add_steps() -> None:
    device = bench.options.device
    names = {
        "import": "as_tensor(torch)",
        "record": "record",
        "query": "query of a stream",
        "edge": "record on one stream, wait on another",
        "use": "uses(tensor, stream)",
        "import-and-use": "as_tensor(torch) and uses",
    }
    us: dict[str, float] = {}
    for name, call in programs.steps(device).items():

        def measure(name: str = name, call: Callable[[], object] = call) -> None:
            us[name] = gpu_graphs.call_us(call)
            add(f"R5-step-{name}", f"step: {names[name]}", us[name], "us")

        bench.attempt("R5-step", measure)
    gpu_graphs.synchronize(device)
    if us.keys() >= {"import", "use", "import-and-use"}:
        watch = us["import-and-use"] - us["import"] - us["use"]
        add("R5-step-watch", "step: dropped in use, over dropped idle: the in-flight watch", watch, "us")
    modules = ["torch"] + (["cupy"] if device == "cuda" else [])
    before = programs.with_stream_us(device)
    add("R5-step-with", "step: with stream:, no library imported", before, "us")
    for count, name in enumerate(modules, 1):
        after = programs.with_stream_us(device, *modules[:count])
        floor = floor_of_current(name) if device == "cuda" else None
        what = f"step: with stream:, what {name} adds (set and set back)"
        add(f"R5-step-with-{name}", what, after - before, "us", peer=floor, peer_name=f"two sets by {name} itself")
        before = after


def floor_of_current(name: str) -> float:
    if name == "torch":
        stream = torch.cuda.current_stream()
        numbers = {
            "stream_id": stream.stream_id,
            "device_index": stream.device_index,
            "device_type": stream.device_type,
        }
        return 2 * gpu_graphs.call_us(lambda: torch._C._cuda_setStream(**numbers))
    import cupy

    own = cupy.cuda.Stream(non_blocking=True)
    once_us = gpu_graphs.call_us(own.use)
    cupy.cuda.Stream.null.use()
    return 2 * once_us


def add_frames_around() -> None:
    """What the difference does not depend on: the size of the frame, the thread of the bare loop."""
    device = bench.options.device
    rounds = max(5, bench.options.rounds // 4)
    small = gpu_graphs.frames(device, gpu_graphs.SMALL)
    every = {"chain": "chain", "own": "per_operator"}
    ways = {way: streams for way, streams in every.items() if works("R5-small", small, streams)}
    for way, by_stages in differences(small, ways, rounds)[1].items():
        add(f"R5-small-{way}", f"R5 with frames of 8x8, {ways[way]}", gpu_graphs.slope(by_stages), "us")
    given = gpu_graphs.frames(device)

    def on_a_thread(stages: int) -> float:
        found: list[float] = []
        worker = threading.Thread(target=lambda: found.append(gpu_graphs.bare_us(given, device, stages)))
        worker.start()
        worker.join()
        return found[0]

    bare = {stages: medians(lambda stages=stages: on_a_thread(stages), rounds=rounds)[0] for stages in STAGES}
    add("R5-bare-thread", "the bare loop on another thread than the main one, each stage", gpu_graphs.slope(bare), "us")
    if device == "cuda":
        import cupy

        cupy.zeros(1)
        _, over = differences(given, {"chain": "chain"}, rounds)
        add("R5-cupy", "R5 where CuPy is imported too", gpu_graphs.slope(over["chain"]), "us", 1.5)


def add_order() -> None:
    device, peer = bench.options.device, holoscan("order")
    for id, own, streams in (
        ("R10-own", True, "chain"),
        ("R10-own-split", True, "per_operator"),
        ("R10-early", False, "chain"),
        ("R10-early-split", False, "per_operator"),
    ):

        def measure(id: str = id, own: bool = own, streams: str = streams) -> None:
            what = "written late on torch's own stream" if own else "dropped by the sender, read late"
            wrong = programs.wrong_frames(device, own, streams)
            add(id, f"wrong of 1,000 frames {what}, {streams}", wrong, "frames", 0, peer=peer.get(id))

        bench.attempt("R10", measure)
    what = "wrong of 1,000 frames emitted on torch's own stream, explicit form"
    add("R10-emit", what, programs.wrong_emitted(device), "frames", 0, peer=peer.get("R10-own-split"))


def add_host() -> None:
    """The rows that need no GPU, beside Holoscan."""
    peer = holoscan("host")
    call_ns = medians(slope_us(runtime_graphs.chain_of_calls, 20_000))[0] * 1e3
    python = f"Python itself: a bare call of the same function takes {call_ns:.0f} ns here"
    two_us = medians(each_us(lambda n: runtime_graphs.chain(0, n), 10_000))[0]
    add("R1", "Python operator, int, each further one", hop_us(), "us", 0.6, peer=peer.get("R1"), reason=python)
    add("R2", "Python source -> sink, one message", two_us, "us", 1.0, peer=peer.get("R2"), reason=python)
    for operators, target in ((2, 1.5), (4, 3.0)):
        args = (operators - 2, 500, 0.2)
        ours = medians(lambda args=args: runtime_graphs.clocked_latency_us(*args), rounds=5)[0]
        what = f"latency in an idle graph, {operators} operators, p50"
        add(f"R3-{operators}", what, ours, "us", target, peer=peer.get(f"R3-{operators}"), reason=python)
    for way, pause_ms, target in (("sleeping", 0.5, 5.0), ("busy", 0.015, 2.0)):
        ours = medians(lambda pause_ms=pause_ms: runtime_graphs.hand_over_us(500, pause_ms), rounds=5)[0]
        reason = "a thread that sleeps has to be woken by the kernel: 10 to 20 us in a virtual machine"
        what = f"hand-over to another thread's operator, {way}, p50"
        add(f"R4-{way}", what, ours, "us", target, peer=peer.get(f"R4-{way}"), reason=reason)
    fan, diamond = medians(each_us(runtime_graphs.fan_out, 4_000), each_us(runtime_graphs.diamond, 4_000))
    what = "Python fan-out 1 -> 4, one message"
    add("R7-fan", what, fan, "us", 3.0, peer=peer.get("R7-fan"), reason=python)
    what = "Python diamond 1 -> 4 -> 1, one message"
    add("R7-diamond", what, diamond, "us", 6.0, peer=peer.get("R7-diamond"), reason=python)
    for policy in ("block", "drop_oldest"):
        arrived, lost = slow_sink(policy)
        theirs = peer.get(f"R9-{policy}")
        missing = None if theirs is None else 2_000 - theirs
        what = f"slow sink, {policy}: of 2000 neither arrived nor counted"
        add(f"R9-{policy}", what, lost, "messages", 0, peer=missing)
        add(f"R9-{policy}-n", f"slow sink, {policy}: arrived", arrived, "messages", peer=theirs)


def add_start() -> None:
    theirs = [values for _ in range(5) if (values := holoscan_start())]
    fresh(FIRST_MESSAGE)
    ours = [fresh(FIRST_MESSAGE) for _ in range(7)]
    import_s, first_s, resident_mb = (statistics.median(column) for column in list(zip(*ours, strict=True))[:3])
    peer = {name: statistics.median(values[name] for values in theirs) for name in theirs[0]} if theirs else {}
    first_ms, import_ms = (1e3 * peer[name] if peer else None for name in ("first_s", "import_s"))
    modules = "Python's own modules are most of it"
    add("R8-first", "import to the first message", first_s * 1e3, "ms", 60, peer=first_ms, reason=modules)
    add("R8-import", "import", import_s * 1e3, "ms", peer=import_ms)
    add("R8-memory", "resident after the first message", resident_mb, "MB", 40, peer=peer.get("resident_mb"))


def holoscan_start() -> dict[str, float]:
    holoscan.cache_clear()
    return holoscan("start")


# What is measured together, and with which letters the ids of its rows begin.
PARTS: dict[str, tuple[str, Callable[[], None]]] = {
    "frames": ("R5", add_frames),
    "steps": ("R5-step", add_steps),
    "around": ("R5-", add_frames_around),
    "order": ("R10", add_order),
    "host": ("R", add_host),
    "start": ("R8", add_start),
}

bench = Bench(__doc__, add_arguments)
faulthandler.register(signal.SIGTERM, chain=True)  # a run that is stopped says where it was
if bench.options.device == "cuda" and not torch.cuda.is_available():
    bench.skip("R", "PyTorch sees no GPU here; --device cpu runs the same without one")
    sys.exit(bench.finish() > 0)
for name in bench.options.parts:
    bench.attempt(*PARTS[name])
sys.exit(bench.finish() > 0)
