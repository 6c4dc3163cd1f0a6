"""What the benchmarks share: interleaved measuring, medians, checked rows, a table.

A benchmark is a program bench/NAME.py with a list of cases:

    bench = Bench(__doc__)
    bench.measure("T1", "as_tensor(numpy)", ours=f, peer=g, peer_name="torch", unit="us", target=0.3)
    bench.finish()

Ours and the peer's run by turns in one process, in short batches, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Row:
    """One measured thing. `target` bounds `ours` from above, or from below when `unit` ends in `/s`."""

    id: str
    what: str
    ours: float
    peer: float | None
    peer_name: str | None
    unit: str
    target: float | None
    reason: str | None = None
    """Why the target is missed, where it is."""

    def __post_init__(self) -> None:
        if not (self.id and self.what and self.unit):
            raise ValueError(f"a row needs id, what and unit: {self}")
        for name in ("ours", "peer", "target"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value >= 0):
                raise ValueError(f"{self.id}: {name} must be a number of {self.unit} >= 0, not {value!r}")
        if (self.peer is None) != (self.peer_name is None):
            raise ValueError(f"{self.id}: peer and peer_name belong together")

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.ours >= self.target if self.unit.endswith("/s") else self.ours <= self.target


def batch_size(function: Callable[[], object], batch_s: float) -> int:
    """How many calls take about batch_s."""
    count = 1
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            function()
        elapsed_s = time.perf_counter() - begin
        if elapsed_s >= batch_s / 4 or count >= 10_000_000:
            return max(1, round(count * batch_s / max(elapsed_s, 1e-9)))
        count *= 4


def batch_time_s(function: Callable[[], object], count: int) -> float:
    """Seconds for each call, over one batch."""
    calls = range(count)
    begin = time.perf_counter()
    for _ in calls:
        function()
    return (time.perf_counter() - begin) / count


def interleaved(functions: list[Callable[[], object]], *, rounds: int = 21, batch_s: float = 0.01) -> list[float]:
    """The median seconds a call of each function, measured by turns; what an empty loop takes is subtracted."""
    empty: Callable[[], object] = lambda: None  # noqa: E731
    every = [*functions, empty]
    counts = [batch_size(f, batch_s) for f in every]
    times: list[list[float]] = [[] for _ in every]
    for turn in range(rounds):
        order = range(len(every)) if turn % 2 == 0 else reversed(range(len(every)))
        for i in order:
            times[i].append(batch_time_s(every[i], counts[i]))
    *medians, floor_s = (statistics.median(t) for t in times)
    return [max(0.0, m - floor_s) for m in medians]


class Bench:
    """Collects rows, and reads the command line: --json FILE, --only PREFIX, and what add_arguments adds.

    The file is written anew with each row, so that a run that is cut short leaves what it measured.
    """

    def __init__(
        self,
        description: str | None = None,
        add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    ) -> None:
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
        parser.add_argument("--only", default="", metavar="PREFIX", help="only rows whose id begins so")
        if add_arguments:
            add_arguments(parser)
        self.options = parser.parse_args()
        self.rows: list[Row] = []
        self.skipped: list[str] = []
        self.failed: list[str] = []

    def wanted(self, id: str) -> bool:
        return id.startswith(self.options.only)

    def part_wanted(self, prefix: str) -> bool:
        """Whether a part whose rows' ids begin with the prefix has rows that are asked for."""
        return prefix.startswith(self.options.only) or self.options.only.startswith(prefix)

    def add(self, row: Row) -> None:
        """A row that was measured elsewhere, by a C++ program say."""
        if self.wanted(row.id):
            self.rows.append(row)
            print(format_row(row), flush=True)
            self.write()

    def skip(self, id: str, why: str) -> None:
        """Says that a row is left out here."""
        if self.part_wanted(id):
            self.skipped.append(f"{id}: {why}")
            print(f"{id:6} skipped: {why}", flush=True)

    def attempt(self, id: str, part: Callable[[], None]) -> None:
        """Runs a part whose rows' ids begin with id. One that raises is told of, and the next ones run."""
        if not self.part_wanted(id):
            return
        try:
            part()
        except Exception as error:
            self.failed.append(f"{id}: {type(error).__name__}: {error}")
            print(f"{id:6} FAILED\n{traceback.format_exc()}", flush=True)

    def measure(
        self,
        id: str,
        what: str,
        *,
        ours: Callable[[], object],
        peer: Callable[[], object] | None = None,
        peer_name: str | None = None,
        unit: str = "us",
        target: float | None = None,
        reason: str | None = None,
        rounds: int = 21,
        batch_s: float = 0.01,
    ) -> None:
        """Times ours, and the peer's beside it, and adds the row. `unit` is one of time: s, ms, us, ns."""
        if not self.wanted(id):
            return
        scale = SECONDS_PER_UNIT[unit]
        functions = [ours] if peer is None else [ours, peer]
        medians = [t / scale for t in interleaved(functions, rounds=rounds, batch_s=batch_s)]
        self.add(Row(id, what, medians[0], medians[1] if peer else None, peer_name, unit, target, reason))

    def write(self) -> None:
        if self.options.json:
            self.options.json.parent.mkdir(parents=True, exist_ok=True)
            self.options.json.write_text(json.dumps([asdict(row) for row in self.rows], indent=1) + "\n")

    def finish(self) -> int:
        """Writes the file, says which targets were missed, and gives the number of parts that failed."""
        missed = [row for row in self.rows if row.met is False]
        print(f"\n{len(self.rows)} rows on {platform.processor() or platform.machine()}, {len(missed)} targets missed")
        for row in missed:
            print(
                f"  {row.id} {row.what}: {row.ours:.3g} {row.unit}, target {row.target:g}: {row.reason or 'no reason known'}"
            )
        for line in self.skipped:
            print(f"  skipped {line}")
        for line in self.failed:
            print(f"  FAILED {line}")
        self.write()
        if self.options.json:
            print(f"written: {self.options.json}")
        return len(self.failed)


def format_row(row: Row) -> str:
    peer = "" if row.peer is None else f"{row.peer_name} {row.peer:.3g}"
    target = "" if row.target is None else f"target {row.target:g} {'met' if row.met else 'MISSED'}"
    return f"{row.id:6} {row.what:48.48} {row.ours:10.3g} {row.unit:5} {peer:24} {target}"
