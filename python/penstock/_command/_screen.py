"""A few lines below what a program prints, on the same terminal.

The cursor stays where the program writes; the lines are below it, and no mode of the terminal is changed, so that
there is nothing to restore, however the program ends. What is written through ``sys.stdout`` and ``sys.stderr`` erases
the rest of each line that it goes over; the lines are then drawn again. What others write there (C code, children)
goes over them too, until they are drawn again a moment later.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, TextIO

_ERASE_BELOW = "\x1b[J"
_ERASE_LINE = "\x1b[K"
_DOWN = "\x1bD"  # scrolls at the end, and keeps the column
_SAVE, _RESTORE = "\x1b7", "\x1b8"


def can_move_cursor() -> bool:
    """The terminal understands control codes."""
    return os.environ.get("TERM", "") not in ("", "dumb")


class Screen:
    """Lines at the end of the terminal that ``stream`` is. Thread-safe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.fileno()
        self._lock = threading.RLock()  # a signal's handler may print while its thread does
        self._is_shown = False
        self._taken: list[tuple[str, _Through]] = []
        self.changed = threading.Event()
        os.register_at_fork(after_in_child=self._forget)

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            size = os.get_terminal_size(self._terminal)
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def show(self, lines: list[str]) -> None:
        """Draws these in place of what was there."""
        if not self._is_in_foreground():
            return
        with self._lock:
            if not lines:
                self.clear()
                return
            self._take_streams()
            self._is_shown = True
            count = len(lines)
            below = "".join(f"\r\n{line}" for line in lines)
            self._write(f"{_ERASE_BELOW}{_DOWN * count}\x1b[{count}A{_SAVE}{below}{_RESTORE}")

    def clear(self) -> None:
        """Nothing of it is left; the streams are as they were."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                self._write(_ERASE_BELOW)
            for name, through in self._taken:
                if getattr(sys, name) is through:
                    setattr(sys, name, through._stream)
            self._taken = []

    def write(self, stream: TextIO, text: str) -> int:
        """What the program prints."""
        with self._lock:
            if not self._is_shown:
                return stream.write(text)
            stream.write(text.replace("\n", f"{_ERASE_LINE}\n"))
        self.changed.set()
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone
            self._is_shown = False

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:
            return True  # not the terminal that this process is controlled by

    def _take_streams(self) -> None:
        if self._taken:
            return
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_same(stream, self._terminal):
                through = _Through(stream, self)
                setattr(sys, name, through)
                self._taken.append((name, through))

    def _forget(self) -> None:
        """In a forked child: the lines are the parent's."""
        self._lock = threading.RLock()
        self._is_shown = False
        self.clear()


def _is_same(stream: Any, terminal: int) -> bool:
    try:
        return os.fstat(stream.fileno()).st_rdev == os.fstat(terminal).st_rdev
    except (AttributeError, OSError, ValueError):
        return False


class _Through:
    """A stream whose text passes the screen."""

    def __init__(self, stream: TextIO, screen: Screen) -> None:
        self._stream = stream
        self._screen = screen

    def write(self, text: str) -> int:
        return self._screen.write(self._stream, text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
