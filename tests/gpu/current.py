"""Which stream is current, as each library says."""

from __future__ import annotations


def torch_current():
    import torch

    return torch.cuda.current_stream().cuda_stream or 1


def cupy_current():
    import cupy

    return cupy.cuda.get_current_stream().ptr or 1


def current():
    """What each library takes for its current stream; the legacy stream is 1."""
    return torch_current(), cupy_current()
