"""The programs of runtime_graphs.py and gpu_graphs.py written for Holoscan SDK 5, in a process of their own.

    python bench/peers_holoscan.py start|host|frames|order|tensors [--device cpu]

Prints a line of JSON {name: number} for each thing measured. Times are those between two messages at the sink.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

BEGUN_S = time.perf_counter()

import holoscan as hs  # noqa: E402
from holoscan import execution, tensor  # noqa: E402
from holoscan.time import ns, us  # noqa: E402

QUEUE = 64
now_ns = time.perf_counter_ns
Make = Callable[[], Any]
Compute = Callable[[Any, Any], None]


def say(**values: float) -> None:
    print(json.dumps(values), flush=True)


class Program:
    """A graph in the making: a source with a clock, stages in a row or side by side, sinks."""

    def __init__(self, spec: dict[str, Any] | None = None, *, split: bool = False, poll: bool = False) -> None:
        self.graph = hs.Graph("g", default_clock=hs.RealtimeClock)
        self.options = hs.CompileOptions()
        self.payload = hs.pyobject if spec is None else hs.Tensor
        self.spec = spec
        self.split = split
        self.poll = poll
        self.count = 0

    def add(self, compute: Compute, contract: Make, inputs: Sequence[str], has_output: bool) -> Any:
        spec = self.spec

        def setup(operator: Any, builder: Any) -> None:
            for name in inputs:
                port = builder.input(getattr(operator, name))
                if spec is not None:
                    port.expects_tensor(tensor.InputSpec(**spec))
            if has_output:
                port = builder.output(operator.out)
                if spec is not None:
                    port.produces_tensor(tensor.OutputSpec(**spec))

        members: dict[str, Any] = {name: hs.Input(name, self.payload) for name in inputs}
        if has_output:
            members["out"] = hs.Output("out", self.payload)
        members |= {"setup": setup, "contract": lambda _: contract(), "compute": compute}
        name = f"op{self.count}"
        self.count += 1
        handle = self.graph.op(type(f"Op{self.count}", (hs.Operator,), members), name)
        deployment = self.options.deployment
        if self.split:
            self.graph.partition(f"p{name}").add(handle)
        if self.poll:
            placement = execution.ThreadPlacement(wake_mode=execution.WakeMode.BUSY_POLL)
            deployment = deployment.bind_thread_placement(f"p{name}", placement)
        if spec is not None and has_output and spec["memory_kind"] == tensor.MemoryKind.CUDA_DEVICE:
            device = execution.DeviceId(0)
            deployment = deployment.bind_tensor_output_device(operator_path=name, output_port="out", device=device)
        self.options.deployment = deployment
        return handle

    def source(self, make: Make, count: int, period: Any = None, compute: Compute | None = None) -> Any:
        clock = hs.OnClock(period=ns(1000) if period is None else period)
        return self.add(
            compute or (lambda self, _: self.out.emit(make())),
            lambda: hs.Contract().trigger(clock).complete_after(count),
            (),
            True,
        )

    def stage(self, before: Any, compute: Compute) -> Any:
        handle = self.add(compute, lambda: hs.Contract().trigger(hs.OnAnyInput()), ("inp",), True)
        self.graph.add_flow(before.out, handle.inp, queue_depth=QUEUE)
        return handle

    def sink(self, before: Any, take: Any, compute: Compute | None = None, **flow: Any) -> Any:
        handle = self.add(
            compute or (lambda self, _: take(self.inp.receive_data())),
            lambda: hs.Contract().trigger(hs.OnAnyInput()),
            ("inp",),
            False,
        )
        self.graph.add_flow(before.out, handle.inp, **({"queue_depth": QUEUE} | flow))
        return handle

    def run(self, must_complete: bool = True) -> Any:
        plan = hs.compile(self.graph, self.options)
        plan.require_no_errors()
        session = hs.run(plan)
        if must_complete and session.termination != hs.RunTermination.COMPLETED:
            raise RuntimeError(f"{session.termination}: {session.summary()[:800]}")
        return session


def pass_on(self: Any, _: Any) -> None:
    self.out.emit(self.inp.receive_data())


class Stamps:
    """When messages came to a sink."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []

    def take(self, _: Any) -> None:
        self.times_ns.append(now_ns())

    def each_us(self, skip: int = 10, tail: int = 0) -> float:
        times = self.times_ns[skip : len(self.times_ns) - tail]
        return (times[-1] - times[0]) / 1e3 / (len(times) - 1)


def median(measure: Callable[[], float], rounds: int = 5) -> float:
    return statistics.median(measure() for _ in range(rounds))


