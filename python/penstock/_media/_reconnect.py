"""A live source over its connections: what is a cut and what an end, and how long to wait before the next try."""

from __future__ import annotations

import contextlib
import errno
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import MediaError
from ._decode import Decoder
from ._frames import about, planes_of
from ._open import open_video, reason
from ._times import Times
from ._where import Place

Item = tuple[Any, float, dict[str, Any]]
"""Planes, time in seconds, metadata."""
_NO_TIMES = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS: pictures follow each other as they come (MJPEG cameras)
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0


@dataclass(frozen=True)
class Wanted:
    """What to read, and how."""

    place: Place
    native: bool
    max_pixels: int
    timeout_s: float
    reconnect: bool


class Connections:
    """Iterating gives (planes, time, metadata) until the source ends. MediaError for a cut, unless it reconnects.

    ``wait(seconds)`` is false once nobody wants more.
    """

    def __init__(self, wanted: Wanted, wait: Callable[[float], bool]) -> None:
        self._wanted = wanted
        self._wait = wait
        self._times = Times()
        self._frames = 0
        self._begun = time.monotonic()

    def go_on(self, wait: Callable[[float], bool]) -> Connections:
        """The same source, read anew: the reader so far is stuck."""
        other = Connections(self._wanted, wait)
        other._frames, other._begun = self._frames, self._begun
        other._times = self._times.after_cut()
        return other

    @property
    def comes_back(self) -> bool:
        """After a cut: only what was there once."""
        return self._wanted.reconnect and self._frames > 0

    def __iter__(self) -> Iterator[Item]:
        pause = _FIRST_WAIT_S
        has_warned = False
        while self._wait(0):
            seen = self._frames
            try:
                cut = yield from self._connection()
            except MediaError as error:
                if not self.comes_back:
                    raise
                cut = str(error)
            if cut is None or not self._wait(0):
                return
            if self._frames > seen:
                pause, has_warned = _FIRST_WAIT_S, False
            self.check_cut(cut, has_warned)
            has_warned = True
            self._times.cut()
            if not self._wait(pause):
                return
            pause = min(2 * pause, _LONGEST_WAIT_S)

    def check_cut(self, cut: str, has_warned: bool = False) -> None:
        """MediaError where the source does not come back; else a warning."""
        name = self._wanted.place.shown
        if not self.comes_back:
            if self._frames == 0:
                raise MediaError(f"source: {name} gave no frame: {cut}")
            hint = "reconnect=True connects again after a cut"
            raise MediaError(f"source: {name} was cut after {self._frames} frames: {cut}; {hint}")
        if not has_warned:
            text = f"source: {name} was cut after {self._frames} frames: {cut}; connecting again"
            warnings.warn(text, stacklevel=1)

    def _connection(self) -> Generator[Item, None, str | None]:
        """One connection. Gives why it was cut, None at the end of the source."""
        wanted = self._wanted
        container, stream = open_video(wanted.place, wanted.max_pixels, wanted.timeout_s)
        with container:
            is_finite = _has_end(container)
            is_resumed = is_finite and self._frames > 0
            if is_resumed:
                self._times.resume()
                _seek(container, self._times.last or 0.0)
            has_times = is_finite or not container.format.flags & _NO_TIMES
            decoder = Decoder(container, stream, lambda: self._wait(0))
            for frame in decoder:
                if is_resumed and self._times.is_old(frame.time):
                    continue
                format, planes = planes_of(frame, wanted.native)
                told = about(frame, format, decoder.rate)
                stamp = frame.time if has_times else time.monotonic() - self._begun
                shown = self._times.next(stamp, decoder.step)
                del frame
                self._frames += 1
                yield planes, shown, told
            return self._why_it_ended(decoder, is_finite)

    def _why_it_ended(self, decoder: Decoder, is_finite: bool) -> str | None:
        error = decoder.error
        if error is not None and getattr(error, "errno", 0) != errno.EIO:
            return reason(error)
        if is_finite and error is None:
            return decoder.complaint()
        url = self._wanted.place.url
        if error is None and not url.startswith(("http", "rtsp")):
            return None if decoder.frames else "it ended"
        if url.startswith("rtsp") or is_finite or self._wanted.reconnect or self._frames == 0:
            return "the connection was closed"
        warnings.warn(
            f"source: {self._wanted.place.shown} was closed after {self._frames} frames; it does not say whether that "
            "is its end, and reconnect=True would connect again",
            stacklevel=1,
        )
        return None


def _seek(container: Any, seconds: float) -> None:
    """Near to it; where that can't be done it is read again from the start."""
    import av

    with contextlib.suppress(av.error.FFmpegError, OSError):
        container.seek(int(seconds * 1e6))


def _has_end(container: Any) -> bool:
    """It has a known length: its end is an end and no cut."""
    if container.duration:
        return True
    try:
        return bool(container.size > 0)
    except (OSError, ValueError):
        return False
