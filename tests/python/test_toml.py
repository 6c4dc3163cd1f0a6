"""Graphs in TOML: the same as in Python, and what is said of a file that is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock._command._failure import Misuse, report
from penstock._command._toml import run_toml

ROOT = Path(__file__).resolve().parents[2]

OPERATORS = """
import penstock as ps

def numbers(*, count: int = 5):
    yield from range(count)

@ps.operator
class Scale:
    def __init__(self, by=2):
        self.by = by
    def __call__(self, x, *, plus=0):
        return x * self.by + plus

class Gain(ps.Operator):
    def setup(self, spec):
        spec.input("in")
        spec.output("out")
        spec.param("gain", 2)
    def compute(self, inputs, outputs, context):
        outputs.emit(inputs.receive("in") * self.gain, "out")

@ps.operator(outputs=("even", "odd"))
def split(x):
    return (x, None) if x % 2 == 0 else (None, x)

def add(a, b):
    return a + b

def total(x, sum):
    return x + sum

def gather(*parts):
    return parts

@ps.operator
def show(x, *, word="got"):
    print(word, x, flush=True)

def fails(x):
    raise LookupError(f"no {x}")

def passed_over(error, message):
    print("passed over", message.value, flush=True)
"""

GRAPH = """
[run]
workers = 2

[operators.numbers]
operator = "filters:numbers"
settings = {count = 6}

[operators.scale]
operator = "filters.py:Scale"
input = "numbers"
settings = {by = 10, plus = 1}
instances = 2

[operators.gain]
operator = "filters:Gain"
input = "numbers"
settings = {gain = 3}
capacity = 8
policy = "drop_newest"

[operators.add]
operator = "filters:add"
inputs = {a = "scale", b = "gain"}

[operators.show]
operator = "filters:show"
input = "add"
"""

SAME_IN_PYTHON = """
import penstock as ps
from filters import Gain, Scale, add, numbers, show

source = ps.operator(numbers)(count=6, name="numbers")
scale = Scale(by=10, instances=2, name="scale")(source, plus=1)
gain = Gain(gain=3, capacity=8, policy="drop_newest", name="gain")(source)
flow = show(ps.operator(add)(a=scale, b=gain, name="add"), name="show")
"""


@pytest.fixture
def penstock(tmp_path):
    (tmp_path / "filters.py").write_text(OPERATORS)

    def run(text, *arguments, command="run", name="graph.toml"):
        if text is not None:
            (tmp_path / name).write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "penstock", command, str(tmp_path / name), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def lines(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_same_graph_as_in_python(penstock):
    shown = penstock(GRAPH, "--format", "json", command="show")
    same = penstock(SAME_IN_PYTHON, "--format", "json", command="show", name="graph.py")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == json.loads(same.stdout)
    found = lines(penstock(GRAPH.replace('policy = "drop_newest"\n', "")))
    assert found == [f"got {x * 10 + 1 + x * 3}" for x in range(6)]
    assert lines(penstock(SAME_IN_PYTHON.replace(', policy="drop_newest"', ""), name="graph.py")) == found


def test_words_of_the_command_line(penstock):
    found = penstock(GRAPH, "--set", "scale.by=100", "--set", "show.word=said", "--frames", 2, "--workers", 1)
    assert lines(found) == ["said 1", "said 104"]


def test_the_command_line_goes_before_the_words_of_the_run(penstock):
    text = GRAPH.replace("workers = 2", 'device = "cuda:99"')
    refused = penstock(text)
    assert refused.returncode == 1
    assert "cuda:99" in refused.stderr
    assert len(lines(penstock(text, "--device", "cpu"))) == 6


def test_outputs_by_name_and_fair_merges(penstock):
    text = """
[operators.numbers]
operator = "filters:numbers"
[operators.split]
operator = "filters:split"
input = "numbers"
[operators.odd]
operator = "filters:show"
input = "split.odd"
settings = {word = "odd"}
[operators.all]
operator = "filters:show"
input = ["split.even", "split.odd"]
settings = {word = "any"}
"""
    found = lines(penstock(text))
    assert [line for line in found if line.startswith("odd")] == ["odd 1", "odd 3"]
    assert sorted(line for line in found if line.startswith("any")) == [f"any {n}" for n in range(5)]


def test_a_loop(penstock):
    text = """
[operators.sum]
operator = "filters:total"
inputs = {x = "numbers", sum = "before"}
[operators.before]
operator = "ps.loop"
input = "sum"
settings = {first = [100]}
[operators.numbers]
operator = "filters:numbers"
[operators.show]
operator = "filters:show"
input = "sum"
"""
    assert lines(penstock(text)) == ["got 100", "got 101", "got 103", "got 106", "got 110"]


def test_many_inputs_of_one_name(penstock):
    text = """
