"""How far a run is: one line that is rewritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time


class Progress:
    def __init__(self, total: int) -> None:
        self._total = total
        self._start = time.monotonic()
        self._shown = self._start
        self._is_live = sys.stderr.isatty()

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        if now - self._shown >= (0.1 if self._is_live else 2.0):
            self._shown = now
            self._show(count, "" if self._is_live else "\n")

    def end(self, count: int) -> None:
        self._show(count, "\n")

    def _show(self, count: int, ending: str) -> None:
        rate = count / max(time.monotonic() - self._start, 1e-9)
        line = f"frame {count} of {self._total}, {rate:.0f} a second"
        print(f"\r{line}  " if self._is_live else line, end=ending, file=sys.stderr, flush=True)