def chain_us(hops: int, count: int = 10_000) -> float:
    program, stamps = Program(), Stamps()
    last = program.source(lambda: 1, count)
    for _ in range(hops):
        last = program.stage(last, pass_on)
    program.sink(last, stamps.take)
    program.run()
    return stamps.each_us()


def latency_us(hops: int, period_us: int, count: int = 500, **placed: bool) -> float:
    program = Program(**placed)
    times_ns: list[int] = []
    last = program.source(now_ns, count, us(period_us))
    for _ in range(hops):
        last = program.stage(last, pass_on)
    program.sink(last, lambda stamp: times_ns.append(now_ns() - stamp))
    program.run()
    return statistics.median(times_ns[count // 10 :]) / 1e3


def fan_out_us(count: int = 4_000) -> float:
    program, stamps = Program(), Stamps()
    source = program.source(lambda: 1, count)
    for take in (lambda _: None, lambda _: None, lambda _: None, stamps.take):
        program.sink(source, take)
    program.run()
    return stamps.each_us()


def diamond_us(count: int = 4_000) -> float:
    """The join runs once for each of its four inputs: of its triggers this one loses no message."""
    program, stamps = Program(), Stamps()
    source = program.source(lambda: 1, count)
    ports = ("a", "b", "c", "d")
    waiting: list[int] = []

    def compute(self: Any, _: Any) -> None:
        for name in ports:
            port = getattr(self, name)
            if port.selection().state == hs.InputState.SELECTED:
                waiting.append(port.receive_data())
        if len(waiting) == len(ports):
            self.out.emit(waiting[0])
            waiting.clear()

    branches = [program.stage(source, pass_on) for _ in ports]
    join = program.add(compute, lambda: hs.Contract().trigger(hs.OnAnyInput()), ports, True)
    for branch, name in zip(branches, ports, strict=True):
        program.graph.add_flow(branch.out, join[name], queue_depth=QUEUE)
    program.sink(join, stamps.take)
    program.run()
    if len(stamps.times_ns) != count:
        raise RuntimeError(f"{len(stamps.times_ns)} of {count} messages came")
    return stamps.each_us()


def slow_sink(policy: Any, count: int = 2_000, **placed: bool) -> int:
    """How many of the messages came to a sink that takes 0.2 ms for each."""
    program, arrived = Program(**placed), []

    def take(value: Any) -> None:
        time.sleep(0.0002)
        arrived.append(value)

    program.sink(program.source(lambda: 1, count), take, queue_policy=policy, queue_depth=4)
    program.run(must_complete=False)
    return len(arrived)


def attempt(name: str, measure: Callable[[], float]) -> None:
    """One that fails leaves the others alone."""
    try:
        say(**{name: measure()})
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})"
        print(f"failed: {name}: {' '.join(text.split())[:600]}", file=sys.stderr, flush=True)


def host(_: str) -> None:
    attempt("R1", lambda: median(lambda: (chain_us(8) - chain_us(1)) / 7))
    attempt("R2", lambda: median(lambda: chain_us(0)))
    attempt("R3-2", lambda: median(lambda: latency_us(0, 200)))
    attempt("R3-4", lambda: median(lambda: latency_us(2, 200)))
    attempt("R4-sleeping", lambda: median(lambda: latency_us(0, 500, split=True)))
    attempt("R4-busy", lambda: median(lambda: latency_us(0, 200, split=True, poll=True)))
    attempt("R7-fan", lambda: median(fan_out_us))
    attempt("R7-diamond", lambda: median(diamond_us))
    attempt("R9-block", lambda: slow_sink(hs.QueuePolicy.BLOCKING))
    attempt("R9-block-split", lambda: slow_sink(hs.QueuePolicy.BLOCKING, split=True))
    attempt("R9-drop_oldest", lambda: slow_sink(hs.QueuePolicy.DROP_OLDEST, split=True))


def start(_: str) -> None:
    imported_s = time.perf_counter()
    arrived: list[float] = []
    program = Program()
    program.sink(program.source(lambda: 1, 1), lambda _: arrived.append(time.perf_counter()))
    program.run()
    with open("/proc/self/statm") as statm:
        resident_mb = int(statm.read().split()[1]) * 4096 / 1e6
    say(import_s=imported_s - BEGUN_S, first_s=arrived[0] - BEGUN_S, resident_mb=resident_mb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["start", "host", "frames", "order", "tensors"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    options = parser.parse_args()
    if options.part in ("start", "host"):
        {"start": start, "host": host}[options.part](options.device)
        return
    import peers_holoscan_gpu

    getattr(peers_holoscan_gpu, options.part)(options.device)


if __name__ == "__main__":
    sys.modules["peers_holoscan"] = sys.modules["__main__"]
    main()
