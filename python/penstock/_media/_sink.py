"""``ps.sink``: a flow of frames into video files."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

from .._core import as_tensor, message
from .._flow import Flow
from .._operator import operator
from ..errors import MediaError, TensorError

_CODECS = ("libx264", "libopenh264", "mpeg4")
_TIME_BASE = Fraction(1, 90_000)


def sink(flow: Any, path: str | os.PathLike[str], *, rate: float | None = None, name: str | None = None) -> Flow:
    """Writes frames (u8, HWC RGB or HW) to a video file; ``{source}`` in the path gives each source a file of its own.

    The frame rate is the source's, or ``rate`` frames a second. The file is finished when the flow ends, also by
    Ctrl-C. MediaError names the file that can't be written.
    """
    text = os.fspath(path)
    if not Path(text).suffix:
        raise MediaError(f"sink: {text} has no ending that says the format; .mp4 for example")
    per = "source" if "{source}" in text else None
    writer: Any = _Writer  # the decorator made an operator of it
    written: Flow = writer(path=text, rate=rate)(flow, name=name or "sink", per=per)
    return written


@operator(outputs=())
class _Writer:
    """One file for each instance: with {source} in the path one for each source."""

    def __init__(self, *, path: str, rate: float | None = None) -> None:
        self._pattern = path
        self._rate = rate
        self._container: Any = None
        self._path = path
        self._source: str | None = None
        self._last = -1

    def __call__(self, frame: Any) -> None:
        import av

        about = message()
        image = as_tensor(frame).numpy()
        if image.dtype != "uint8" or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
            raise TensorError(
                f"sink: a frame is {image.dtype} {image.shape}; expected uint8, (height, width, 3) RGB or (height, width)"
            )
        image = _even(image)
        if self._container is None:
            self._open(about, image)
        elif about.origin.source != self._source and "{source}" not in self._pattern:
            raise MediaError(
                f"sink: frames of {self._source} and {about.origin.source} come to {self._path}; "
                "put {source} into the path to write a file for each"
            )
        gray = image.ndim == 2 or image.shape[2] == 1
        coded = av.VideoFrame.from_ndarray(
            image.reshape(image.shape[:2]) if gray else image, "gray" if gray else "rgb24"
        )
        self._write(coded, about)

    def _open(self, about: Any, image: Any) -> None:
        import av

        self._source = about.origin.source
        self._path = self._pattern.replace("{source}", self._source)
        rate = self._rate or about.metadata.get("rate") or 25.0
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(self._path, "w")
            self._video = self._container.add_stream(_codec(), Fraction(rate).limit_denominator(1001))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"sink: {self._path} can't be written: {error}") from error
        self._video.height, self._video.width = image.shape[:2]
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = _TIME_BASE
        if self._video.codec_context.name == "libx264":
            self._video.options = {"crf": "18", "preset": "veryfast"}
        self._step = max(1, round(_TIME_BASE.denominator / rate))
        self._first = about.time

    def _write(self, frame: Any, about: Any) -> None:
        import av

        # The source's times, as far as they grow; else one frame after the other.
        since = 0.0 if about.time is None or self._first is None else about.time - self._first
        now = round(since * _TIME_BASE.denominator)
        frame.pts = now if now > self._last else self._last + self._step
        frame.time_base = _TIME_BASE
        self._last = frame.pts
        try:
            self._container.mux(self._video.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"sink: {self._path} can't be written: {error}") from error

    def close(self) -> None:
        import av

        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._video.encode(None))
            container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"sink: {self._path} can't be finished: {error}") from error


def _even(image: Any) -> Any:
    """Encoders take even sizes: an odd last row or column is doubled."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    import numpy as np

    return np.pad(image, [(0, height % 2), (0, width % 2), (0, 0)][: image.ndim], mode="edge")


def _codec() -> str:
    import av

    for name in _CODECS:
        if name in av.codecs_available:
            return name
    raise MediaError("sink: this build of PyAV has no H.264 or MPEG-4 encoder; install the package av from PyPI")
