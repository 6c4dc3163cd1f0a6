"""What several test files use: gates that block a stream, fresh interpreters, and sizes of random runs."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time

from hypothesis import HealthCheck, settings

import penstock as ps

SCALE = int(os.environ.get("PENSTOCK_TEST_SCALE", "1"))
PATIENCE_S = 30.0


def examples(count: int) -> settings:
    """Hypothesis settings for so many random runs, times PENSTOCK_TEST_SCALE."""
    return settings(
        max_examples=count * SCALE, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )


def host(count=None):
    """A host stream, or a list of them."""
    return ps.Stream("cpu") if count is None else [ps.Stream("cpu") for _ in range(count)]


def throw(error):
    raise error


class Gate:
    """A task that blocks its stream until the test opens it; ``entered`` says that it runs."""

    def __init__(self):
        self.entered = threading.Event()
        self._opened = threading.Event()

    def __call__(self, *_arguments, **_keywords):
        self.entered.set()
        assert self._opened.wait(PATIENCE_S), "the test never opened the gate"

    def open(self):
        self._opened.set()


def eventually(condition, seconds=PATIENCE_S):
    """True as soon as the condition is; for what other threads do, never for order."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def is_gone(reference):
    """True once the weak reference is dead: at once, or a moment later by another thread."""

    def dead():
        gc.collect()
        return reference() is None

    return eventually(dead, 5.0)


def in_thread(function, *arguments):
    """Runs the function in a thread of its own and gives what it returned."""
    results: list[object] = []
    errors: list[BaseException] = []

    def body():
        try:
            results.append(function(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the thread hangs"
    if errors:
        raise errors[0]
    return results[0]


def run_python(code, *arguments, timeout_s=60.0, **environment):
    """Runs a program in a fresh interpreter; gives the completed process, with ``seconds`` that it took."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    done.seconds = time.monotonic() - begin
    return done


def check_python(code, *arguments, **environment):
    """The same, and it has to end well; gives what it printed."""
    done = run_python(code, *arguments, **environment)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
