"""The check of work.py as a kernel of Numba's; imported where Numba is there."""

import numpy as np
from numba import cuda


@cuda.jit
def check(x, value, wrong):
    """Counts in ``wrong`` that an element of x is another value: once, whatever the number of elements."""
    bad = np.int32(0)
    for i in range(cuda.threadIdx.x, x.size, cuda.blockDim.x):
        if x[i] != value:
            bad = np.int32(1)
    any_bad = cuda.syncthreads_or(bad)
    if any_bad != 0 and cuda.threadIdx.x == 0:
        cuda.atomic.add(wrong, 0, 1)
