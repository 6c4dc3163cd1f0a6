"""The live table of ``penstock run``: how each operator does, as lines of text."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._summary import duration, number

_BLOCKS = "▏▎▍▌▋▊▉█"
_WINDOW = 10  # looks that rates are taken over
_SMOOTH = 0.3  # weight of the newest look in what jumps

DIM, BOLD, YELLOW, RED = "2", "1", "33", "31"


@dataclass
class Row:
    """One operator now."""

    name: str
    instances: int
    rate: float
    busy: float
    p50: float
    p99: float
    queue: float | None
    """Fill of its inputs, 0 to 1; None where it has none."""
    drops: int


@dataclass
class Style:
    """What the terminal can show."""

    has_color: bool = True
    has_blocks: bool = True

    def paint(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.has_color and codes else text


class Looks:
    """What is shown of one run, from look to look. ``stats`` are what ``_Run.stats`` gives."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, tuple[int, float]]]] = deque(maxlen=_WINDOW)
        self._queues: dict[str, float] = {}
        self.seconds = 0.0

    def rows(self, stats: dict[str, Any]) -> list[Row]:
        """Of each operator; rates and shares are of the last second."""
        seconds = stats["seconds"]
        now = {one["name"]: (one["activations"], one["busy"] * seconds) for one in stats["operators"]}
        before_s, before = self._seen[0] if self._seen else (0.0, {})
        self._seen.append((seconds, now))
        self.seconds = seconds
        span = max(seconds - before_s, 1e-6)
        rows = []
        for one in stats["operators"]:
            name, instances = one["name"], max(len(one["lanes"]), 1)
            count, busy_s = before.get(name, (0, 0.0))
            inputs = [edge for edge in stats["edges"] if edge["key"][2] == name]
            rows.append(
                Row(
                    name,
                    instances,
                    rate=max(now[name][0] - count, 0) / span,
                    busy=min(max((now[name][1] - busy_s) / span / instances, 0.0), 1.0),
                    p50=one["p50"],
                    p99=one["p99"],
                    queue=self._queue(name, inputs) if inputs else None,
                    drops=sum(edge["dropped"] for edge in inputs),
                )
            )
        return rows

    def _queue(self, name: str, inputs: list[dict[str, Any]]) -> float:
        fill = max(edge["depth"] / max(edge["capacity"], 1) for edge in inputs)
        smooth = self._queues.get(name, fill)
        self._queues[name] = smooth + _SMOOTH * (fill - smooth)
        return self._queues[name]


def table(rows: list[Row], seconds: float, columns: int, lines: int, style: Style | None = None) -> list[str]:
    """At most ``lines`` lines, each at most ``columns`` wide; nothing where there is no room for one operator."""
    if lines < 2 or columns < 20 or not rows:
        return []
    style = style or Style()
    shown, hidden = _those_that_fit(rows, lines - 1)
    names = [_label(row) for row in shown]
    layout = _Layout(columns, max(map(_width, [*names, "operator"])))
    text = [style.paint(layout.line(f"{seconds:.0f} s", "rate", "busy", "p50", "p99", "queue", "drops"), DIM)]
    text += [layout.row(row, label, style) for row, label in zip(shown, names, strict=True)]
    if hidden:
        busiest = max(row.busy for row in hidden)
        text.append(style.paint(fit(f"… and {len(hidden)} more, at most {busiest * 100:.0f}% busy", columns), DIM))
    return text


def _those_that_fit(rows: list[Row], lines: int) -> tuple[list[Row], list[Row]]:
    """All, or the busiest, in the order of the graph."""
    if len(rows) <= lines:
        return rows, []
    ranked = sorted(range(len(rows)), key=lambda i: (-rows[i].busy, i))
    kept = set(ranked[: max(lines - 1, 1)])
    hidden = [row for i, row in enumerate(rows) if i not in kept]
    return [row for i, row in enumerate(rows) if i in kept], hidden if lines > 1 else []


class _Layout:
    """The columns: those at the right go first when the terminal is narrow."""

    def __init__(self, columns: int, name_width: int) -> None:
        self.columns = columns
        self.bar = 16 if columns >= 120 else 6
        widths = [9, self.bar + 6 if columns >= 120 else 5, 9, 9, self.bar + 1, 7]
        while len(widths) > 1 and columns - sum(widths) - len(widths) < 18:
            widths.pop()
        self.widths = widths
        self.name = max(min(name_width, columns - sum(widths) - len(widths)), 1)

    def line(self, name: str, *cells: str) -> str:
        parts = [_pad(fit(name, self.name), self.name)]
        parts += [
            _pad(cell, width, right=not cell.startswith(("queue", "\x1b")))
            for cell, width in zip(cells, self.widths, strict=False)
        ]
        return " ".join(parts).rstrip()

    def row(self, row: Row, label: str, style: Style) -> str:
        busy = f"{row.busy * 100:.0f}%"
        if self.columns >= 120:
            busy = f"{bar(row.busy, self.bar, style)} {busy:>4}"
        color = [BOLD, YELLOW] if row.busy >= 0.8 else []
        queue = "" if row.queue is None else bar(row.queue, self.bar, style)
        cells = [
            number(row.rate) + "/s",
            style.paint(_pad(busy, self.widths[1] if len(self.widths) > 1 else 0, right=True), *color),
            duration(row.p50) if row.p50 else "-",
            duration(row.p99) if row.p99 else "-",
            style.paint(" " + _pad(queue, self.bar), *([YELLOW] if (row.queue or 0) >= 0.75 else [])),
            style.paint(f"{number(row.drops) if row.drops >= 1e6 else f'{row.drops:,}':>7}", RED) if row.drops else "",
        ]
        parts = [_pad(fit(label, self.name), self.name)]
        parts += [_pad(cell, width, right=True) for cell, width in zip(cells, self.widths, strict=False)]
        return " ".join(parts).rstrip()


def _label(row: Row) -> str:
    name = "".join(char if char.isprintable() else "?" for char in row.name)
    return f"{name} ×{row.instances}" if row.instances > 1 else name


def bar(share: float, width: int, style: Style) -> str:
    """So much of the width, to an eighth of a character; on a dotted ground."""
    share = min(max(share, 0.0), 1.0)
    if not style.has_blocks:
        full = round(share * width)
        return "#" * full + "." * (width - full)
    eighths = round(share * width * 8)
    text = "█" * (eighths // 8) + (_BLOCKS[eighths % 8 - 1] if eighths % 8 else "")
    return text + "·" * (width - len(text))


def fit(text: str, width: int) -> str:
    """Cut in the middle, where names of a kind differ least."""
    if _width(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = _take(reversed(text), (width - 1) // 2)[::-1]
    return _take(text, width - 1 - _width(tail)) + "…" + tail


def _take(chars: Iterable[str], width: int) -> str:
    taken = ""
    for char in chars:
        if _width(taken + char) > width:
            break
        taken += char
    return taken


def _pad(text: str, width: int, right: bool = False) -> str:
    space = " " * max(width - _width(text), 0)
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns that it takes; what only sets colours takes none."""
    columns, is_code = 0, False
    for char in text:
        if is_code:
            is_code = char != "m"
        elif char == "\x1b":
            is_code = True
        elif not unicodedata.combining(char):
            columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns
