"""One video file that is written: its codec, its colours, the times of its frames, and a proper end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from .. import _core
from ..errors import MediaError, TensorError

_H264 = ("libx264", "libopenh264", "mpeg4")
_TIME_BASE = Fraction(1, 90_000)
# What the file says of its colours (ISO/IEC 23091-2), and how the conversion is called.
_MATRICES = {"bt601": (6, "ITU601"), "bt709": (1, "ITU709"), "bt2020": (9, "BT2020")}
_LIMITED = 1


class VideoFile:
    """Open from the first frame, which decides about sizes, to close(). MediaError names the file."""

    def __init__(self, path: str, size: tuple[int, int], rate: float, matrix: str) -> None:
        import av

        self.path = path
        self._size = size  # height, width
        self._step = max(1, round(_TIME_BASE.denominator / rate))
        self._last = -1
        self._first: float | None = None
        self._has_failed = False
        with self._named("can't be written"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(path, "w")
        try:
            with self._named("can't be written"):
                self._video = self._container.add_stream(
                    _codec(self._container), Fraction(rate).limit_denominator(1001)
                )
                self._set_up(matrix)
        except BaseException:
            self._container.close()
            raise

    def _set_up(self, matrix: str) -> None:
        from av.video.reformatter import VideoReformatter

        context = self._video.codec_context
        self._video.height, self._video.width = (n + n % 2 for n in self._size)  # encoders take even sizes
        formats = [one.name for one in context.codec.video_formats or ()]
        self._format = "yuv420p" if "yuv420p" in formats or not formats else formats[0]
        self._video.pix_fmt = self._format
        context.time_base = _TIME_BASE
        self._reformatter: Any = VideoReformatter()
        self._matrix = matrix if matrix in _MATRICES else "bt601"
        tag, self._swscale_matrix = _MATRICES[self._matrix]
        if self._format.startswith("yuv"):
            context.colorspace, context.color_range = tag, _LIMITED
        if context.name == "libx264":
            # With B-frames the length of an .mp4 would leave out gaps at its end.
            self._video.options = {"crf": "18", "preset": "veryfast", "bf": "0"}

    def write(self, image: Any, seconds: float | None) -> None:
        """A frame, (height, width, 3), (height, width) or what to_planes() gave, at a time of its source."""
        if not is_converted(image):
            self._check_size(image)
        with self._named("can't be written"):
            frame = image if is_converted(image) else self._converted(image)
            frame.pts = self._time(seconds)
            frame.time_base = _TIME_BASE
            frame.duration = self._step
            self._container.mux(self._video.encode(frame))

    def takes_planes(self, image: Any) -> bool:
        return image.ndim == 3 and self._format == "yuv420p"

    def to_planes(self, image: Any) -> Any:
        """A frame of PyAV's in the file's format. From any thread, while another frame is written."""
        import av
        import numpy as np

        self._check_size(image)
        packed = np.ascontiguousarray(_even(image))  # views may be mirrored, or BGR
        planes = _core.cvt_color(packed, "RGB", "I420", matrix=self._matrix, range="limited")
        rows = planes.numpy()[..., 0]
        # PyAV's other way copies; this one takes the height for a multiple of 4.
        make = av.VideoFrame.from_numpy_buffer if len(rows) % 6 == 0 else av.VideoFrame.from_ndarray
        return make(rows, self._format)

    def _check_size(self, image: Any) -> None:
        if image.shape[:2] != self._size:
            raise TensorError(
                f"sink: a frame of {image.shape[1]} x {image.shape[0]} came to {self.path}, which has frames of "
                f"{self._size[1]} x {self._size[0]}; ps.resize makes them equal"
            )

    def _converted(self, image: Any) -> Any:
        """A frame in the file's format; what is rare is left to swscale, which takes ten times as long."""
        import av

        if self.takes_planes(image):
            return self.to_planes(image)
        frame = av.VideoFrame.from_ndarray(_even(image), "gray" if image.ndim == 2 else "rgb24")
        if not self._format.startswith("yuv"):
            return frame
        return self._reformatter.reformat(
            frame,
            format=self._format,
            dst_colorspace=self._swscale_matrix,
            src_color_range="JPEG",
            dst_color_range="MPEG",
            threads=1,
        )

    def _time(self, seconds: float | None) -> int:
        """The source's times, as far as they grow; else one frame after the other."""
        if self._first is None:
            self._first = seconds
        since = 0.0 if seconds is None or self._first is None else seconds - self._first
        now = round(since * _TIME_BASE.denominator)
        self._last = now if now > self._last else self._last + self._step
        return self._last

    def close(self) -> None:
        """What is written until now becomes a file that plays. After a failure silent: that was told."""
        had_failed = self._has_failed
        try:
            with self._named("can't be finished"):
                if not had_failed:
                    self._container.mux(self._video.encode(None))
                self._container.close()
        except MediaError:
            with contextlib.suppress(Exception):
                self._container.close()
            if not had_failed:
                raise

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._has_failed = True
            why = getattr(error, "strerror", None) or error
            raise MediaError(f"sink: {self.path} {what}: {why}") from error
        except BaseException:
            self._has_failed = True  # encoding on after a failure may crash
            raise


def is_converted(image: Any) -> bool:
    import av

    return isinstance(image, av.VideoFrame)


def _even(image: Any) -> Any:
    """An odd last row or column is doubled."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    import numpy as np

    return np.pad(image, [(0, height % 2), (0, width % 2), (0, 0)][: image.ndim], mode="edge")


def _codec(container: Any) -> str:
    """H.264 where the format takes it, else what the format is made for."""
    import av

    usual = container.default_video_codec
    takes_h264 = container.format.name == "mpegts" or "h264" in container.supported_codecs
    for name in (*(_H264 if takes_h264 else ()), {"vp9": "libvpx-vp9", "vp8": "libvpx"}.get(usual, usual)):
        if name in av.codecs_available:
            return str(name)
    raise MediaError(f"sink: this build of PyAV has no encoder for {container.format.name}; try .mp4")
