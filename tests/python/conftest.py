"""Options and fixtures of all Python tests."""

from __future__ import annotations

import os
import random

import pytest
from helpers import Gate

from penstock import MediaError
from penstock._demo._fetch import fetch


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", choices=["cpu", "cuda"], help="where the behaviour suite runs")
    parser.addoption("--seed", type=int, default=None, help="repeat a run that failed: its seed")


def pytest_configure(config):
    config.addinivalue_line("markers", "host: about host streams or the CPU's operators: not for --device cuda")
    if config.getoption("--device") == "cpu":
        # Where there is a GPU it would be the default.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item):
    if item.config.getoption("--device") != "cpu" and item.get_closest_marker("host"):
        pytest.skip("host streams, or operators that work on the CPU only")


@pytest.fixture(scope="session")
def device(request):
    """The device of the behaviour suite, as Penstock's functions take it."""
    return request.config.getoption("--device")


@pytest.fixture(scope="session")
def scale():
    """How many times more random runs than usual: ./run test --long sets 100."""
    return int(os.environ.get("PENSTOCK_TEST_SCALE", "1"))


@pytest.fixture
def seed(request):
    """A seed for this test: drawn anew each time, printed when the test fails, repeated by --seed."""
    value = request.config.getoption("--seed")
    if value is None:
        value = random.SystemRandom().randrange(2**32)
    request.node.user_properties.append(("seed", value))
    return value


@pytest.fixture
def gate():
    """A task that blocks its stream until the test opens it, or ends."""
    blocked = Gate()
    yield blocked
    blocked.open()


@pytest.fixture
def serve():
    """Servers that are closed at the end."""
    running = []

    def add(server):
        running.append(server)
        return server

    yield add
    for server in running:
        server.close()


@pytest.fixture(scope="session")
def real_clip():
    """A real video of 132 frames, 1280 x 720."""
    try:
        return fetch(["bigbuckbunny"])[0]
    except MediaError as error:
        if os.environ.get("PENSTOCK_OFFLINE"):
            pytest.skip(str(error))
        raise


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    seeds = [value for name, value in item.user_properties if name == "seed"]
    if report.failed and seeds:
        report.sections.append(("seed", f"repeat with: ./run test python -- {item.nodeid} --seed={seeds[0]}"))
