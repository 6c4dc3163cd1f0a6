"""Video files in and out of a graph, by PyAV."""

from __future__ import annotations

from ._sink import sink
from ._source import source

__all__ = ["sink", "source"]
