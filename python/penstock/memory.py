"""The memory cache: limits and statistics, for each device."""

from __future__ import annotations

from ._core import memory_clear as clear
from ._core import memory_limit as limit
from ._core import memory_reset_peak as reset_peak
from ._core import memory_set_limit as set_limit
from ._core import memory_snapshot as snapshot
from ._core import memory_stats as stats
from ._core import memory_trim as trim

__all__ = ["clear", "limit", "reset_peak", "set_limit", "snapshot", "stats", "trim"]
