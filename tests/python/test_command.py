"""The command penstock: run, info, --version, and what it says when something is wrong."""

import os
import signal
import subprocess
import sys

import pytest
from commands import penstock, programs

import penstock as ps

HEAD = """
import penstock as ps

@ps.operator
def numbers(*, count: int = 3):
    yield from range(count)

@ps.operator
def show(x, *, word="got"):
    print(word, x, flush=True)
"""


@pytest.fixture
def program(tmp_path):
    return programs(tmp_path, HEAD)


def test_version_and_help():
    assert penstock("--version").stdout == f"penstock {ps.__version__}\n"
    shown = penstock("--help")
    assert shown.returncode == 0
    assert "run" in shown.stdout
    assert "info" in shown.stdout
    assert "(default" in penstock("run", "--help").stdout


def test_info_says_what_the_machine_has():
    shown = penstock("info")
    assert shown.returncode == 0
    assert ps.__version__ in shown.stdout
    assert "cpu" in shown.stdout
    assert "numpy" in shown.stdout


def test_a_main_part_is_run_with_its_arguments(program):
    path = program("import sys\nif __name__ == '__main__':\n    print(sys.argv[1:])\n    ps.run(show(numbers()))\n")
    done = penstock("run", path, "a", "--own", "b")
    assert done.stdout == "['a', '--own', 'b']\ngot 0\ngot 1\ngot 2\n"
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_one_flow_is_run(program):
    assert penstock("run", program("flow = show(numbers())\n")).stdout == "got 0\ngot 1\ngot 2\n"


def test_the_last_of_a_chain_of_flows_is_the_one(program):
    path = program("first = numbers()\nlast = show(first)\n")
    assert penstock("run", path).stdout == "got 0\ngot 1\ngot 2\n"


def test_an_application_is_run(program):
    text = """
class Say(ps.Operator):
    def setup(self, spec):
        spec.output("out")
    def compute(self, inputs, outputs, context):
        print("computed", flush=True)

class Whole(ps.Application):
    def compose(self):
        self.add_operator(Say(self, count=2)) if hasattr(self, "add_operator") else Say(self, count=2)
"""
    done = penstock("run", program(text))
    assert done.stdout == "computed\ncomputed\n", done.stderr


def test_app_goes_before_others(program):
    done = penstock("run", program("other = show(numbers(), word='other')\napp = show(numbers(), word='app')\n"))
    assert done.stdout == "app 0\napp 1\napp 2\n"


def test_frames_and_settings(program):
    path = program("flow = show(numbers())\n")
    assert penstock("run", path, "--frames", 2).stdout == "got 0\ngot 1\n"
    assert penstock("run", path, "--set", "numbers.count=1", "--set", "show.word=saw").stdout == "saw 0\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "usage"),
        (("fly",), "fly"),
        (("run",), "FILE"),
        (("run", "missing.py"), "missing.py"),
        (("run", "graph.toml"), "no file graph.toml"),
        (("info", "more"), "more"),
        (("run", "x.py", "--workers", "0"), "at least 1"),
    ],
)
def test_misuse_is_2(arguments, text, tmp_path):
    done = penstock(*arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.path.abspath(sys.path[0])} | _path())
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def _path():
    folder = os.path.dirname(os.path.dirname(ps.__file__))
    return {"PYTHONPATH": os.path.abspath(folder)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n", "neither"),
        ("a = show(numbers())\nb = show(numbers())\n", "`app`"),
        ("app = 7\n", "`app` is int"),
    ],
)
def test_a_program_with_nothing_to_run_is_2(program, text, expected):
    done = penstock("run", program(text))
    assert done.returncode == 2
    assert expected in done.stderr


def test_unknown_settings_name_the_nearest(program):
    path = program("flow = show(numbers())\n")
    done = penstock("run", path, "--set", "numbers.cuont=1")
    assert done.returncode != 0
    assert "count" in done.stderr
    assert "numbers" in penstock("run", path, "--set", "nubmers.count=1").stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ps.operator\ndef bad(x):\n    raise ValueError('seven')\nflow = bad(numbers())\n", "seven"),
        ("flow = show(numbers(cuont=3))\n", "count"),
        ("flow = show(\n", "program.py"),
        ("import nothing_of_that_name\n", "nothing_of_that_name"),
    ],
)
def test_a_users_mistake_is_a_few_lines_and_1(program, text, expected):
    done = penstock("run", program(text))
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 15


def test_an_operators_error_says_where(program):
    text = "@ps.operator\ndef bad(x):\n    raise ValueError('seven')\nflow = bad(numbers())\n"
    done = penstock("run", program(text))
    assert "operator bad" in done.stderr
    assert "numbers #0" in done.stderr
    assert "program.py:13" in done.stderr


def test_exit_codes_of_the_program_are_kept(program):
    assert penstock("run", program("import sys\nif __name__ == '__main__':\n    sys.exit(7)\n")).returncode == 7


def test_an_interrupt_is_130(program):
    path = program(
        "import itertools\n@ps.operator\ndef endless():\n    yield from itertools.count()\n"
        "@ps.operator\ndef tell(x):\n    if x == 5: print('going', flush=True)\n"
        "flow = tell(endless(every_ms=2))\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "penstock", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout.readline() == "going\n"
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in errors
