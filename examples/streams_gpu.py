"""Arrays of CuPy and PyTorch in one graph. Each source has a stream of its own, and so has what combines them; the
program names no stream, no event and no copy.

It needs PyTorch, and with a GPU CuPy. Without a GPU NumPy takes CuPy's place, and PyTorch computes on the CPU.
"""

import importlib
import sys

import penstock as ps

DEVICE, ARRAYS = ("cuda", "cupy") if ps.device_count() else ("cpu", "numpy")
try:
    torch, xp = importlib.import_module("torch"), importlib.import_module(ARRAYS)
except ImportError as error:
    sys.exit(f"streams_gpu.py: {error}; it needs PyTorch, and with a GPU CuPy")


@ps.operator
def ramps(count=10):
    for number in range(count):
        yield xp.exp(xp.linspace(0, 10, 2160 * 3840, dtype="float32").reshape(2160, 3840)) * number


@ps.operator
def torch_ramps(count=10):
    for number in range(count):
        yield torch.linspace(0, 10, 2160 * 3840, device=DEVICE).reshape(2160, 3840).exp() * number


@ps.operator
def sums_of_products(in1, in2):
    return (xp.asarray(in1) * xp.asarray(in2)).sum(axis=-1)


flow = sums_of_products(ramps(), torch_ramps())

if __name__ == "__main__":
    ps.run(flow >> print)
