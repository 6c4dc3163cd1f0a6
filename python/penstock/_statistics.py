"""What a run counts, as objects whose fields can be read as attributes or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._words import nearest
from .errors import GraphError


class _Record(Mapping[str, Any]):
    """Its annotated fields, as attributes and by name; not to be changed."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update({name: values[name] for name in type(self).__annotations__})

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} can't be set: statistics are read")

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"


class OperatorStatistics(_Record):
    """Of one operator, all its instances together."""

    activations: int
    rate: float
    """Activations a second."""
    busy: float
    """Share of the time that its instances ran: 0 to their number."""
    p50: float
    """Seconds that half of the activations stayed below."""
    p99: float
    skipped: int
    """Activations whose exception was passed over."""
    unmatched: int
    """Of a route: messages that had no case."""
    lanes: tuple[int, ...]
    """For each instance the Python thread that it runs on now, by a number; -1: the threads of C++ operators."""
    last_error: BaseException | None
    """The last exception that was passed over, with its traceback."""


class EdgeStatistics(_Record):
    """Of one edge: from, port, to, port."""

    passed: int
    depth: int
    """Messages in it now."""
    capacity: int
    fill: float
    """Mean share of its room that was taken as each message came, 0 to 1."""
    blocked: float
    """Share of the time that the sender waited for room, 0 to 1."""
    dropped: int
    """By its policy or by age."""
    unpaired: int
    """Discarded because a partner did not come."""
    copies: int
    """Copied because the consumer writes into them."""


class LatencyStatistics(_Record):
    """Seconds from a source's emission to the end of a sink's work."""

    count: int
    p50: float
    p99: float


class _Named(dict[Any, Any]):
    """A dict that names the nearest key for one that is not there."""

    def __missing__(self, key: Any) -> Any:
        if isinstance(key, str):
            raise KeyError(f"no operator {key!r}; {nearest(key, self)}")
        raise KeyError(f"no edge {key!r}; there are {list(self)}")


class Statistics(Mapping[str, Any]):
    """What a run counted until now: ``operators[name]``, ``edges[(from, port, to, port)]``, ``latency(source, sink)``."""

    def __init__(self, counted: Mapping[str, Any]) -> None:
        self.seconds: float = counted["seconds"]
        self.workers: int = counted["workers"]
        """Threads of C++ operators."""
        self.operators: dict[str, OperatorStatistics] = _Named(
            (one["name"], OperatorStatistics(**one)) for one in counted["operators"]
        )
        self.edges: dict[tuple[str, str, str, str], EdgeStatistics] = _Named(
            (one["key"], EdgeStatistics(**one)) for one in counted["edges"]
        )
        self.latencies: dict[tuple[str, str], LatencyStatistics] = {
            one["key"]: LatencyStatistics(**one) for one in counted["latencies"]
        }

    def latency(self, source: str, sink: str) -> LatencyStatistics:
        """From that source to that sink; all zero where nothing went. GraphError for an unknown name."""
        for name in (source, sink):
            if name not in self.operators:
                raise GraphError(f"statistics: no operator {name!r}; {nearest(name, self.operators)}")
        return self.latencies.get((source, sink), LatencyStatistics(count=0, p50=0.0, p99=0.0))

    def __getitem__(self, name: str) -> Any:
        if name not in ("seconds", "operators", "edges", "latencies"):
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(("seconds", "operators", "edges", "latencies"))

    def __len__(self) -> int:
        return 4

    def __repr__(self) -> str:
        lines = [f"<penstock.Statistics of {self.seconds:.3f} s"]
        for name, one in self.operators.items():
            lines.append(
                f"  {name}: {one.activations} runs, {one.rate:.1f}/s, p50 {one.p50 * 1e3:.3f} ms, "
                f"p99 {one.p99 * 1e3:.3f} ms, busy {one.busy:.2f}, skipped {one.skipped}"
            )
        return "\n".join(lines) + ">"