[operators.numbers]
operator = "filters:numbers"
[operators.scale]
operator = "filters:Scale"
input = "numbers"
[operators.gather]
operator = "filters:gather"
inputs = {parts = ["numbers", "scale", "numbers"]}
[operators.show]
operator = "filters:show"
input = "gather"
"""
    assert lines(penstock(text, "--frames", 2)) == ["got (0, 0, 0)", "got (1, 2, 1)"]


def test_words_that_take_objects(penstock):
    text = """
[operators.numbers]
operator = "filters:numbers"
[operators.fails]
operator = "filters:fails"
input = "numbers"
on_error = "filters:passed_over"
[operators.add]
operator = "filters:add"
inputs = {a = "numbers", b = "numbers"}
join = {within_ms = 10}
"""
    assert lines(penstock(text, "--frames", 2)) == ["passed over 0", "passed over 1"]
    assert "joins by within" in penstock(text, command="show").stdout
    done = penstock(text.replace("within_ms", "ms"))
    assert "join: expected {within_ms = 10}" in done.stderr


def test_a_module_beside_the_file_goes_before_others(penstock, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "filters.py").write_text(OPERATORS.replace('word="got"', 'word="beside"'))
    found = penstock(GRAPH, "--frames", 1, name="elsewhere/graph.toml")
    assert lines(found) == ["beside 1"]


def test_the_exception_of_a_run(penstock):
    text = """
