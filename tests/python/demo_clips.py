"""Videos whose content is known: a bright square that moves, and the number of each frame as black and white fields."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

HEIGHT, WIDTH = 180, 320
SIDE = 36
BITS = 8
_FIELD = WIDTH // BITS
_ROWS = 20  # of the number, at the bottom


def square_at(number):
    """x1, y1, x2, y2 of the square in that frame: it goes to the right and slowly down."""
    x, y = 10 + 4 * number, 20 + number
    return x, y, x + SIDE, y + SIDE


def frame_of(number, *, square=True, numbered=False):
    noise = np.random.default_rng(number).integers(0, 6, (HEIGHT, WIDTH, 1), np.uint8)
    image = np.repeat(noise + 60, 3, axis=2)
    if square:
        x1, y1, x2, y2 = square_at(number)
        image[y1:y2, x1:x2] = 220
    if numbered:
        for bit in range(BITS):
            image[-_ROWS:, bit * _FIELD : (bit + 1) * _FIELD] = 255 if number >> bit & 1 else 0
    return image


def number_in(tile):
    """The number that frame_of wrote, of a picture of any size with the same shape."""
    height, width = tile.shape[:2]
    row = tile[height - round(height * _ROWS / HEIGHT / 2)]
    return sum(int(row[(2 * bit + 1) * width // (2 * BITS)].mean() > 128) << bit for bit in range(BITS))


def write_clip(path, count, *, rate=25, **content):
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", Fraction(rate), options={"crf": "10", "preset": "ultrafast"})
        video.height, video.width, video.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(count):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame_of(number, **content), "rgb24")))
        container.mux(video.encode(None))
    return path


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
