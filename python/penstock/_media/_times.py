"""The times of a live source's frames, which grow whatever its clock does."""

from __future__ import annotations

import time


class Times:
    """The stream's own times as long as they grow; after a cut they go on by the clock on the wall."""

    def __init__(self) -> None:
        self.last: float | None = None
        self._shift = 0.0
        self._came = 0.0
        self._is_cut = False

    def cut(self) -> None:
        """The next frame comes by another connection."""
        self._is_cut = True

    def resume(self) -> None:
        """The next connection has the same times: what was sent already is to be passed over."""
        self._is_cut = False

    def after_cut(self) -> Times:
        """For another reader, which goes on where this one was."""
        other = Times()
        other.last, other._came, other._is_cut = self.last, self._came, True
        return other

    def is_old(self, seconds: float | None) -> bool:
        """Not after the last frame that was sent."""
        return seconds is not None and self.last is not None and seconds + self._shift <= self.last

    def next(self, seconds: float | None, step: float) -> float:
        """The time of the next frame; ``seconds`` by the stream's clock, ``step`` after the last where it has none."""
        now = time.monotonic()
        if self.last is None:
            shown = seconds or 0.0
        else:
            least = self.last + (max(step, now - self._came) if self._is_cut else step)
            shown = least if seconds is None or self._is_cut else seconds + self._shift
            if seconds is not None and shown <= self.last:
                shown = least
            if seconds is not None:
                self._shift = shown - seconds
        self.last, self._came, self._is_cut = shown, now, False
        return shown
