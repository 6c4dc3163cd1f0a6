"""How the programs of runtime_graphs.py are timed: by turns, as slopes, in fresh interpreters."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import runtime_graphs as graphs

import penstock as ps

ROUNDS = 7
SHORT, LONG = 1, 8


def seconds(call: Callable[..., Any], *args: Any) -> float:
    begun = time.perf_counter()
    call(*args)
    return time.perf_counter() - begun


def medians(*measures: Callable[[], float], rounds: int = ROUNDS) -> list[float]:
    """Of measurements taken by turns."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, of_it in zip(measures, values, strict=True):
            of_it.append(measure())
    return [statistics.median(of_it) for of_it in values]


def slope_us(chain: Callable[[int, int], None], count: int) -> Callable[[], float]:
    """What each further operator costs a message."""
    return lambda: (seconds(chain, LONG, count) - seconds(chain, SHORT, count)) * 1e6 / count / (LONG - SHORT)


def each_us(program: Callable[[int], None], count: int) -> Callable[[], float]:
    """What each further message costs."""
    return lambda: (seconds(program, 4 * count) - seconds(program, count)) * 1e6 / (3 * count)


FIRST_MESSAGE = """
import sys, time
begun = time.perf_counter()
import penstock as ps
imported = time.perf_counter()
arrived = []
@ps.operator
def one():
    yield 1
@ps.operator
def take(x):
    arrived.append(time.perf_counter())
ps.run(take(one()))
pages = int(open("/proc/self/statm").read().split()[1])
print(imported - begun, arrived[0] - begun, pages * 4096 / 1e6, "numpy" in sys.modules, len(sys.modules))
"""

THREADS = """
import time
begun = time.perf_counter()
import queue, threading
arrived = []
q = queue.Queue()
worker = threading.Thread(target=lambda: (q.get(), arrived.append(time.perf_counter())))
worker.start()
q.put(1)
worker.join()
pages = int(open("/proc/self/statm").read().split()[1])
print(0, arrived[0] - begun, pages * 4096 / 1e6, False, 0)
"""


def fresh(code: str) -> list[float]:
    """What a fresh interpreter prints, as numbers. Modules are there as bytecode, as an installation leaves them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return [float(word == "True") if word in ("True", "False") else float(word) for word in done.stdout.split()]


def slow_sink(policy: str, count: int = 2_000) -> tuple[int, int]:
    """Of messages to a sink that takes 0.2 ms each: how many arrived, and how many neither arrived nor were counted."""
    arrived: list[int] = []

    def slow(value: int) -> None:
        time.sleep(0.0002)
        arrived.append(value)

    statistics = ps.run(ps.operator(slow, policy=policy, name="sink")(graphs.numbers(count=count)))
    dropped = sum(edge.dropped for edge in statistics.edges.values())
    if arrived != sorted(set(arrived)):
        raise RuntimeError(f"{policy}: messages came twice or out of order")
    return len(arrived), abs(count - len(arrived) - dropped)
