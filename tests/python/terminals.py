"""Programs on a terminal: what they write, and what a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte


class Terminal:
    """Runs ``penstock ARGUMENTS`` on a terminal of a size."""

    def __init__(self, *arguments, columns=80, lines=24, **environment):
        self.columns, self.lines = columns, lines
        self.raw = b""
        self.screen = pyte.HistoryScreen(columns, lines, history=5000)
        self._stream = pyte.ByteStream(self.screen)
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            words = {"TERM": "xterm", "PYTHONUNBUFFERED": "1", **environment}
            words = {**{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}, **words}
            time.sleep(0.1)  # the size is set meanwhile
            os.execve(sys.executable, [sys.executable, "-m", "penstock", *map(str, arguments)], words)
        self._set_size(lines, columns)
        self.exit_code = None

    def _set_size(self, lines, columns):
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, lines, columns):
        self.screen.resize(lines, columns)
        self._set_size(lines, columns)

    def until(self, condition, seconds=30.0):
        """Reads until the condition is true of the screen; at the end of the program at the latest."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            if not self._read():
                return condition(self)
        return True

    def finish(self, seconds=30.0):
        """All that it writes; gives the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, "the program did not end"
        _, status = os.waitpid(self.process, 0)
        os.close(self._terminal)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def interrupt(self):
        os.kill(self.process, signal.SIGINT)

    def text(self):
        """What is on the screen, and what has left it at the top."""
        gone = ["".join(line[x].data for x in range(self.columns)).rstrip() for line in self.screen.history.top]
        return [*gone, *(line.rstrip() for line in self.screen.display)]

    def has(self, word):
        return any(word in line for line in self.screen.display)

    def _read(self):
        ready, _, _ = select.select([self._terminal], [], [], 0.05)
        if not ready:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # the last end of it is closed
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)
