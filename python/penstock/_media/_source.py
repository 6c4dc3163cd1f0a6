"""``ps.source``: frames of video files, as flows."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from .. import _core
from .._core import message
from .._flow import Flow, flow_of, merge
from .._operation import Operation
from .._operator import operator
from ..errors import ArgumentTypeError, MediaError
from ._frames import planes_of

_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "v4l2:")


def source(
    what: Any,
    *,
    device: Any = None,
    policy: str = "block",
    format: str = "RGB",
    name: str | None = None,
) -> Flow:
    """Frames of a video file, a glob of them, or a list of these: each is a source with its own name, time and order.

    Messages are u8 HWC RGB tensors; with ``format="native"`` tuples of planes as they come. ``ps.message()`` says their
    time in seconds and, as metadata, ``matrix``, ``range``, ``rotation`` (degrees) and ``rate`` (frames a second).
    ``policy="latest"`` drops frames that a consumer is too slow for. MediaError for what is not there or no video.
    """
    if format not in ("RGB", "native"):
        raise MediaError(f'source: format={format!r}; it is "RGB" or "native"')
    if policy not in ("block", "latest"):
        raise MediaError(f'source: policy={policy!r}; it is "block" or "latest"')
    flows = [_one(path, format, policy, name) for path in _paths(what)]
    return flows[0] if len(flows) == 1 else merge(*flows, name=name)


def _paths(what: Any) -> list[str]:
    if isinstance(what, (list, tuple)):
        paths = [path for item in what for path in _paths(item)]
        if not paths:
            raise MediaError("source: the list is empty")
        return paths
    if not isinstance(what, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"source: {type(what).__name__} is not accepted; expected a path, a glob or a list of them"
        )
    text = os.fspath(what)
    if text.startswith(_SCHEMES):
        return [text]
    if glob.has_magic(text) and not Path(text).exists():
        found = sorted(glob.glob(text))
        if not found:
            raise MediaError(f"source: no file matches {text}")
        return found
    if not Path(text).exists():
        raise MediaError(f"source: there is no file {text}")
    if Path(text).is_dir():
        raise MediaError(f"source: {text} is a directory; name its files by a glob, {text.rstrip('/')}/*.mp4")
    return [text]


def _one(path: str, format: str, policy: str, name: str | None) -> Flow:
    label = name or Path(path.split("?")[0]).stem or "source"
    frames = flow_of(_decode(path=path, native=format == "native", name=label), "source")
    if format == "RGB":
        native = partial(_core._cvt_color_node, "", "RGB", None, None)
        frames = Operation("rgb", lambda src: src, native, {"name": f"{label}_rgb"})(frames)
    if policy == "latest":  # whoever is slow gets the newest
        frames._node.outputs[0].update(policy="drop_oldest", capacity=1)
    return frames


def _open(path: str) -> Any:
    import av

    try:
        container = av.open(path)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"source: {path} can't be opened as a video: {error}") from error
    if not container.streams.video:
        container.close()
        raise MediaError(f"source: {path} has no video in it")
    return container


@operator
def _decode(*, path: str, native: bool) -> Iterator[Any]:
    import av

    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        count = 0
        try:
            for frame in container.decode(stream):
                about = message()
                about.time = float(frame.time) if frame.time is not None else count / float(rate)
                format, planes = planes_of(frame, native)
                about.metadata.update(_about(frame, rate), format=format)
                count += 1
                yield planes
        except av.error.InvalidDataError as error:
            if count == 0:
                raise MediaError(f"source: {path} is no video that can be decoded: {error}") from error
            warnings.warn(f"source: {path} is damaged after {count} frames: {error}", stacklevel=1)
        if count == 0:
            raise MediaError(f"source: {path} has no frame in it")
        expected = stream.frames
        if expected and count < expected:
            warnings.warn(f"source: {path} gave {count} frames of {expected}: it is truncated", stacklevel=1)


def _about(frame: Any, rate: Fraction) -> dict[str, Any]:
    space = int(frame.colorspace)
    matrix = {1: "bt709", 9: "bt2020", 10: "bt2020"}.get(space, "bt601")
    return {
        "matrix": matrix,
        "range": "full" if int(frame.color_range) == 2 else "limited",
        "rotation": int(getattr(frame, "rotation", 0) or 0),
        "rate": float(rate),
    }
