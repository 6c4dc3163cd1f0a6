"""Shows the runs of a program while they run, and what held them up when they are over. On a terminal only."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from .. import _metrics, _run
from .._run import Run
from ._screen import Screen, can_move_cursor
from ._summary import summary
from ._table import Looks, Style, table

_PERIOD_S = 0.1
_AGAIN_S = 0.02  # after the program has printed
_WORTH_S = 0.5  # shorter runs are not spoken of


@contextlib.contextmanager
def watched(metrics: tuple[str, int] | None) -> Iterator[None]:
    """Inside of it each run is shown, if stderr is a terminal, and served to Prometheus at that address, if any."""
    if metrics is not None:
        server = _metrics.serve(*metrics)
        server.open()
        print(f"penstock: metrics at {server.url}", file=sys.stderr)
    if not _is_terminal(sys.stderr):
        yield
        return
    live = Live(sys.stderr)
    _run.watchers.append(live)
    try:
        yield
    finally:
        _run.watchers.remove(live)
        live.close()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


@dataclass
class _Watched:
    run: Run
    begun_s: float = field(default_factory=time.monotonic)
    processor_s: float = field(default_factory=time.process_time)
    looks: Looks = field(default_factory=Looks)


class Live:
    """The table of what runs. A thread draws it; whoever waits for a run takes it away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._screen = Screen(stream)
        self._has_table = can_move_cursor()
        encoding = (getattr(stream, "encoding", None) or "").lower()
        self._style = Style(has_color=not os.environ.get("NO_COLOR"), has_blocks=encoding.startswith("utf"))
        self._lock = threading.Lock()
        self._saying = threading.RLock()
        self._watched: list[_Watched] = []
        self._thread: threading.Thread | None = None

    def begun(self, run: Run) -> None:
        with self._lock:
            self._watched.append(_Watched(run))
            if self._thread is None:
                self._thread = threading.Thread(target=self._draw_until_over, name="penstock-table", daemon=True)
                self._thread.start()

    def over(self, run: Run) -> None:
        """The table goes, and what is to be said of the run is said."""
        with self._saying:  # who waited for the run goes on when all is said, whoever says it
            with self._lock:
                ended = [one for one in self._watched if one.run is run]
                self._watched = [one for one in self._watched if one.run is not run]
            for one in ended:
                self._screen.clear()
                self._say(one)

    def close(self) -> None:
        """Nothing is shown any more."""
        with self._lock:
            self._watched = []
        self._screen.changed.set()
        self._screen.clear()

    def _draw_until_over(self) -> None:
        drawn_s = 0.0
        while True:
            printed = self._screen.changed.wait(_PERIOD_S)
            if printed:
                time.sleep(max(drawn_s + _AGAIN_S - time.monotonic(), 0.0))
                self._screen.changed.clear()
            for one in [one for one in self._watched if one.run.is_over]:
                self.over(one.run)
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
                watched = list(self._watched)
            lines = self._lines(watched)
            with self._lock:
                if self._watched == watched and lines:
                    self._screen.show(lines)
            drawn_s = time.monotonic()

    def _lines(self, watched: list[_Watched]) -> list[str]:
        columns, rows = self._screen.size()
        shown = [one for one in watched if self._has_table and time.monotonic() - one.begun_s >= _WORTH_S]
        room = rows - 2
        lines: list[str] = []
        for one in shown:
            part = one.looks.rows(one.run._core.stats())
            lines += table(part, one.looks.seconds, columns - 1, room - len(lines), self._style)
        return lines

    def _say(self, one: _Watched) -> None:
        """Of a run that failed its error is told, not its speed."""
        stats = one.run.stats()
        if stats.seconds < _WORTH_S or one.run._core.failure() is not None:
            return
        processor_s = time.process_time() - one.processor_s
        columns, _ = self._screen.size()
        text = ""
        for line in summary(stats, processor_s):
            text += (
                textwrap.fill(line, max(columns - 1, 20), initial_indent="penstock: ", subsequent_indent="  ") + "\n"
            )
        encoding = self._stream.encoding or "utf-8"
        self._screen.write(self._stream, text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()
