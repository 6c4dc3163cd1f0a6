"""Video files that the demo shows, and what their headers say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError


@dataclass(frozen=True)
class Clip:
    path: Path
    name: str
    height: int
    width: int
    frames: int

    def size_within(self, most: tuple[int, int]) -> tuple[int, int]:
        """The largest even (height, width) of this shape that fits."""
        scale = min(most[0] / self.height, most[1] / self.width)
        return max(2, round(self.height * scale) & ~1), max(2, round(self.width * scale) & ~1)


def clips_of(paths: Sequence[Path]) -> list[Clip]:
    """A clip for each path, each with a name of its own. MediaError for what is no video."""
    names: set[str] = {"wall", "sink"}  # those that the graph has already
    clips: list[Clip] = []
    for path in paths:
        stem = path.stem or "clip"
        name, number = stem, 1
        while {name, f"{name}_rgb"} & names:
            number += 1
            name = f"{stem}_{number}"
        names |= {name, f"{name}_rgb"}
        clips.append(_look_at(path, name))
    return clips


def _look_at(path: Path, name: str) -> Clip:
    """Where the header does not count the frames, they are counted, but not decoded."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"demo: {path} has no video in it")
            video = container.streams.video[0]
            frames = video.frames or sum(packet.size > 0 for packet in container.demux(video))
            return Clip(path, name, video.height, video.width, frames)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"demo: {path} can't be opened as a video: {error}") from error
