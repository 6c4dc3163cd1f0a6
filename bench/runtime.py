"""The runtime on the CPU: what hops, fan-out, hand-overs and the start cost, and that nothing is lost.

Beside bare loops of the same Python calls, threads with queue.Queue, and oneTBB's flow graph.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import runtime_graphs as graphs
from harness import Bench, Row
from runtime_measures import FIRST_MESSAGE, THREADS, each_us, fresh, medians, slope_us, slow_sink

import penstock as ps

BUILD = Path(os.environ["PENSTOCK_BUILD_DIR"]) / "bench" / "cpp"


def add(
    id: str,
    what: str,
    ours: float,
    peer: float | None,
    peer_name: str | None,
    unit: str,
    target: float | None,
    reason: str | None = None,
) -> None:
    bench.add(Row(id, what, ours, peer, peer_name, unit, target, reason))


def program(name: str, *args: str) -> Any:
    """What a C++ benchmark prints."""
    done = subprocess.run([str(BUILD / name), *args], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def add_python_hops() -> None:
    ours, bare, threads = medians(
        slope_us(graphs.chain, 20_000),
        slope_us(graphs.chain_of_calls, 20_000),
        slope_us(graphs.chain_of_threads, 1_000),
    )
    add("R1", "Python operator, int, each further one", ours, threads, "queue.Queue", "us", 0.6)
    add("R1-ratio", "the same, times the bare call", ours / bare, bare, "bare call, us", "x", 10)


def add_source_to_sink() -> None:
    ours, bare, threads = medians(
        each_us(lambda n: graphs.chain(0, n), 10_000),
        each_us(lambda n: graphs.chain_of_calls(0, n), 10_000),
        each_us(lambda n: graphs.chain_of_threads(0, n), 1_000),
    )
    add("R2", "Python source -> sink, one message", ours, threads, "queue.Queue", "us", 1.0)
    add("R2-bare", "the same", ours, bare, "bare loop", "us", None)


def add_latency() -> None:
    for operators, target in ((2, 1.5), (4, 3.0)):
        args = (operators - 2, 500, 0.2)
        ours, bare, threads = medians(
            lambda args=args: graphs.clocked_latency_us(*args),
            lambda args=args: graphs.call_latency_us(*args),
            lambda args=args: graphs.queue_latency_us(*args),
            rounds=5,
        )
        what = f"latency in an idle graph, {operators} operators, p50"
        reason = f"the bare calls alone take {bare:.2f} us after a pause as long"
        add(f"R3-{operators}", what, ours, threads, "queue.Queue", "us", target, reason)
        add(f"R3-{operators}-ratio", "the same, times the bare calls", ours / bare, bare, "bare calls, us", "x", 25)


def add_hand_over() -> None:
    asleep = "most of it is the kernel's wake-up of a thread: R4-floor"
    held = "the message and the GIL go from one core to another, which takes three times as long in some hours"
    for way, pause_ms, target, reason in (("sleeping", 0.5, 5.0, asleep), ("busy", 0.015, 2.0, held)):
        ours, threads = medians(
            lambda pause_ms=pause_ms: graphs.hand_over_us(500, pause_ms),
            lambda pause_ms=pause_ms: graphs.queue_latency_us(0, 500, pause_ms),
            rounds=5,
        )
        what = f"hand-over to another thread's operator, {way}, p50"
        add(f"R4-{way}", what, ours, threads, "queue.Queue", "us", target, reason)


def add_fan_out() -> None:
    for id, what, ours, peer, target in (
        ("R7-fan", "Python fan-out 1 -> 4, one message", graphs.fan_out, graphs.fan_out_calls, 3.0),
        ("R7-diamond", "Python diamond 1 -> 4 -> 1, one message", graphs.diamond, graphs.diamond_calls, 6.0),
    ):
        us, bare = medians(each_us(ours, 4_000), each_us(peer, 4_000))
        add(id, what, us, bare, "bare calls", "us", target)


def add_start() -> None:
    fresh(FIRST_MESSAGE)
    ours, peer = [], []
    for _ in range(7):
        ours.append(fresh(FIRST_MESSAGE))
        peer.append(fresh(THREADS))
    import_s, first_s, resident_mb, has_numpy, modules = (
        statistics.median(column) for column in zip(*ours, strict=True)
    )
    _, peer_s, peer_mb, _, _ = (statistics.median(column) for column in zip(*peer, strict=True))
    add("R8-first", "import penstock to the first message", first_s * 1e3, peer_s * 1e3, "queue and thread", "ms", 60)
    add("R8-import", f"import penstock ({modules:.0f} modules in all)", import_s * 1e3, None, None, "ms", None)
    add("R8-memory", "resident after the first message", resident_mb, peer_mb, "queue and thread", "MB", 40)
    add("R8-numpy", "NumPy was imported", has_numpy, None, None, "times", 0)


def add_back_pressure() -> None:
    for policy in ("block", "drop_oldest"):
        arrived, lost = slow_sink(policy)
        what = f"slow sink, {policy}: of 2000 neither arrived nor counted"
        add(f"R9-{policy}", what, lost, None, None, "messages", 0)
        add(f"R9-{policy}-n", f"slow sink, {policy}: arrived", arrived, None, None, "messages", None)


def add_cpp() -> None:
    ns = program("bench_runtime")
    tbb, tbb_two = ns.get("tbb hop"), ns.get("tbb hop, 2 workers")
    name = None if tbb is None else "oneTBB flow graph"
    spread = "no hot spot: 1,060 instructions in some 30 functions"
    each = "each item still has its own message and origin: 370 instructions, a fifth of them the call's own values"
    add("R6", "C++ operator hop, one worker", ns["hop"], tbb, name, "ns", 100, spread)
    add("R6-batched", "the same, batched by 16", ns["hop, batched"], tbb, name, "ns", 20, each)
    add("R6-two", "the same on two workers", ns["hop, 2 workers"], tbb_two, name, "ns", 2 * ns["hop"])
    one, two = ns["chain"], ns["chain, 2 workers"]
    add("R6-chain", "chain of 11 on two workers, one message", two, one, "on one worker", "ns", 2 * one)
    what = "the kernel wakes a C++ thread that sleeps, p50"
    add("R4-floor", what, ns["wake-up"] / 1e3, None, None, "us", None)
    alone, shared = ns["rate of 1"] / 1e3, ns["rate of 2"] / 1e3
    add("instances", "20 us operator, 2 instances", shared, alone, "1 instance", "k/s", 1.8 * alone)


def add_memory() -> None:
    memory = program("bench_runtime_memory")
    each = memory["allocations"] / memory["messages"]
    add("memory-heap", "heap allocations for each C++ message", each, None, None, "1", 0.001)
    what = f"memory grown over {memory['messages'] / 1e6:.1f} million messages"
    add("memory-flat", what, max(0, memory["grown_kb"]), None, None, "KB", 1024)


def cycle_rate(beside: bool) -> float:
    """Messages a second round a cycle of C++ operators, for a moment; beside a Python chain or not."""
    begin = ps.loop(first=[1, 2, 3, 4])
    end = ps.merge(ps.merge(ps.merge(begin)), name="last")
    end >> begin
    flows = [end]
    if beside:
        flows.append(graphs.take_in(graphs.pass_on(graphs.numbers(count=10**9))))
    running = ps.start(*flows, workers=1)
    time.sleep(0.2)
    running.stop()
    return running.wait().operators["last"].rate


def add_beside_python() -> None:
    alone, beside = medians(lambda: cycle_rate(False), lambda: cycle_rate(True), rounds=9)
    add("beside", "C++ chain beside a Python one", beside / 1e3, alone / 1e3, "alone", "k/s", 0.8 * alone / 1e3)


bench = Bench(__doc__)
for prefix, part in (
    ("R1", add_python_hops),
    ("R2", add_source_to_sink),
    ("R3", add_latency),
    ("R4", add_hand_over),
    ("R6", add_cpp),
    ("instances", add_cpp),
    ("R7", add_fan_out),
    ("R8", add_start),
    ("R9", add_back_pressure),
    ("memory", add_memory),
    ("beside", add_beside_python),
):
    only = bench.options.only
    is_wanted = prefix.startswith(only) or only.startswith(prefix)
    if is_wanted and not (prefix == "instances" and not only):
        part()
bench.finish()
