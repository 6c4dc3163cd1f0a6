"""What a run's numbers say: how fast it was, what held it up, and what to do about that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .._statistics import EdgeStatistics, OperatorStatistics, Statistics

_Key = tuple[str, str, str, str]

# Shares of the time.
_BUSY = 0.7
_CROWDED = 0.8
_OFTEN = 0.2
_SELDOM = 0.05

_MIN_SECONDS = 0.05
_COMPUTES = 0.3  # cores: a process that uses less waits
_ONE_CORE = 1.2
_LIGHT_S = 2e-6
_MANY = 20_000  # activations a second


def summary(stats: Statistics, processor_s: float | None = None) -> list[str]:
    """A few lines. ``processor_s``: processor time that the process took meanwhile, if known."""
    graph = _Graph(stats, processor_s)
    return [graph.headline(), *graph.bottleneck(), *graph.losses()]


@dataclass
class _Operator:
    name: str
    stats: OperatorStatistics
    inputs: list[EdgeStatistics]
    outputs: list[EdgeStatistics]

    @property
    def instances(self) -> int:
        return max(len(self.stats.lanes), 1)

    @property
    def load(self) -> float:
        """Share of the time that each of its instances ran."""
        return min(self.stats.busy / self.instances, 1.0)

    @property
    def input_full(self) -> float:
        return max((edge.blocked for edge in self.inputs), default=0.0)

    @property
    def output_full(self) -> float:
        return max((edge.blocked for edge in self.outputs), default=0.0)

    @property
    def output_drops(self) -> bool:
        """It never waits for room there, full or not."""
        return any(edge.dropped for edge in self.outputs)

    @property
    def input_dropped(self) -> float:
        """Share of the messages that did not get to it."""
        return max((edge.dropped / max(edge.passed, 1) for edge in self.inputs), default=0.0)

    @property
    def is_source(self) -> bool:
        return not self.inputs

    @property
    def is_crowded(self) -> bool:
        """More comes than it takes."""
        return self.input_full >= _OFTEN or self.input_dropped >= _SELDOM

    @property
    def is_python(self) -> bool:
        return any(lane >= 0 for lane in self.stats.lanes)


class _Graph:
    def __init__(self, stats: Statistics, processor_s: float | None) -> None:
        self._stats = stats
        self._cores = None if processor_s is None else processor_s / max(stats.seconds, 1e-9)
        edges = stats.edges.items()
        self._operators = [
            _Operator(
                name,
                one,
                [edge for key, edge in edges if key[2] == name],
                [edge for key, edge in edges if key[0] == name],
            )
            for name, one in stats.operators.items()
        ]

    def headline(self) -> str:
        seconds = self._stats.seconds
        parts = [f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"]
        ends = [one for one in self._operators if not one.outputs]
        parts += [f"{one.name} ran {one.stats.activations:,} times, {_rate(one.stats.rate)}" for one in ends[:3]]
        if len(ends) > 3:
            parts[-1] += f", and {len(ends) - 3} more"
        slowest = max(self._stats.latencies.items(), key=lambda item: item[1].p50, default=None)
        if slowest is not None:
            (source, sink), latency = slowest
            parts.append(f"{source} to {sink} in {duration(latency.p50)} (p99 {duration(latency.p99)})")
        return " · ".join(parts)

    def bottleneck(self) -> Iterator[str]:
        """At most one line: what sets the pace."""
        if self._stats.seconds < _MIN_SECONDS or not self._operators:
            return
        if self._is_light():
            yield "The work on a message is so short that passing it on takes longer: put more into one, or use batch=."
            return
        busy = [one for one in self._operators if one.load >= _BUSY]
        crowded = [one for one in busy if one.is_crowded and one.output_full < _CROWDED]
        if crowded:
            yield self._name(self._last(crowded))
        elif (line := self._shared_lane()) or (line := self._shared_lock()) or (line := self._shared_workers()):
            yield line
        elif busy:
            yield self._name(max(busy, key=lambda one: one.load))
        else:
            yield self._nothing_is_busy()

    def _last(self, crowded: list[_Operator]) -> _Operator:
        """The one that lets the least through: what is before it only feeds its queue."""
        names = {one.name for one in crowded}
        last = [one for one in crowded if not (self._reached_from(one.name) & (names - {one.name}))]
        return max(last or crowded, key=lambda one: (one.input_full, one.load))

    def _reached_from(self, name: str) -> set[str]:
        reached: set[str] = set()
        while more := {key[2] for key in self._stats.edges if key[0] in reached | {name}} - reached:
            reached |= more
        return reached

    def _name(self, one: _Operator) -> str:
        if one.is_source:
            return self._source_sets_the_pace(one)
        said = [f"busy {_percent(one.load)} of the time"]
        if one.input_full >= _SELDOM:
            said.append(f"its input full {_percent(one.input_full)} of it")
        if one.outputs and not one.output_drops:
            full = one.output_full
            said.append(f"its output {'never' if full < 0.005 else _percent(full) + ' of it'} full")
        of_each = f", each of {one.instances} instances" if one.instances > 1 else ""
        return f"{one.name} is the bottleneck{of_each}: {', '.join(said)}. {self._advice(one)}"

    def _advice(self, one: _Operator) -> str:
        if not one.is_python:
            return f"Make it faster, or give it instances={one.instances + 1}."
        if one.instances > 1:
            if self._cores is not None and _COMPUTES <= self._cores <= _ONE_CORE and one.stats.busy >= 1.6:
                return (
                    f"The process used {self._cores:.1f} cores: if this is computing, its instances wait for one "
                    "another (the GIL), and more of them won't help."
                )
            return f"Make it faster, or try instances={one.instances + 1}."
        if self._cores is not None and self._cores < _COMPUTES * one.load:
            return f"It mostly waits (the process used {self._cores:.1f} cores): give it instances=2."
        return "Make it faster; instances=2 helps if it lets go of the GIL, as most of NumPy, OpenCV and PyTorch does."

    def _source_sets_the_pace(self, one: _Operator) -> str:
        others = [other for other in self._operators if other is not one]
        busiest = max(others, key=lambda other: other.load, default=None)
        said = f"{one.name} sets the pace: it gives {self._given(one)}"
        if not one.output_drops:
            full = one.output_full
            said += f", and its output is {'never full' if full < 0.005 else f'full {_percent(full)} of the time'}"
        said += "."
        if busiest is not None:
            said += f" The busiest of the others is {busiest.name}, {_percent(busiest.load)} of the time."
        return said

    def _shared_lane(self) -> str | None:
        """Operators that run on one Python thread and fill it together."""
        shares: dict[int, list[tuple[float, str]]] = {}
        for one in self._operators:
            for lane in one.stats.lanes:
                if lane >= 0:
                    shares.setdefault(lane, []).append((one.stats.busy / one.instances, one.name))
        for taken in shares.values():
            taken.sort(reverse=True)
            taking_part = [share for share in taken if share[0] >= _SELDOM]
            total = sum(share for share, _ in taken)
            if total < _CROWDED or len(taking_part) < 2 or taken[0][0] >= _BUSY:
                continue
            named = [f"{name} {_percent(share)}" for share, name in taking_part[:4]]
            return (
                f"{_listed([name for _, name in taking_part])} take turns on one Python thread, which they fill "
                f"({', '.join(named)}). Make {taken[0][1]} faster; another thread helps only those that let go of the GIL."
            )
        return None

    def _shared_lock(self) -> str | None:
        """Operators on several Python threads that use one core together."""
        taken = sorted(((one.stats.busy, one) for one in self._operators if one.is_python), key=lambda it: -it[0])
        total = sum(busy for busy, _ in taken)
        taking_part = [(busy, one) for busy, one in taken if busy >= _SELDOM]
        lanes = {lane for _, one in taking_part for lane in one.stats.lanes}
        if self._cores is None or not _CROWDED <= self._cores <= _ONE_CORE or total < _CROWDED or len(lanes) < 2:
            return None
        first = taking_part[0][1]
        if len(taking_part) == 1:
            who = f"{first.name} is the bottleneck: its {first.instances} instances are"
        else:
            named = [f"{one.name} {_percent(busy)}" for busy, one in taking_part[:4]]
            who = f"{_listed([one.name for _, one in taking_part])} ({', '.join(named)}) are together"
        return (
            f"{who} busy {_percent(min(total, 1))} of the time, and the process used {self._cores:.1f} cores: if this is "
            f"computing, they wait for one another (the GIL), and more of them won't help. Make {first.name} faster."
        )

    def _shared_workers(self) -> str | None:
        native = [one for one in self._operators if not one.is_python]
        total = sum(one.stats.busy for one in native)
        workers = self._stats.workers
        if total < _CROWDED * workers or len(native) < 2:
            return None
        busiest = max(native, key=lambda one: one.stats.busy)
        threads = "the C++ thread is" if workers == 1 else f"the {workers} C++ threads are"
        return (
            f"{threads} busy {_percent(min(total / workers, 1))} of the time, most with {busiest.name} "
            f"({_percent(busiest.stats.busy)} of one). Give more by workers=, if there are cores, or make it faster."
        ).capitalize()

    def _nothing_is_busy(self) -> str:
        stuck = max(self._operators, key=lambda one: one.output_full)
        if stuck.output_full >= _OFTEN:
            receiver = max(
                ((key[2], edge.blocked) for key, edge in self._stats.edges.items() if key[0] == stuck.name),
                key=lambda item: item[1],
            )[0]
            return (
                f"nothing is busy, yet {stuck.name} waited {_percent(stuck.output_full)} of the time for {receiver} to "
                "take a message: that one waits for a device, for memory, or for another input."
            ).capitalize()
        sources = [one for one in self._operators if one.is_source]
        given = _listed([f"{one.name} gives {self._given(one)}" for one in sources[:3]])
        if not given:
            return "Nothing is busy."
        return f"Nothing is busy: {given}{'' if any(self.losses()) else ', and all of it gets through'}."

    def _given(self, source: _Operator) -> str:
        passed = max((edge.passed for edge in source.outputs), default=source.stats.activations)
        return _rate(passed / max(self._stats.seconds, 1e-9))

    def _is_light(self) -> bool:
        """Many messages with little work each."""
        working = [one.stats for one in self._operators if one.stats.activations]
        return bool(working) and all(one.p50 < _LIGHT_S for one in working) and sum(o.rate for o in working) > _MANY

    def losses(self) -> Iterator[str]:
        """What did not get through, and copies that cost."""
        for key, edge in self._stats.edges.items():
            where = f"{key[0]} to {key[2]}"
            if edge.dropped:
                came = max(edge.passed, edge.dropped)
                yield f"{where}: {edge.dropped:,} of {came:,} messages were dropped: {self._why(key)}."
            if edge.unpaired:
                yield f"{where}: {edge.unpaired:,} messages were discarded at {key[2]}: their partners did not come."
            if edge.copies:
                yield f"{where}: {edge.copies:,} messages were copied: {key[2]} writes into what others may still read."
        for one in self._operators:
            if one.stats.skipped:
                error = one.stats.last_error
                last = "" if error is None else f", the last: {type(error).__name__}: {str(error).splitlines()[:1]}"
                last = last.replace("['", "").replace("']", "").replace("[]", "")
                yield f"{one.name}: {one.stats.skipped:,} exceptions were passed over{last}"
            if one.stats.unmatched:
                yield f"{one.name}: {one.stats.unmatched:,} messages had no case."

    def _why(self, key: _Key) -> str:
        load = next(one.load for one in self._operators if one.name == key[2])
        if load >= _BUSY:
            return f"{key[2]} is busy {_percent(load)} of the time and can't take more"
        return f"they came while its queue was full, or were too old (it is busy {_percent(load)} of the time)"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _rate(rate: float) -> str:
    return f"{number(rate)} a second"


def number(value: float) -> str:
    """Three digits, at most a million with none cut off."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 0.9995:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:,.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
