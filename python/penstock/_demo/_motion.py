"""Where a fixed camera sees something move."""

from __future__ import annotations

from collections import deque
from typing import Any

import penstock as ps

_MOST = 0.6  # of the picture: where more changes it is another scene, or the camera moves


@ps.operator(per="source")
class Motion:
    """Boxes (n, 4) of int: x1, y1, x2, y2, ends exclusive, of what is not where it was ``ago`` frames ago.

    What differs from two earlier frames is there now or has left; what has left shows bare ground.
    """

    def __init__(self, *, ago: int = 4, threshold: int = 20, least_area: float = 0.0015) -> None:
        self._threshold = threshold
        self._least_area = least_area
        self._earlier: deque[Any] = deque(maxlen=2 * ago)

    def __call__(self, frame: Any) -> Any:
        import cv2
        import numpy as np

        pixels = ps.as_tensor(frame).numpy()
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        small = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
        now = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (3, 3), 0)
        boxes = np.empty((0, 4), np.int32)
        if len(self._earlier) == self._earlier.maxlen:
            first, second = self._earlier[0], self._earlier[len(self._earlier) // 2]
            change = cv2.min(cv2.absdiff(now, first), cv2.absdiff(now, second))
            boxes = self._boxes(cv2.threshold(change, self._threshold, 255, cv2.THRESH_BINARY)[1], now, second)
        self._earlier.append(now)
        return 2 * boxes

    def _boxes(self, mask: Any, now: Any, then: Any) -> Any:
        import cv2
        import numpy as np

        if cv2.countNonZero(mask) > _MOST * mask.size:
            return np.empty((0, 4), np.int32)
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
        count, _, found, _ = cv2.connectedComponentsWithStats(mask)
        x, y, w, h, area = found[1:count].T
        parts = np.stack([x, y, x + w, y + h], axis=1)[area >= self._least_area * mask.size]
        there = [part for part in parts.tolist() if not _has_left(part, now, then)]
        boxes = _joined(there, _MOST * mask.size)
        return np.array(boxes, np.int32).reshape(-1, 4)


def _has_left(box: list[int], now: Any, then: Any) -> bool:
    """Bare ground shows less than what stood on it."""
    x1, y1, x2, y2 = box
    return bool(now[y1:y2, x1:x2].std() < 0.6 * then[y1:y2, x1:x2].std())


def _joined(boxes: list[list[int]], most: float) -> list[list[int]]:
    """One box for those that are nearer to each other than an eighth of their size: the parts of one thing.

    Never one of more than ``most`` pixels.
    """
    whole: list[list[int]] = []
    while boxes:
        box = boxes.pop()
        for other in [*boxes, *whole]:
            both = [min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3])]
            if _is_near(box, other) and (both[2] - both[0]) * (both[3] - both[1]) <= most:
                (boxes if other in boxes else whole).remove(other)
                boxes.append(both)
                break
        else:
            whole.append(box)
    return sorted(whole)


def _is_near(a: list[int], b: list[int]) -> bool:
    x_gap = max(a[0], b[0]) - min(a[2], b[2])
    y_gap = max(a[1], b[1]) - min(a[3], b[3])
    return x_gap < min(a[2] - a[0], b[2] - b[0]) / 8 and y_gap < min(a[3] - a[1], b[3] - b[1]) / 8
