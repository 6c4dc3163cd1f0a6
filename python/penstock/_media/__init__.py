"""Videos and cameras into a graph, and video files out of it, by PyAV."""

from __future__ import annotations

from ._sink import sink
from ._source import source
from ._synthetic import synthetic

__all__ = ["sink", "source", "synthetic"]
