"""Images, and what the imaging operations should make of them, in float64."""

from __future__ import annotations

import numpy as np

STEP = 0.52  # half a step + 2 %


def noise(*shape, seed=7):
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def taps(source, target):
    """Half-pixel centres, edges repeated: indices and weights."""
    at = (np.arange(target) + 0.5) * (source / target) - 0.5
    low = np.floor(at)
    return np.clip(low, 0, source - 1).astype(int), np.clip(low + 1, 0, source - 1).astype(int), at - low


def resized(image, height, width):
    image = image.astype("float64")
    top, bottom, down = taps(image.shape[0], height)
    left, right, across = taps(image.shape[1], width)
    down = down.reshape(-1, 1, *(1,) * (image.ndim - 2))
    across = across.reshape(-1, *(1,) * (image.ndim - 2))
    rows = image[top] * (1 - down) + image[bottom] * down
    return rows[:, left] * (1 - across) + rows[:, right] * across


WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def rgb_of(y, u, v, matrix="bt601", range="limited"):
    """The exact colours of full planes and half-size chroma."""
    red, blue = WEIGHTS[matrix]
    luma, chroma = ((219, 224), (255, 255))[range == "full"]
    y = (y.astype("float64") - (0 if range == "full" else 16)) / luma * 255
    u, v = ((np.repeat(np.repeat(p, 2, 0), 2, 1).astype("float64") - 128) / chroma * 255 for p in (u, v))
    r = y + 2 * (1 - red) * v
    b = y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], -1), 0, 255)


def yuv_of(rgb, matrix="bt601", range="limited"):
    """The exact planes of colours; chroma is the mean of 2x2 pixels."""
    red, blue = WEIGHTS[matrix]
    luma, chroma, black = (255, 255, 0) if range == "full" else (219, 224, 16)
    r, g, b = np.moveaxis(rgb.astype("float64"), -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    u, v = (128 + (p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2]) / 4 * chroma / 255 for p in (u, v))
    return tuple(np.clip(p, 0, 255) for p in (black + y * luma / 255, u, v))


def planes(height, width, seed=7):
    y = noise(height, width, seed=seed)
    return y, noise(height // 2, width // 2, seed=seed + 1), noise(height // 2, width // 2, seed=seed + 2)


def packed(format, y, u, v):
    width = y.shape[1]
    if format == "NV12":
        return np.concatenate([y, np.stack([u, v], -1).reshape(-1, width)])
    return np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(-1, width)


def near(result, exact):
    got = result.numpy()
    assert got.dtype == "uint8"
    assert got.shape == exact.shape
    assert np.abs(got - exact).max(initial=0) <= STEP


def pitched(array, pad=5):
    """The same array with rows that lie apart."""
    rows = np.full((array.shape[0], array.shape[1] + pad, *array.shape[2:]), 77, "uint8")
    rows[:, : array.shape[1]] = array
    return rows[:, : array.shape[1]]