[operators.numbers]
operator = "filters:numbers"
[operators.fails]
operator = "filters:fails"
input = "numbers"
"""
    done = penstock(text)
    assert done.returncode == 1
    assert "LookupError: 'no 0'" in done.stderr or "LookupError: no 0" in done.stderr
    assert "in operator fails" in done.stderr
    assert "filters.py:" in done.stderr
    assert "Traceback" not in done.stderr


A = '[operators.a]\noperator = "filters:numbers"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[operators.a]\noperator = "filters:numbers\n', ["graph.toml:2:", 'operator = "filters:numbers\n', "^"]),
        ("[operators.a\n", ["graph.toml:1:", "[operators.a"]),
        (A + "[operators.a]\n", ["graph.toml:3:"]),
        ("", ["graph.toml: it has no operators"]),
        ("operators = 3\n", ["operators: expected a table, found an integer"]),
        ("[operators]\nc = 3\n", ["operators.c: expected a table, found an integer"]),
        ("[operatrs.a]\n", ["unknown key 'operatrs'; did you mean 'operators'?"]),
        ("[run]\nworker = 2\n" + A, ["graph.toml: run: unknown key 'worker'; did you mean 'workers'?"]),
        ('[run]\nworkers = "2"\n' + A, ["workers='2' does not fit"]),
        ("[operators.a]\n", ["graph.toml:1: operators.a: expected operator =", "found none"]),
        (A + "instnces = 2\n", ["graph.toml:1: operators.a: unknown key 'instnces'; did you mean 'instances'?"]),
        (A + 'instances = "two"\n', ["a: instances='two' does not fit"]),
        (A + 'name = "b"\n', ["name can't be said here: the name is that of the table"]),
        (A + 'ready = "b"\n', ["ready can't be said here: it takes an object of Python"]),
        (A + "settings = {cont = 2}\n", ["unknown keyword 'cont'; did you mean 'count'?"]),
        (A + "settings = 2\n", ["settings: expected a table, found an integer"]),
        ('[operators.a]\noperator = "filters:numbrs"\n', ["filters has no 'numbrs'; did you mean 'numbers'?"]),
        ('[operators.a]\noperator = "filtrs:numbers"\n', ["there is no module 'filtrs'"]),
        ('[operators.a]\noperator = "filtrs.py:numbers"\n', ["there is no file", "filtrs.py"]),
        ('[operators.a]\noperator = "filters:"\n', ["'filters:' names nothing"]),
        ('[operators.a]\noperator = "filters:__name__"\n', ["is no operator but an object of str"]),
        ('[operators.a]\noperator = "ps.resiz"\n', ["there is no operator 'ps.resiz'; did you mean 'ps.resize'?"]),
        ('[operators.a]\noperator = "ps.route"\n', ["ps.route takes functions"]),
        ('[operators.a]\noperator = "ps.resize"\n', ["nobody sends to its input 'src'"]),
        ('[operators.a]\noperator = "filters:add"\n', ["nobody sends to its input 'a'"]),
        ('[operators.a]\noperator = "ps.merge"\n', ["nobody sends to it"]),
        ('[operators.a]\noperator = "ps.loop"\nsettings = {first = [1]}\n', ["nobody sends to it"]),
        (A + '[operators.b]\noperator = "filters:add"\ninput = "a"\n', ['write inputs = {a = "…", b = "…"}']),
        (
            A + '[operators.b]\noperator = "filters:add"\ninputs = {a = "a"}\n',
            ["graph.toml:3: operators.b", "input 'b'"],
        ),
        (A + '[operators.b]\noperator = "filters:add"\ninputs = {a = "a", c = "a"}\n', ["no input 'c'"]),
        (A + '[operators.b]\noperator = "filters:show"\ninput = "c"\n', ["there is no operator 'c'; did you mean"]),
        (A + '[operators.b]\noperator = "filters:show"\ninput = "a.oout"\n', ["no output 'oout'", "mean 'out'?"]),
        (A + '[operators.b]\noperator = "filters:show"\ninput = 3\n', ['expected "OPERATOR" or "OPERATOR.OUTPUT"']),
        (A + '[operators.b]\noperator = "filters:show"\ninput = []\n', ["the array is empty"]),
        (
            A + '[operators.b]\noperator = "filters:numbers"\ninput = "a"\n',
            ["is a source, so nothing can be sent to it"],
        ),
        (A + '[operators.b]\noperator = "ps.resize"\ninput = "a"\n', ["resize: size is missing"]),
        (
            A + '[operators.b]\noperator = "ps.resize"\ninput = "a"\nsettings = {siz = [1, 2]}\n',
            ["no setting 'siz'; did you mean 'size'?"],
        ),
        (
            A + '[operators.b]\noperator = "ps.sink"\ninput = "a"\nsettings = {pth = "x.mp4"}\n',
            ["no setting 'pth'; did you mean 'path'?"],
        ),
        (
            '[operators.a]\noperator = "filters:Scale"\ninput = "b"\n[operators.b]\noperator = "filters:Scale"\ninput = "a"\n',
            ["the cycle a -> b -> a has no first message", "ps.loop"],
        ),
        ('[operators."a.b"]\noperator = "filters:numbers"\n', ["a name has no dot"]),
    ],
)
def test_mistakes_in_the_file(tmp_path, monkeypatch, capsys, text, said):
    (tmp_path / "filters.py").write_text(OPERATORS)
    (tmp_path / "graph.toml").write_text(text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("filters", None)
    with pytest.raises(Misuse) as raised:
        run_toml(tmp_path / "graph.toml", [])
    assert report(raised.value) == 2
    printed = capsys.readouterr()
    for part in said:
        assert part in printed.err
    assert printed.out == ""
    assert len(printed.err.splitlines()) <= 15


def test_a_mistake_is_exit_code_2(penstock):
    for command in ("run", "show"):
        done = penstock(A + "instnces = 2\n", command=command)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "graph.toml:1: operators.a: unknown key 'instnces'; did you mean 'instances'?" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["more"], "nobody takes the arguments more"),
        (["--set", "b.count=2"], "--set b.count: no operator 'b'"),
        (["--set", "a.cont=2"], "did you mean 'count'?"),
        (["--set", "acount"], "expected OP.SETTING=VALUE"),
    ],
)
def test_mistakes_on_the_command_line(penstock, arguments, said):
    done = penstock(A, *arguments)
    assert said in done.stderr
    assert done.returncode == 2


def test_a_file_that_is_no_text(penstock, tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"x = '\xff'\n")
    done = penstock(None, name="bytes.toml")
    assert done.returncode == 2
    assert "no UTF-8 text" in done.stderr


def test_the_example_makes_a_video(penstock, tmp_path):
    av = pytest.importorskip("av")
    pytest.importorskip("cv2")
    import numpy as np

    for name in ("video.toml", "video.py"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        video = container.add_stream("libx264", 25)
        video.height, video.width = 120, 160
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), level * 20, np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    clip, out = (f"--set=source.what={tmp_path}/clip.mp4", f"--set=sink.path={tmp_path}/out.mp4")
    done = penstock(None, clip, out, "--frames", 7, name="video.toml")
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [(f.height, f.width) for f in container.decode(video=0)] == [(360, 640)] * 7
    missing = penstock(None, "--set=source.what=none.mp4", name="video.toml")
    assert missing.returncode == 1
    assert "there is no file none.mp4" in missing.stderr
