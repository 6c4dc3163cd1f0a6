"""What a probe prints, and that it changes nothing."""

import threading

import numpy as np
import pytest
from graphs import collect, listed

import penstock as ps


def lines_of(messages, **words):
    lines = []
    ps.run(ps.probe(listed(messages, name="made"), print=lines.append, **words))
    return lines


def text_of(value, **words):
    (line,) = lines_of([value], **words)
    begin = "probe made #0: "
    assert line.startswith(begin)
    return line.removeprefix(begin)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(6, dtype=np.float32).reshape(2, 3) / 3, "(2, 3) float32 cpu [0, 0.333333, 0.666667, 1, ...]"),
        (np.arange(4, dtype=np.int64), "(4,) int64 cpu [0, 1, 2, 3]"),
        (np.array(2.5), "() float64 cpu [2.5]"),
        (np.zeros((0, 4), np.uint8), "(0, 4) uint8 cpu []"),
        (np.array([True, False]), "(2,) bool cpu [True, False]"),
        (np.array([2**63], np.uint64), "(1,) uint64 cpu [9223372036854775808]"),
        (np.arange(12).reshape(3, 4).T[::-1], "(4, 3) int64 cpu [3, 7, 11, 2, ...]"),
        (7, "7"),
        ("some\ntext", "'some\\ntext'"),
        ({"boxes": np.zeros((1, 4)), "name": "cat"}, "{'boxes': (1, 4) float64 cpu [0, 0, 0, 0], 'name': 'cat'}"),
        ((np.ones(2), [1, 2]), "((2,) float64 cpu [1, 1], [1, 2])"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, ... (20 in all)]"),
    ],
    ids=repr,
)
@pytest.mark.host
def test_a_line_says_what_a_message_is(value, text):
    assert text_of(value) == text


@pytest.mark.host
def test_tensors_show_their_layout():
    assert text_of(ps.zeros((4, 6, 3), "uint8", layout="HWC")) == "(4, 6, 3) uint8 HWC cpu [0, 0, 0, 0, ...]"


@pytest.mark.host
def test_types_that_numpy_lacks():
    assert text_of(ps.zeros((2,), ps.bfloat16)) == "(2,) bfloat16 cpu [0, 0]"


def test_a_line_is_one_line_whatever_comes():
    class Odd:
        def __repr__(self):
            return "first\nsecond" + "x" * 10_000

    text = text_of(Odd())
    assert "\n" not in text
    assert len(text) < 200


def test_the_number_of_values_can_be_chosen():
    assert text_of(np.arange(9), values=2) == "(9,) int64 cpu [0, 1, ...]"
    assert text_of(np.arange(9), values=0) == "(9,) int64 cpu [...]"
    assert text_of(np.arange(3), values=5) == "(3,) int64 cpu [0, 1, 2]"


def test_the_stream_that_a_message_came_on_is_named():
    stream = ps.Stream("cpu")

    class Emit(ps.Operator):
        def setup(self, spec):
            spec.input("in")
            spec.output("out")

        def compute(self, inputs, outputs, context):
            outputs.emit(inputs.receive("in"), "out", stream=stream)

    lines = []
    ps.run(ps.probe(Emit()(listed([np.zeros(2)], name="made")), print=lines.append))
    assert lines == [f"probe made #0: (2,) float64 cpu stream {stream.id} [0, 0]"]


@pytest.mark.host
def test_values_are_those_of_the_finished_work(gate):
    """The work that makes the tensor begins only after it was emitted."""

    @ps.operator
    def slow():
        stream = ps.Stream("cpu")
        tensor = ps.zeros((3,), "int32")
        stream.launch(gate)
        stream.launch(lambda t: t.numpy().fill(7), tensor, writes=tensor)
        threading.Timer(0.2, gate.open).start()
        yield tensor

    lines = []
    ps.run(ps.probe(slow(), print=lines.append))
    assert lines == ["probe slow #0: (3,) int32 cpu [7, 7, 7]"]


def test_everything_passes_as_it_is():
    values = [np.zeros(2), "text", {"a": 1}, 3]
    found = collect(ps.probe(listed(values), print=lambda line: None, first=1))
    assert [one is other for one, other in zip(found, values, strict=True)] == [True] * 4


def test_origin_time_and_metadata_pass():
    @ps.operator
    def source():
        ps.message().time = 1.5
        ps.message().metadata["rate"] = 30
        yield 1

    seen = []

    @ps.operator
    def note(x):
        about = ps.message()
        seen.append((about.origin, about.time, dict(about.metadata)))

    ps.run(note(ps.probe(source(), print=lambda line: None)))
    assert seen == [(("source", 0, None), 1.5, {"rate": 30})]


def test_only_the_first_are_printed():
    assert lines_of([1, 2, 3], first=2) == ["probe made #0: 1", "probe made #1: 2"]
    assert lines_of([1, 2, 3], first=0) == []


def test_lines_begin_with_the_name_and_each_source():
    lines = []
    flows = [listed([n], name=f"cam{n}") for n in (1, 2)]
    ps.run(ps.probe(ps.merge(*flows), name="look", print=lines.append))
    assert sorted(lines) == ["look cam1 #0: 1", "look cam2 #0: 2"]


def test_probes_without_a_name_are_told_apart():
    lines = []
    flow = ps.probe(listed([5], name="made"), print=lines.append)
    ps.run(ps.probe(flow, print=lines.append))
    assert lines == ["probe made #0: 5", "probe_2 made #0: 5"]


def test_stdout_is_the_default(capsys):
    ps.run(ps.probe(listed([1, 2], name="made")))
    assert capsys.readouterr().out == "probe made #0: 1\nprobe made #1: 2\n"


def test_a_flow_can_be_probed_again_and_again():
    lines = []
    flow = ps.probe(listed([1, 2, 3], name="made"), print=lines.append, first=1)
    ps.run(flow)
    ps.run(flow)
    assert len(lines) == 2


def test_a_printer_that_raises_ends_the_run():
    def fail(line):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        ps.run(ps.probe(listed([1]), print=fail))


def test_wrong_uses_are_refused():
    flow = listed([1])
    for words in ({"values": -1}, {"values": 1.5}, {"values": None}, {"first": -1}, {"first": True}):
        with pytest.raises(ps.GraphError, match=next(iter(words))):
            ps.probe(flow, **words)
    with pytest.raises(ps.ArgumentTypeError, match="function of a line"):
        ps.probe(flow, print="stdout")
    with pytest.raises(ps.ArgumentTypeError, match="expected a flow"):
        ps.probe(np.zeros(3))
    with pytest.raises(ps.GraphError, match="nothing to print"):
        ps.probe([])
