"""Refuses sub-interpreters before the extension module is loaded: loading it there would harm the main one."""

from __future__ import annotations

import importlib


def _current() -> int:
    """The number of this interpreter; 0 is the main one, and also the answer where Python can't say."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            current = importlib.import_module(name).get_current()
        except ImportError:
            continue
        return int(current[0] if isinstance(current, tuple) else current)
    return 0


if _current() != 0:
    raise ImportError("penstock: one interpreter of a process can use it: the main one")
