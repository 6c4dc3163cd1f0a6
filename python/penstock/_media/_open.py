"""Opening what FFmpeg reads, within limits: sizes, and for the network times."""

from __future__ import annotations

import os
import time
from typing import Any

from ..errors import MediaError
from ._where import Place, without_password

MAX_PIXELS = 8192 * 8192
"""Larger frames are refused, unless ``max_pixels=`` or PENSTOCK_MAX_PIXELS says otherwise."""

_LONGEST_LOOK_S = 5.0
_LATE = "no answer in time (timeout_ms=)"
_TEXT_FORMATS = ("tty",)  # shows any text as a picture of a terminal


def max_pixels_of(given: int | None) -> int:
    """The limit that counts: what was given, or the environment's, or the usual one."""
    value: Any = given
    if value is None:
        value = os.environ.get("PENSTOCK_MAX_PIXELS") or MAX_PIXELS
    try:
        limit = int(value)
    except (TypeError, ValueError):
        limit = 0
    if not 0 < limit < 2**31:
        raise MediaError(f"source: max_pixels={value!r} does not fit: a number of pixels from 1 to {2**31 - 1}")
    return limit


def open_video(place: Place, max_pixels: int, timeout_s: float | None = None) -> tuple[Any, Any]:
    """The container and its first video stream. MediaError names what is no video, or larger than the limit."""
    import av

    options = {"max_pixels": str(max_pixels), "pattern_type": "none"}
    if place.url.startswith("rtsp"):
        options["rtsp_flags"] = "prefer_tcp"
    if timeout_s is not None:  # looking at the first frames takes its time from that of opening
        options["analyzeduration"] = str(int(1e6 * min(timeout_s / 2, _LONGEST_LOOK_S)))
    begun = time.monotonic()
    try:
        container = av.open(place.url, format=place.format, options=options, timeout=timeout_s)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        # A protocol that was interrupted says anything.
        is_late = timeout_s is not None and time.monotonic() - begun >= timeout_s
        why = _LATE if is_late else reason(error)
        told = MediaError(f"source: {place.shown} can't be opened as a video: {why}")
        raise told from (None if place.has_password else error)  # FFmpeg's error names the URL
    try:
        return container, _video(container, place, max_pixels)
    except BaseException:
        container.close()
        raise


def _video(container: Any, place: Place, max_pixels: int) -> Any:
    if container.format.name in _TEXT_FORMATS:
        raise MediaError(f"source: {place.shown} is text and no video")
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise MediaError(f"source: {place.shown} has no video in it that can be decoded")
    context = stream.codec_context
    if context.width * context.height > max_pixels:
        raise MediaError(
            f"source: {place.shown} has frames of {context.width} x {context.height} pixels, above the limit of "
            f"{max_pixels}; raise it with max_pixels= or PENSTOCK_MAX_PIXELS"
        )
    if not context.is_open:
        context.options = {"max_pixels": str(max_pixels)}
    # Frames of several threads come late by as many.
    stream.thread_type = "SLICE" if place.is_live else "AUTO"
    return stream


def reason(error: BaseException) -> str:
    """What FFmpeg says, with no path (we name it) and no password."""
    import av

    if isinstance(error, av.error.ExitError):
        return _LATE
    return without_password(str(getattr(error, "strerror", None) or error)).removeprefix("[Errno").strip()
