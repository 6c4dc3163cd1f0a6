"""The frames of an open video, what is known of each, and what was amiss with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Decoder:
    """Iterating gives the frames that are there. What can't be decoded is counted and passed over; what ends the
    reading before the end is kept as ``error``.
    """

    def __init__(self, container: Any, stream: Any, is_wanted: Callable[[], bool] = lambda: True) -> None:
        self._container = container
        self._stream = stream
        self._is_wanted = is_wanted  # asked for each packet
        self.rate = float(stream.average_rate or stream.guessed_rate or 25)
        self.step = 1 / self.rate
        self.frames = 0
        self.damaged = 0
        self.error: Exception | None = None
        self._end: float | None = None  # of the last frame

    def __iter__(self) -> Iterator[Any]:
        import av

        # Once reading has failed, what the decoder still holds.
        for packet in self._packets():
            try:
                frames = packet.decode() if packet is not None else self._stream.codec_context.decode(None)
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if frame.time is not None:
                    shown = frame.duration * float(frame.time_base) if frame.duration else self.step
                    self._end = frame.time + shown
                self.frames += 1
                yield frame

    def _packets(self) -> Iterator[Any]:
        import av

        try:
            for packet in self._container.demux(self._stream):
                if not self._is_wanted():
                    return
                self.damaged += bool(packet.size and packet.is_corrupt)
                yield packet
        except (av.error.FFmpegError, OSError) as error:
            self.error = error
            yield None

    def complaint(self) -> str | None:
        """What was amiss, for people, once all frames were given; None for a whole file."""
        expected = self._stream.frames
        count = f"{self.frames} frames" + (f" of {expected}" if expected > self.frames else "")
        if self.error is not None:
            return f"it is damaged and can't be read after {count}"
        missing = self._missing()
        if missing > 0:
            return f"it is truncated: it gave {count}, {missing:.2f} s are missing"
        if self.damaged:
            return f"it is damaged: it gave {count}, {self.damaged} packets could not be decoded"
        return None

    def _missing(self) -> float:
        """Seconds at the end that the header promised, if they are more than a few frames."""
        promised = self._promised_end()
        if promised is None or self._end is None:
            return 0.0
        missing = promised - self._end
        return missing if missing > max(3 * self.step, 0.02 * promised) else 0.0

    def _promised_end(self) -> float | None:
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        return _seconds(stream.metadata.get("DURATION", ""))


def _seconds(clock: str) -> float | None:
    """ "01:02:03.5" in seconds."""
    try:
        hours, minutes, seconds = clock.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None
