"""GPU work of each library, queued on the stream that is current in that library.

``TorchWork.slow(value)`` gives a new array of COUNT times the value whose content comes late: a kernel that spins on the
GPU's clock goes before it, so whoever does not wait sees what was there before. A ``…Check`` counts on the GPU the
arrays that are not as expected; ``wrong()`` is the one read on the host.
"""

from __future__ import annotations

import functools
import gc

import numpy as np

DEVICE = "cuda"
COUNT = 1 << 14
SLOW = 400_000  # cycles: 0.2 ms at 2 GHz
LATER = 1_000_000  # what a writer adds

KERNELS = r"""
__device__ void spin(long long cycles) {
  const long long begin = clock64();
  while (clock64() - begin < cycles) {
  }
}

extern "C" __global__ void spin_fill(int* x, int value, int count, long long cycles) {
  spin(cycles);
  for (int i = threadIdx.x; i < count; i += blockDim.x) x[i] = value;
}

extern "C" __global__ void spin_check(const int* x, int value, int count, long long cycles, int* wrong) {
  spin(cycles);
  int bad = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) bad |= x[i] != value;
  if (__syncthreads_or(bad) && threadIdx.x == 0) atomicAdd(wrong, 1);
}
"""


@functools.cache
def cupy_kernel(name):
    import cupy

    return cupy.RawModule(code=KERNELS).get_function(name)


def torch_spin(cycles):
    """A kernel that does nothing for so many cycles, on PyTorch's current stream."""
    import torch

    if cycles:
        torch.cuda._sleep(cycles)


@functools.cache
def cycles_for(milliseconds):
    """Cycles of a kernel that spins so long, measured on this GPU."""
    import torch

    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    rate = 0.0
    for _ in range(3):  # the first ones wake the clocks
        begin.record()
        torch_spin(20_000_000)
        end.record()
        end.synchronize()
        rate = 20_000_000 / begin.elapsed_time(end)
    return int(rate * milliseconds)


def synchronize():
    """Waits for the whole GPU: once, at the end of a run."""
    import torch

    torch.cuda.synchronize()


class TorchWork:
    needs = "torch"

    @staticmethod
    def slow(value, cycles=SLOW):
        import torch

        x = torch.empty(COUNT, dtype=torch.int32, device=DEVICE)
        torch_spin(cycles)
        return x.fill_(value)


class CupyWork:
    needs = "cupy"

    @staticmethod
    def slow(value, cycles=SLOW):
        import cupy

        x = cupy.empty(COUNT, dtype=cupy.int32)
        cupy_kernel("spin_fill")((1,), (256,), (x, np.int32(value), np.int32(COUNT), np.int64(cycles)))
        return x


class PenstockWork:
    """Copies and fills that Penstock's C++ queues, behind a slow kernel of PyTorch's."""

    needs = "torch"

    @staticmethod
    def slow(value, cycles=SLOW):
        import penstock as ps

        x = ps.zeros((COUNT,), "int32", device=DEVICE)
        ps.as_tensor(TorchWork.slow(value, cycles)).copy_to(x)
        return x


def by_address(x):
    """The memory of a tensor of COUNT numbers as PyTorch's, by no protocol: nothing is waited for."""
    import torch

    interface = {"shape": (COUNT,), "typestr": "<i4", "data": (x.data, False), "version": 2}
    return torch.as_tensor(type("Bare", (), {"__cuda_array_interface__": interface})(), device=DEVICE)


class TorchCheck:
    needs = "torch"

    def __init__(self, cycles=0):
        import torch

        self.cycles = cycles
        self.seen = 0
        self.count = torch.zeros((), dtype=torch.int64, device=DEVICE)
        synchronize()

    def look(self, x, value):
        import torch

        self.seen += 1
        torch_spin(self.cycles)
        self.count.add_((torch.as_tensor(x, device=DEVICE) != value).any())

    def wrong(self):
        synchronize()
        return int(self.count)


class PenstockCheck(TorchCheck):
    """Reads a copy that Penstock's C++ makes."""

    def look(self, x, value):
        import penstock as ps

        super().look(ps.as_tensor(x).copy().torch(), value)


class CupyCheck:
    needs = "cupy"

    def __init__(self, cycles=0):
        import cupy

        self.cycles = cycles
        self.seen = 0
        self.count = cupy.zeros(1, dtype=cupy.int32)
        cupy.cuda.Device().synchronize()

    def look(self, x, value):
        import cupy

        self.seen += 1
        arguments = (cupy.asarray(x), np.int32(value), np.int32(COUNT), np.int64(self.cycles), self.count)
        cupy_kernel("spin_check")((1,), (256,), arguments)

    def wrong(self):
        import cupy

        cupy.cuda.Device().synchronize()
        return int(self.count[0])


class NumbaCheck:
    """On Numba's own stream, which is CUDA's legacy one, or on the operator's."""

    needs = "numba.cuda"

    def __init__(self, on_operators_stream=False):
        from numba import cuda

        from .numba_kernel import check

        self.kernel = check
        self.on_operators_stream = on_operators_stream
        self.seen = 0
        self.count = cuda.to_device(np.zeros(1, np.int32))
        # Compiled before the run.
        self.kernel[1, 256](cuda.to_device(np.full(COUNT, 3, np.int32)), np.int32(3), self.count)
        cuda.synchronize()

    def look(self, x, value):
        from numba import cuda

        import penstock as ps

        self.seen += 1
        stream = cuda.external_stream(int(ps.current_stream(DEVICE))) if self.on_operators_stream else 0
        # Without its own wait, which would be on the host and hide a missing one.
        view = cuda.as_cuda_array(x, sync=False)
        self.kernel[1, 256, stream](view, np.int32(value), self.count)

    def wrong(self):
        from numba import cuda

        cuda.synchronize()
        return int(self.count.copy_to_host()[0])


class JaxCheck:
    """JAX has streams of its own; it asks an array by DLPack to make them wait."""

    needs = "jax"

    def __init__(self):
        import jax
        import jax.numpy as jnp

        self.seen = 0
        self.count = jnp.zeros((), jnp.int32)
        self.step = jax.jit(lambda count, x, value: count + jnp.any(x != value).astype(jnp.int32))
        self.step(self.count, jnp.zeros(COUNT, jnp.int32), 0).block_until_ready()

    def look(self, x, value):
        import jax

        self.seen += 1
        self.count = self.step(self.count, jax.dlpack.from_dlpack(x), value)

    def wrong(self):
        return int(self.count)


def reuse_memory():
    """What the libraries' allocators hold has other numbers in it: a read that comes early is seen."""
    gc.collect()
    for work in (TorchWork, CupyWork):
        try:
            kept = [work.slow(-1, 0) for _ in range(8)]
        except ImportError:
            continue
        del kept
