"""The command penstock show: the graph of a program that is not run."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from commands import penstock, programs

HEAD = """
import penstock as ps

@ps.operator
def numbers(*, count: int = 3):
    print("numbers ran", flush=True)
    yield from range(count)

@ps.operator
def show(x):
    print("show ran", flush=True)
"""


@pytest.fixture
def program(tmp_path):
    return programs(tmp_path, HEAD)


def names(done):
    assert done.returncode == 0, done.stderr
    return [one["name"] for one in json.loads(done.stdout)["operators"]]


TEXT = """2 operators, 1 edge

numbers  (source)
  out -> show.x

show
  x   <- numbers.out (holds 4)
"""


def test_a_flow_is_shown_and_not_run(program):
    done = penstock("show", program("flow = show(numbers())\n"))
    assert done.stdout == TEXT
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize(
    "end",
    [
        "ps.run(show(numbers()))",
        "with ps.start(show(numbers())): pass",
        "for _ in ps.iterate(numbers()): print('iterated')",
        "try:\n        ps.run(show(numbers()))\n    except Exception:\n        print('caught')",
    ],
)
def test_a_program_is_run_up_to_its_graph(program, end):
    path = program(f"if __name__ == '__main__':\n    print('before')\n    {end}\n    print('after')\n")
    done = penstock("show", path, "--format", "json")
    assert "numbers" in names(done)
    assert done.stderr == "before\n"


def test_arguments_go_to_the_program(program):
    path = program("import sys\nif __name__ == '__main__':\n    ps.run(show(numbers(name=sys.argv[1])))\n")
    assert names(penstock("show", path, "camera", "--format", "json")) == ["camera", "show"]


def test_an_application_is_shown(program):
    path = program(
        """
class App(ps.Application):
    def compose(self):
        self.add_flow(numbers(), Print(self, name="printer"))

class Print(ps.Operator):
    def setup(self, spec): spec.input("in")
    def compute(self, inputs, outputs, context): print(inputs.receive("in"))
"""
    )
    assert names(penstock("show", path, "--format", "json")) == ["numbers", "printer"]


def test_words_of_the_command_line_are_in_it(program):
    path = program("flow = show(numbers())\n")
    shown = json.loads(penstock("show", path, "--frames", "7", "--format", "json").stdout)
    assert shown["operators"][0]["words"] == {"count": 7}
    done = penstock("show", path, "--set", "numbrs.count=1")
    assert done.returncode == 2
    assert "did you mean 'numbers'?" in done.stderr


def test_formats(program, tmp_path):
    path = program("flow = show(numbers())\n")
    svg = penstock("show", path, "--format", "svg").stdout
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert penstock("show", path, "--format", "dot").stdout.startswith("digraph")
    for ending, begin in {"svg": "<svg", "dot": "digraph", "gv": "digraph", "json": "{", "txt": "2 operators"}.items():
        output = tmp_path / f"graph.{ending}"
        done = penstock("show", path, "--output", output)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert output.read_text().startswith(begin)
    penstock("show", path, "--output", output, "--format", "svg")
    assert output.read_text() == svg


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        ("x = 1\n", [], 2, "has neither a __main__ part nor a flow"),
        ("if __name__ == '__main__':\n    print('nothing')\n", [], 2, "runs no graph"),
        ("flow = show(numbers())\n", ["--format", "png"], 2, "invalid choice: 'png'"),
        ("flow = show(numbers())\n", ["--output", "/no/such/folder/x.svg"], 2, "x.svg can't be written"),
        ("flow = show(numbers(), name='a') >> ps.resize(size=(4, 4), name='a')\n", [], 1, 'two operators named "a"'),
        ("flow = show(1 / 0)\n", [], 1, "ZeroDivisionError"),
    ],
)
def test_mistakes(program, text, arguments, code, said):
    done = penstock("show", program(text), *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 15


def test_a_file_that_is_not_there():
    done = penstock("show", "nowhere.py")
    assert (done.returncode, done.stderr) == (2, "penstock: show: there is no file nowhere.py\n")
