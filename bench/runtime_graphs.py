"""The same small programs three ways, for bench/runtime.py: a Penstock graph, threads with ``queue.Queue``, bare calls."""

from __future__ import annotations

import hashlib
import queue
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import penstock as ps

CAPACITY = 4
_END = object()

now_ns = time.perf_counter_ns


def passing(value: Any) -> Any:
    return value


def take(value: Any) -> None:
    pass


@ps.operator
def pass_on(value: Any) -> Any:
    return value


@ps.operator
def take_in(value: Any) -> None:
    pass


@ps.operator
def numbers(*, count: int) -> Iterator[int]:
    yield from range(count)


@ps.operator
def join_four(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a


def chain(hops: int, count: int) -> None:
    flow = numbers(count=count)
    for _ in range(hops):
        flow = pass_on(flow)
    ps.run(take_in(flow))


def chain_of_calls(hops: int, count: int) -> None:
    calls = [passing] * hops
    for value in range(count):
        for call in calls:
            value = call(value)
        take(value)


def chain_of_threads(hops: int, count: int) -> None:
    run_threads(range(count), [passing] * hops, take)


def run_threads(source: Iterable[Any], calls: list[Callable[[Any], Any]], sink: Callable[[Any], None]) -> None:
    """A thread for the source, each call and the sink, with a queue between each two."""
    queues: list[queue.Queue[Any]] = [queue.Queue(CAPACITY) for _ in range(len(calls) + 1)]

    def produce() -> None:
        for value in source:
            queues[0].put(value)
        queues[0].put(_END)

    def work(call: Callable[[Any], Any], before: queue.Queue[Any], after: queue.Queue[Any]) -> None:
        while (value := before.get()) is not _END:
            after.put(call(value))
        after.put(_END)

    def consume() -> None:
        while (value := queues[-1].get()) is not _END:
            sink(value)

    workers = [threading.Thread(target=produce), threading.Thread(target=consume)]
    for number, call in enumerate(calls):
        workers.append(threading.Thread(target=work, args=(call, queues[number], queues[number + 1])))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def fan_out(count: int) -> None:
    flow = numbers(count=count)
    ps.run(*[take_in(flow) for _ in range(4)])


def fan_out_calls(count: int) -> None:
    calls = [take] * 4
    for value in range(count):
        for call in calls:
            call(value)


def diamond(count: int) -> None:
    flow = numbers(count=count)
    ps.run(take_in(join_four(*[pass_on(flow) for _ in range(4)])))


def diamond_calls(count: int) -> None:
    calls = [passing] * 4

    def join(a: Any, b: Any, c: Any, d: Any) -> Any:
        return a

    for value in range(count):
        take(join(*[call(value) for call in calls]))


class Latency:
    """A source that says when it emits, and a sink that notes how long ago that was.

    The source makes a pause before each; short ones it spends at work without the GIL.
    """

    WORK = bytes(8192)

    def __init__(self, count: int, pause_ms: float) -> None:
        self.count = count
        self.pause_ms = pause_ms
        self.times_ns: list[int] = []

    def stamps(self) -> Iterator[int]:
        pause_ns = int(self.pause_ms * 1e6)
        for _ in range(self.count):
            if pause_ns > 100_000:
                time.sleep(pause_ns / 1e9)
            until = now_ns() + pause_ns
            while pause_ns <= 100_000 and now_ns() < until:
                hashlib.sha256(self.WORK)
            yield now_ns()

    def note(self, stamp_ns: int) -> None:
        self.times_ns.append(now_ns() - stamp_ns)

    def p50_us(self) -> float:
        """After the first tenth, when all is warm."""
        return statistics.median(self.times_ns[self.count // 10 :]) / 1e3


def clocked_latency_us(hops: int, count: int, every_ms: float) -> float:
    """From just before the yield of a source with a clock to inside the sink behind that many operators."""
    latency = Latency(count, 0)
    flow = ps.operator(latency.stamps, every_ms=every_ms)()
    for _ in range(hops):
        flow = pass_on(flow)
    ps.run(ps.operator(latency.note)(flow))
    return latency.p50_us()


def hand_over_us(count: int, pause_ms: float) -> float:
    """The same to a sink whose two instances have threads of their own."""
    latency = Latency(count, pause_ms)
    ps.run(ps.operator(latency.note, instances=2)(ps.operator(latency.stamps)()))
    return latency.p50_us()


def call_latency_us(hops: int, count: int, pause_ms: float) -> float:
    latency = Latency(count, pause_ms)
    calls = [passing] * hops
    for value in latency.stamps():
        for call in calls:
            value = call(value)
        latency.note(value)
    return latency.p50_us()


def queue_latency_us(hops: int, count: int, pause_ms: float) -> float:
    latency = Latency(count, pause_ms)
    run_threads(latency.stamps(), [passing] * hops, latency.note)
    return latency.p50_us()
