"""Options and fixtures of the GPU tests. Without a GPU, or without a library, a test is skipped and says why."""

from __future__ import annotations

import contextlib
import importlib
import os

import pytest

import penstock as ps

from . import work

# Before the libraries are imported.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0")


def pytest_addoption(parser):
    parser.addoption("--frames", type=int, default=1000, help="frames of each run of the tests of order")


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*modules): skipped where one of them can't be imported")


def pytest_collection_modifyitems(items):
    if ps.device_count() > 0:
        return
    skip = pytest.mark.skip(reason="no GPU that CUDA can use: penstock.device_count() is 0")
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker(skip)


def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            try:
                importlib.import_module(name)
            except ImportError as error:
                pytest.skip(f"needs {name}: {error}")


@pytest.fixture(scope="session", autouse=True)
def loaded_kernels():
    """A kernel is loaded at its first use, which takes long and may wait for what runs: no test is to see that."""
    if ps.device_count() == 0:
        return
    with contextlib.suppress(ImportError):
        (work.TorchWork.slow(1, 1) == 1).all().cpu()
    with contextlib.suppress(ImportError):
        work.CupyWork.slow(1, 1)
        work.cupy_kernel("spin_check")
        work.synchronize()


@pytest.fixture(scope="session")
def frames(request):
    """Frames of each run; one host read at its end checks them all."""
    return request.config.getoption("--frames")
