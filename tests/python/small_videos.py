"""Small videos for the tests: frames that tell their number by their brightness."""

from __future__ import annotations

import io

import numpy as np
import pytest

av = pytest.importorskip("av")

SIZE = (48, 64)


def picture(number, size=SIZE):
    """A frame that tells its number by its brightness."""
    image = np.zeros((*size, 3), np.uint8)
    image[:] = (number * 7) % 200 + 20
    return image


def noise(number, size=SIZE):
    """A frame that does not compress."""
    return np.random.default_rng(number).integers(0, 255, (*size, 3), np.uint8)


def write(path, count, size=SIZE, rate=25, format="yuv420p", *, draw=picture, container=None, options=None, **words):
    """Encodes frames; ``words`` are attributes of the codec, ``options`` those of the container."""
    target = path if isinstance(path, io.IOBase) else str(path)
    with av.open(target, "w", format=container, options=options or {}) as out:
        stream = out.add_stream("libx264", rate)
        stream.height, stream.width, stream.pix_fmt = *size, format
        stream.options = {"preset": "ultrafast"}
        for name, value in words.items():
            setattr(stream.codec_context, name, value)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(draw(number, size), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def levels(path):
    """The mean of each frame."""
    with av.open(str(path)) as container:
        return [round(float(f.to_ndarray(format="rgb24").mean())) for f in container.decode(video=0)]


def times(path):
    """The time of each frame, in seconds."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]
