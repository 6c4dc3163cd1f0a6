"""Tests of Penstock over the simulated CUDA; with another Penstock they are skipped."""

from __future__ import annotations

import os

import pytest
import simulated

import penstock as ps


def pytest_collection_modifyitems(items):
    if simulated.IS_HERE:
        if ps.device_count() == 0:
            raise pytest.UsageError("Penstock finds no GPU in the simulated CUDA: see penstock doctor")
        return
    skip = pytest.mark.skip(reason="needs the simulated CUDA: ./run test sim")
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def nothing_is_asked_of_a_stream_that_is_gone():
    before = simulated.calls_of_no_stream() if simulated.IS_HERE else 0
    yield
    if simulated.IS_HERE:
        assert simulated.calls_of_no_stream() == before


@pytest.fixture
def stream():
    """A stream of somebody else's."""
    made = simulated.Stream()
    yield made
    made.sync()
    made.close()


@pytest.fixture(params=[0, 1, 2], ids=["no delays", "seed 1", "seed 2"])
def delays(request):
    """Operations at their own pace, then delayed at random."""
    simulated.seed(request.param)
    yield
    simulated.seed(0)
