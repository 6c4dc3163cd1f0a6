"""Where a message descends from."""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """The source's name, the number of its activation from 0, and which of several it emitted there (or None)."""

    source: str
    number: int
    sub: int | None = None
