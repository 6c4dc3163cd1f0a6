"""Ranges for NVIDIA's tools around Python operators, as a small tool sees them. It is built with the C++ tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from penstock import _core

TOOL = Path(os.environ.get("PENSTOCK_BUILD_DIR", ".")).resolve() / "tests/cpp/libpenstock_nvtx_tool.so"

PROGRAM = """
import penstock as ps

@ps.operator
def numbers():
    yield from range(30)

@ps.operator(instances=2)
def twice(x):
    return 2 * x

@ps.operator(name="to the end")
def last(x):
    pass

for _ in range(2):
    ps.run(numbers() >> twice >> last)
"""


@pytest.fixture
def lines(tmp_path):
    if not TOOL.exists() or not _core._has_nvtx():
        pytest.skip("needs NVTX, and the tool of the C++ tests")
    log = tmp_path / "log"
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NVTX_INJECTION64_PATH": str(TOOL), "NVTX_TOOL_LOG": str(log)},
        check=True,
        timeout=60,
    )
    return [line.split(" ", 2) for line in log.read_text().splitlines()]


def test_each_activation_is_a_range_of_the_operators_name(lines):
    ranges = Counter(name for _, what, name in lines if what == "push")
    assert ranges == {"numbers": 62, "twice": 60, "to the end": 60}


def test_names_are_registered_once(lines):
    registered = Counter(name for _, what, name in lines if what == "register")
    assert registered == {"numbers": 1, "twice": 1, "to the end": 1}


def test_ranges_nest_on_each_thread(lines):
    depth = defaultdict(int)
    for thread, what, _ in lines:
        depth[thread] += {"push": 1, "pop": -1}.get(what, 0)
        assert 0 <= depth[thread] <= 1
    assert set(depth.values()) == {0}


def test_threads_are_named(lines):
    named = {thread: name for thread, what, name in lines if what == "thread"}
    working = {thread for thread, what, _ in lines if what == "push"}
    assert {named[thread] for thread in working} == {"penstock-graph"}


def test_with_no_tool_nothing_is_registered(tmp_path):
    log = tmp_path / "log"
    subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "NVTX_TOOL_LOG": str(log)}, check=True, timeout=60
    )
    assert not log.exists()
