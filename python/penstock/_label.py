"""The user's words for what a thread does, in the reports of the race checker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ._core import _set_label


@contextlib.contextmanager
def label(name: str) -> Iterator[None]:
    """Names the accesses of the block in what PENSTOCK_CHECK=order reports."""
    outer = _set_label(name)
    try:
        yield
    finally:
        _set_label(outer)
