"""The live table: its lines, and what a person sees of it on a terminal."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from terminals import Terminal

from penstock._command import _table
from penstock._command._table import Looks, Row, Style, table

PLAIN = Style(has_color=False)

PROGRAM = """
import sys, time
import penstock as ps

@ps.operator
def camera():
    for i in range(int(sys.argv[1])):
        time.sleep(0.005)
        yield i

@ps.operator
def detect(x):
    time.sleep(0.01)
    return x

@ps.operator
def shown(x):
    {body}

if __name__ == "__main__":
    ps.run(camera() >> detect >> shown)
    print("after the run")
"""


@pytest.fixture
def program(tmp_path):
    def write(body="pass"):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.replace("{body}", body))
        return path

    return write


def row(name="decode", **words):
    values = {"instances": 1, "rate": 250.0, "busy": 0.5, "p50": 0.002, "p99": 0.004, "queue": 0.5, "drops": 0}
    return Row(name, **{**values, **words})


def width(line):
    return _table._width(line)


@pytest.mark.parametrize("columns", [20, 40, 79, 80, 120, 160, 300])
@pytest.mark.parametrize("name", ["a", "name" * 40, "相機" * 30, "bad\x1b[2J\nname"])
def test_no_line_is_wider_than_the_terminal(columns, name):
    for style in (PLAIN, Style(), Style(has_blocks=False)):
        lines = table([row(name, drops=1234567), row("b", queue=None)], 12.0, columns, 10, style)
        assert len(lines) == 3
        assert max(map(width, lines)) <= columns
        assert all("\n" not in line and "\x1b[2J" not in line for line in lines)


def test_a_line_says_all_there_is_at_80_columns():
    lines = table([row(drops=7, instances=4)], 3.2, 79, 10, PLAIN)
    assert lines[0].split() == ["3", "s", "rate", "busy", "p50", "p99", "queue", "drops"]
    assert lines[1].split() == ["decode", "×4", "250/s", "50%", "2", "ms", "4", "ms", "███···", "7"]


def test_a_long_name_keeps_both_of_its_ends():
    line = table([row("camera_in_the_northern_hall_of_the_building_17")], 1, 79, 10, PLAIN)[1]
    assert line.startswith("camera_")
    assert "…" in line
    assert "_17 " in line


def test_with_more_operators_than_lines_the_busiest_are_shown_in_their_order():
    rows = [row(f"op{i}", busy=(i % 5) / 10) for i in range(20)]
    lines = table(rows, 1, 79, 6, PLAIN)
    assert len(lines) == 6
    names = [line.split()[0] for line in lines[1:5]]
    assert names == ["op4", "op9", "op14", "op19"]
    assert lines[5] == "… and 16 more, at most 30% busy"
    assert table(rows, 1, 79, 1, PLAIN) == []


@pytest.mark.parametrize(("share", "text"), [(0, "····"), (0.5, "██··"), (1, "████"), (2, "████"), (0.03125, "▏···")])
def test_a_bar(share, text):
    assert _table.bar(share, 4, PLAIN) == text


def test_rates_are_those_of_the_last_second():
    looks = Looks()

    def at(seconds, activations, busy):
        one = {"name": "a", "activations": activations, "busy": busy, "lanes": (0,), "p50": 0.1, "p99": 0.2}
        return looks.rows({"seconds": seconds, "operators": [one], "edges": []})[0]

    assert at(1.0, 100, 1.0).rate == pytest.approx(100)
    for tenth in range(1, 11):
        last = at(1.0 + tenth / 10, 100 + tenth, 1.0 / (1.0 + tenth / 10))
    assert last.rate == pytest.approx(10)
    assert last.busy == pytest.approx(0)


@pytest.mark.parametrize("columns", [80, 160])
def test_the_table_is_seen_while_it_runs_and_gone_afterwards(program, columns):
    terminal = Terminal("run", program(), 200, columns=columns)
    assert terminal.until(lambda t: t.has("detect") and t.has("queue"))
    assert terminal.finish() == 0
    assert not terminal.has("queue")
    text = "\n".join(terminal.text())
    assert "detect is the bottleneck" in " ".join(text.split())
    assert text.rstrip().endswith("after the run")


@pytest.mark.parametrize("body", ["print('line', x)", "print('li', end='', flush=True); print('ne', x)"])
def test_what_the_program_prints_is_not_torn(program, body):
    terminal = Terminal("run", program(body), 150, lines=12)
    assert terminal.until(lambda t: t.has("queue"))
    assert terminal.finish() == 0
    lines = [line for line in terminal.text() if line.startswith("line")]
    assert lines == [f"line {i}" for i in range(150)]
    assert not [line for line in terminal.text() if "p99 " in line and "queue" in line]


def test_a_smaller_terminal_is_no_trouble(program):
    terminal = Terminal("run", program("print('line', x) if x % 10 == 0 else None"), 250)
    assert terminal.until(lambda t: t.has("queue"))
    terminal.resize(6, 40)
    assert terminal.until(lambda t: t.has("line 100"))
    assert terminal.until(lambda t: t.has("rate") and t.has("detect") and not t.has("queue"))
    terminal.resize(24, 100)
    assert terminal.until(lambda t: t.has("queue"))
    assert terminal.finish() == 0
    assert not terminal.has("queue")


def test_the_cursor_is_never_hidden_and_no_mode_is_set(program):
    terminal = Terminal("run", program(), 150)
    terminal.finish()
    assert b"\x1b[?" not in terminal.raw
    assert b"\x1b[J" in terminal.raw


def test_an_exception_takes_the_table_away(program):
    terminal = Terminal("run", program("if x == 100: raise ValueError('too many')"), 200)
    assert terminal.until(lambda t: t.has("queue"))
    assert terminal.finish() == 1
    assert terminal.has("ValueError: too many")
    assert not terminal.has("queue")
    assert not terminal.has("bottleneck")


def test_an_interrupt_takes_the_table_away(program):
    terminal = Terminal("run", program(), 100000)
    assert terminal.until(lambda t: t.has("queue"))
    terminal.interrupt()
    assert terminal.finish() == 130
    assert terminal.has("penstock: interrupted")
    assert not terminal.has("queue")


def test_without_colours(program):
    terminal = Terminal("run", program(), 200, NO_COLOR="1")
    assert terminal.until(lambda t: t.has("queue"))
    terminal.finish()
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.raw)


def test_a_dumb_terminal_gets_the_summary_alone(program):
    terminal = Terminal("run", program(), 200, TERM="dumb")
    assert terminal.finish() == 0
    assert b"\x1b" not in terminal.raw
    assert terminal.has("penstock: detect is the bottleneck")


def test_a_short_run_says_nothing(program):
    terminal = Terminal("run", program(), 5)
    assert terminal.finish() == 0
    assert [line for line in terminal.text() if line] == ["after the run"]


def test_without_a_terminal_there_is_nothing_at_all(program):
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "run", program(), "150"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "after the run\n"


def test_a_child_that_the_program_forks_prints_as_usual(program):
    body = """
    import os
    if x == 100:
        child = os.fork()
        if child == 0:
            sys.stdout.write("from the child\\n")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)"""
    terminal = Terminal("run", program(body), 150)
    assert terminal.finish() == 0
    assert b"from the child\r\n" in terminal.raw  # and nothing erased: the table is not the child's
