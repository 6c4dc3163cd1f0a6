"""``ps.sink``: a flow of frames into video files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .._core import as_tensor, message
from .._flow import Flow
from .._operator import operator
from ..errors import MediaError, TensorError
from ._encode import VideoFile, is_converted
from ._pyav import need_pyav

_RATE = 25.0


def sink(flow: Any, path: str | os.PathLike[str], *, rate: float | None = None, name: str | None = None) -> Flow:
    """Writes frames (u8, HWC RGB or HW) to a video file; ``{source}`` in the path gives each source a file of its own.

    The ending says the format: .mp4, .mkv, .avi, .webm. Frames keep the times that their source gave them; with
    ``rate``, or where there are none, they follow each other at ``rate`` (25) frames a second. Frames are written as they are: with no rotation, and an odd
    height or width gets its last row or column twice. The file is finished when the flow ends, also by an error or by
    Ctrl-C. MediaError names the file that can't be written, TensorError says what is no frame.
    """
    text = os.fspath(path)
    if not Path(text).suffix:
        raise MediaError(f"sink: {text} has no ending that says the format; .mp4 for example")
    if rate is not None and not rate > 0:
        raise MediaError(f"sink: rate={rate!r} does not fit: frames a second, above 0")
    need_pyav("sink")
    per = "source" if "{source}" in text else None
    converter: Any = _Converter  # the decorator made operators of them
    writer: Any = _Writer
    opened: dict[str, VideoFile] = {}
    converted = converter(path=text, opened=opened)(flow, per=per)
    converted._node.kind = f"{name or 'sink'}_yuv"
    written: Flow = writer(path=text, rate=rate, opened=opened)(converted, name=name, per=per)
    written._node.kind = "sink"
    return written


@operator
class _Converter:
    """Converts a frame while the writer, which is often what all wait for, encodes the one before.

    What it converts to is known once the writer's file is open; frames that come before are left to the writer.
    """

    def __init__(self, *, path: str, opened: dict[str, VideoFile]) -> None:
        self._pattern = path
        self._opened = opened

    def __call__(self, frame: Any) -> Any:
        image = _image(frame)
        file = self._opened.get(self._pattern.replace("{source}", message().origin.source))
        return file.to_planes(image) if file is not None and file.takes_planes(image) else frame


@operator(outputs=())
class _Writer:
    """One file for each instance: with {source} in the path one for each source."""

    def __init__(self, *, path: str, opened: dict[str, VideoFile], rate: float | None = None) -> None:
        self._pattern = path
        self._rate = rate
        self._opened = opened
        self._file: VideoFile | None = None
        self._source: str | None = None

    def __call__(self, frame: Any) -> None:
        about = message()
        image = frame if is_converted(frame) else _image(frame)
        if self._file is None:
            self._source = about.origin.source
            path = self._pattern.replace("{source}", self._source)
            rate = float(self._rate or about.metadata.get("rate") or _RATE)
            matrix = str(about.metadata.get("matrix", "bt601"))
            self._file = self._opened[path] = VideoFile(path, image.shape[:2], rate, matrix)
        elif about.origin.source != self._source and "{source}" not in self._pattern:
            raise MediaError(
                f"sink: frames of {self._source} and {about.origin.source} come to {self._file.path}; "
                "put {source} into the path to write a file for each"
            )
        has_time = self._rate is None and about._has_time
        self._file.write(image, about.time if has_time else None)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._opened.pop(file.path, None)
            file.close()


def _image(frame: Any) -> Any:
    """The frame as an array (height, width, 3) or (height, width)."""
    tensor = as_tensor(frame)
    if tensor.device != "cpu":
        tensor = tensor.cpu()
    image = tensor.numpy()
    if image.dtype != "uint8" or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise TensorError(
            f"sink: a frame is {image.dtype} {image.shape}; expected uint8, (height, width, 3) RGB or (height, width)"
        )
    if 0 in image.shape:
        raise TensorError(f"sink: a frame is empty: {image.shape}")
    return image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
