"""What a source is told to read: files, globs, URLs and cameras, each with a name."""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ArgumentTypeError, MediaError

_CAMERA = "v4l2:"
_NETWORK = ("rtsp://", "rtsps://", "http://", "https://")


@dataclass(frozen=True)
class Place:
    """One thing to read: how FFmpeg opens it, how people see it, and what the source is called."""

    url: str
    shown: str
    label: str
    format: str | None = None
    is_live: bool = False
    """It may make its reader wait: network, camera, pipe. Others are files."""

    @property
    def has_password(self) -> bool:
        return without_password(self.url) != self.url


def places_of(what: Any) -> list[Place]:
    """What a path, a glob or a URL stands for. MediaError if nothing is there."""
    if isinstance(what, bytes) or not isinstance(what, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"source: {type(what).__name__} is not accepted; expected a path, a glob, a URL, a flow or a list of them"
        )
    text = os.fspath(what)
    if not text:
        raise MediaError("source: an empty string names no file")
    if text.startswith(_CAMERA):
        return [_camera(text)]
    if text.startswith(_NETWORK):
        return [_network(text)]
    if "://" in text and not Path(text).exists():
        raise MediaError(f"source: {text} is no URL that can be read; expected {', '.join(_NETWORK)} or v4l2:0")
    if glob.has_magic(text) and not Path(text).exists():
        found = sorted(path for path in glob.glob(text, recursive=True) if not Path(path).is_dir())
        if not found:
            raise MediaError(f"source: no file matches {text}")
        return [_file(path) for path in found]
    return [_file(text)]


def _file(text: str) -> Place:
    try:
        status = os.stat(text)
    except OSError as error:
        raise MediaError(f"source: there is no file {text} ({error.strerror})") from error
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"source: {text} is a directory; name its files by a glob, {text.rstrip('/')}/*.mp4")
    if stat.S_ISREG(status.st_mode):
        if status.st_size == 0:
            raise MediaError(f"source: {text} is empty: 0 bytes")
        return Place(f"file:{text}", text, _label(Path(text).stem))
    is_camera = re.fullmatch(r"/dev/video\d+", os.path.realpath(text)) is not None
    return Place(text, text, _label(Path(text).stem), "v4l2" if is_camera else None, is_live=True)


def _camera(text: str) -> Place:
    device = text[len(_CAMERA) :]
    path = f"/dev/video{device}" if device.isdecimal() else device
    if not Path(path).exists():
        raise MediaError(f"source: {text}: there is no camera {path}")
    return Place(path, text, _label(Path(path).name), "v4l2", is_live=True)


def _network(text: str) -> Place:
    parts = urlsplit(text)
    if not parts.hostname:
        raise MediaError(f"source: {text} names no host")
    last = Path(parts.path).stem if parts.path.strip("/") else ""
    return Place(text, without_password(text), _label(last or parts.hostname), is_live=True)


def without_password(text: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(?<=://)([^/:]*):[^/]*@", r"\1:***@", text)


def _label(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text) or "source"
