"""The race checker from Python, and the same results under every schedule."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import SCALE, check_python, run_python

# Programs for a fresh interpreter: the checker is on for the whole process.
RACY = """
    import threading
    import penstock as ps
    a, b = ps.Stream("cpu"), ps.Stream("cpu")
    x = ps.zeros((100,), "uint8", device="cpu")
    gate = threading.Event()
    def write(x):
        gate.wait(30)
        x.numpy()[:] = 1
    with ps.label("the producer"):
        a.launch(write, x, writes=x)  # HERE
    with ps.label("the library"):
        ps.uses(x, b, wait=False)  # THERE
    gate.set()
    a.sync()
    b.sync()
    from penstock import _core
    print(_core._race_count())
"""


def place(code, word):
    """The line of a program given with -c."""
    lines = textwrap.dedent(code).splitlines()
    return f"<string>:{next(n for n, line in enumerate(lines, 1) if word in line)}"


def test_the_checker_names_both_accesses():
    done = run_python(RACY, PENSTOCK_CHECK="order")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"
    said = re.findall(
        r"^  (write|read) of bytes (\d+) to (\d+) by (\S+) on (.*?), thread (.*?), at (.*?), label \"(.*?)\"$",
        done.stderr,
        re.MULTILINE,
    )
    assert len(said) == 2, done.stderr
    first, second = said
    assert first[:4] == ("write", "0", "100", "write")
    assert second[:4] == ("read", "0", "100", "uses")
    assert re.fullmatch(r"stream \d+", first[4])
    assert re.fullmatch(r"stream \d+", second[4])
    assert first[4] != second[4]
    assert re.search(r"\(\d+\)", first[5])
    assert first[6] == place(RACY, "HERE")
    assert second[6] == place(RACY, "THERE")
    assert (first[7], second[7]) == ("the producer", "the library")


def test_the_checker_raises_at_the_access():
    done = run_python(
        RACY.replace("ps.uses(x, b, wait=False)", "catch(lambda: ps.uses(x, b, wait=False))").replace(
            '    with ps.label("the producer")',
            """
    def catch(call):
        try:
            call()
        except ps.StreamError as error:
            assert "nothing orders" in str(error), error
            print("raised")

    with ps.label("the producer")""",
        ),
        PENSTOCK_CHECK="order:raise",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["raised", "1"]
    assert "nothing orders" not in done.stderr


def test_without_the_checker_nothing_is_said():
    done = run_python(RACY)
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_the_checker_does_not_go_by_luck():
    """The producer is over long before the unordered access: it is a race all the same."""
    out = check_python(
        """
        import threading
        import penstock as ps
        from penstock import _core
        a, b = ps.Stream("cpu"), ps.Stream("cpu")
        x = ps.zeros((100,), "uint8", device="cpu")
        over = threading.Event()
        a.launch(len, x, writes=x)
        a.launch(over.set)
        assert over.wait(30)
        ps.uses(x, b, wait=False)
        print(_core._race_count())
        a.sync()
        y = ps.zeros((100,), "uint8", device="cpu")
        a.launch(len, y, writes=y)
        a.sync()
        ps.uses(y, b, wait=False)
        print(_core._race_count())
    """,
        PENSTOCK_CHECK="order",
    )
    assert out.split() == ["1", "1"]


@pytest.mark.parametrize("value", ["on", "race", "order:"])
def test_an_unknown_check_is_refused(value):
    done = run_python("import penstock as ps; ps.Stream('cpu').launch(int).result()", PENSTOCK_CHECK=value)
    assert done.returncode != 0
    assert "PENSTOCK_CHECK" in done.stderr


# A program over streams and tensors whose result is known; it prints it.
MIXED = """
    import random, sys
    import numpy as np
    import penstock as ps
    from penstock import _core

    chance = random.Random(int(sys.argv[1]))
    streams = [ps.Stream("cpu") for _ in range(6)]
    tensors = [ps.zeros((500,), "int64", device="cpu") for _ in range(5)]
    model = [0] * 5
    checks = []

    def work(target, sources, factor):
        assert (target.numpy() == target.numpy()[0]).all()
        total = sum(int(s.numpy()[0]) for s in sources)
        target.numpy()[:] = (target.numpy() * factor + total + 1) % 1000003

    def apply(n, sources, factor):
        model[n] = (model[n] * factor + sum(model[s] for s in sources) + 1) % 1000003

    for step in range(300):
        s, n = chance.choice(streams), chance.randrange(5)
        sources = chance.sample([k for k in range(5) if k != n], 2)
        kind = chance.randrange(8)
        if kind < 4:
            factor = chance.randrange(1, 7)
            s.launch(work, tensors[n], [tensors[k] for k in sources], factor, writes=tensors[n])
            apply(n, sources, factor)
        elif kind == 4:
            with s:
                tensors[n] = tensors[sources[0]].copy()
            model[n] = model[sources[0]]
        elif kind == 5:
            with s:
                tensors[sources[0]].copy_to(tensors[n])
            model[n] = model[sources[0]]
        elif kind == 6:
            with s:
                tensors[n] = ps.zeros((500,), "int64")
            model[n] = 0
        else:
            checks.append((s.launch(lambda x: int(x.numpy()[0]), tensors[n]), model[n]))
        if chance.randrange(20) == 0:
            streams[chance.randrange(6)] = ps.Stream("cpu")
    for x, value in zip(tensors, model):
        assert (x.numpy() == value).all(), (x.numpy()[:5], value)
    for event, value in checks:
        assert event.result() == value
    assert _core._race_count() == 0, _core._race_count()
    print(*model)
"""


@pytest.mark.parametrize("program", range(2))
def test_every_schedule_gives_the_same(program):
    plain = check_python(MIXED, str(program))
    for seed in range(20 * SCALE):
        assert check_python(MIXED, str(program), PENSTOCK_SEED=str(seed)) == plain, seed


@pytest.mark.parametrize(
    "environment",
    [
        {"PENSTOCK_FAULT": "block_once"},
        {"PENSTOCK_FAULT": "block_once", "PENSTOCK_SEED": "5"},
        {"PENSTOCK_WORKERS": "1"},
        {"PENSTOCK_WORKERS": "1", "PENSTOCK_FAULT": "block_once"},
        {"PENSTOCK_WORKERS": "9"},
        {"PENSTOCK_CHECK": "order:raise"},
        {"PENSTOCK_CHECK": "order:raise", "PENSTOCK_SEED": "3", "PENSTOCK_FAULT": "block_once"},
    ],
    ids=lambda environment: " ".join(f"{key[9:]}={value}" for key, value in environment.items()),
)
def test_every_setting_gives_the_same(environment):
    for program in range(3 * SCALE):
        assert check_python(MIXED, str(program), **environment) == check_python(MIXED, str(program))


@pytest.mark.parametrize(
    "environment",
    [{"PENSTOCK_SEED": "1"}, {"PENSTOCK_SEED": "2"}, {"PENSTOCK_FAULT": "block_once"}, {"PENSTOCK_WORKERS": "1"}],
    ids=str,
)
@pytest.mark.slow
def test_these_files_under_other_schedules(environment):
    if any(name in os.environ for name in ("PENSTOCK_SEED", "PENSTOCK_FAULT", "PENSTOCK_WORKERS")):
        pytest.skip("this is such a schedule")
    here = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            str(here / "test_streams.py"),
            __file__,
            "-m",
            "not slow",
            "-k",
            "not every_ and not checker",
        ],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
