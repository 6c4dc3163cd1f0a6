"""penstock verify: passes here, and each of its checks fails when what it looks at is broken."""

import subprocess
import sys
import time

import numpy as np
import pytest

import penstock as ps
from penstock._command import _verify


def test_it_passes_here_in_a_few_seconds():
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "verify"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(_verify.CHECKS) + 2
    assert lines[-1] == "All is well"
    assert done.stderr == ""
    assert time.monotonic() - began < 60  # a loaded machine; a free one needs a few seconds


def failing(monkeypatch, name):
    """What verify prints of this check alone."""
    monkeypatch.setattr(_verify, "CHECKS", {"it": getattr(_verify, name)})
    return _verify.verify()


class _Copies:
    """An as_tensor that copies."""

    def __init__(self, as_tensor):
        self.as_tensor = as_tensor

    def __call__(self, array, *args):
        return self.as_tensor(array.copy() if isinstance(array, np.ndarray) else array.clone(), *args)


class _Torn:
    """A start whose runs do twice as much."""

    def __init__(self, start):
        self.start = start

    def __call__(self, *flows, **options):
        self.start(*flows, **options).wait()
        return self.start(*flows, **options)


def _swallows(*flows, **options):
    class Run:
        def wait(self, timeout):
            return None

    return Run()


@pytest.mark.parametrize(
    ("check", "name", "broken", "said"),
    [
        ("_numpy", "as_tensor", _Copies(ps.as_tensor), "the address there"),
        ("_graphs", "start", _Torn(ps.start), "with 1 workers"),
        ("_instances", "start", _Torn(ps.start), "the order"),
        ("_operations", "start", _swallows, "zip"),
        ("_errors", "start", _swallows, "did not come out"),
        ("_media", "start", _swallows, "there is no file"),
        ("_graphs", "start", lambda *flows, **options: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_it_fails_when_something_is_broken(monkeypatch, capsys, check, name, broken, said):
    if check == "_media":
        pytest.importorskip("av")
    monkeypatch.setattr(ps, name, broken)
    assert failing(monkeypatch, check) == 1
    printed = capsys.readouterr().out
    assert "FAILED it: " in printed
    assert said in printed
    assert printed.endswith("1 of 1 failed\n")


@pytest.mark.interop
def test_a_copy_of_torch_is_found(monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setattr(ps, "as_tensor", _Copies(ps.as_tensor))
    assert failing(monkeypatch, "_torch") == 1
    assert "the address there" in capsys.readouterr().out


@pytest.mark.parametrize("code", ["print('none')", "print('found')", "raise ImportError('nothing')"])
def test_an_order_checker_that_is_blind_is_found(monkeypatch, capsys, code):
    monkeypatch.setattr(_verify, "_RACE", code)
    assert failing(monkeypatch, "_order") == 1
    assert "with wait=" in capsys.readouterr().out


def test_what_does_not_apply_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(_verify, "find_spec", lambda name: None)
    monkeypatch.setattr(_verify, "CHECKS", {"it": _verify._media})
    assert _verify.verify() == 0
    assert "it: left out, av is not installed" in capsys.readouterr().out


def test_a_graph_that_hangs_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(_verify, "_PATIENCE_S", 0.2)

    @ps.operator
    def never():
        time.sleep(1)
        yield 1

    monkeypatch.setattr(_verify, "CHECKS", {"it": lambda: _verify._run(never())})
    assert _verify.verify() == 1
    assert "TimeoutError" in capsys.readouterr().out
