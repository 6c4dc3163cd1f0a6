"""Graphs in Graphviz's language, as text, and as JSON."""

import json
import re
import shutil
import subprocess

import pytest
from pictures import CHAIN, LOOP, PLANS, WALL, plan

import penstock as ps
from penstock import _picture
from penstock._picture import Operator

STRING = r'"(?:[^"\\]|\\.)*"'
ATTRIBUTES = rf"\[\w+=(?:{STRING}|\w+)(?:, \w+=(?:{STRING}|\w+))*\]"
STATEMENT = re.compile(
    rf"^  (?:rankdir=TB|(?:node|edge) {ATTRIBUTES}|{STRING} {ATTRIBUTES}|{STRING} -> {STRING} {ATTRIBUTES});$"
)


@pytest.mark.parametrize("plan", [CHAIN, WALL, LOOP, plan('say"hi"\\ -> b\\')])
def test_dot_is_in_graphviz_language(plan):
    text = _picture.dot(plan)
    first, *lines, last = text.splitlines()
    assert (first, last) == ("digraph penstock {", "}")
    assert [line for line in lines if not STATEMENT.match(line)] == []
    assert sum(" -> " in line for line in lines) == len(plan.edges)
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.count("\nnode ") == len(plan.operators)


def test_text_fits_80_columns_and_names_every_edge():
    for one in PLANS:
        text = _picture.text(one)
        assert max(map(len, text.splitlines())) <= 80
        joined = " ".join(text.split())
        for edge in one.edges:
            assert f"{edge.sender}.{edge.output} (holds 4" in joined
            assert f"{edge.receiver}.{edge.input}" in joined
    long = _picture.text(plan("long_" * 30 + " -> " + "name_" * 30))
    assert max(map(len, long.splitlines())) <= 80


def test_text_says_what_was_said_of_an_operator():
    @ps.operator
    def numbers():
        yield 1

    @ps.operator(instances=2, batch=16, max_delay_ms=10, policy="drop_oldest", capacity=2)
    def detect(x):
        return x

    text = _picture.text(_picture.plan_of(detect(numbers())))
    assert "detect  (2 instances, batch 16 in 10 ms)" in text
    assert "x   <- numbers.out (holds 2, drop_oldest)" in text
    assert "numbers  (source)" in text


def test_a_name_that_says_the_kind_is_enough():
    def notes(name):
        return Operator(name, "resize", (), ()).notes

    assert notes("resize") == notes("resize_12") == []
    assert notes("small") == notes("resize_a") == ["resize"]


def test_json_has_all_of_it():
    found = json.loads(_picture.as_json(LOOP))
    assert [one["name"] for one in found["operators"]] == ["numbers", "tracker", "loop", "draw"]
    assert found["edges"][2] == {
        "sender": "tracker",
        "output": "state",
        "receiver": "loop",
        "input": "in",
        "capacity": 4,
        "policy": "block",
        "is_back": True,
    }
