"""``holoscan.resources``."""

from __future__ import annotations

from typing import Any

import penstock as ps

from .core import Resource


class CudaStreamPool(Resource):
    """Of the GPU ``dev_id``; of the CPU if that is -1 or there is no GPU. ``max_size=0`` is no limit."""

    fields = {"dev_id": 0, "stream_flags": 0, "stream_priority": 0, "reserved_size": 1, "max_size": 0}

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        is_host = self.dev_id == -1 or ps.device_count() == 0
        device, priority = ("cpu", 0) if is_host else (f"cuda:{self.dev_id}", self.stream_priority)
        self.pool = ps.StreamPool(device, priority=priority, reserved=self.reserved_size, max=self.max_size)
