"""/metrics, as Prometheus reads it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from graphs import Gate, eventually, numbers
from prometheus_client.parser import text_string_to_metric_families

import penstock as ps
from penstock import _metrics, _run


@pytest.fixture
def metrics():
    """As `penstock run --metrics 0` has them."""
    served = _metrics.Metrics("127.0.0.1", 0)
    _run.preparations.append(served.open)
    _run.watchers.append(served)
    yield served
    _run.preparations.remove(served.open)
    _run.watchers.remove(served)


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return parsed(answer.read().decode())


def parsed(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families, name, suffix="", **labels):
    found = [
        sample.value
        for sample in families[name].samples
        if sample.name == name + suffix and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


@pytest.fixture
def held(metrics):
    """A run that waits in the middle: (its URL, the gate, the run)."""
    gate = Gate()

    @ps.operator(name='odd "name"\\\nof two lines')
    def odd(x):
        if x == 5:
            gate.wait()
        return x

    @ps.operator(policy="drop_oldest")
    def last(x):
        pass

    run = ps.start(numbers(10) >> odd >> last)
    gate.wait_entered()
    yield metrics, gate, run
    gate.open()
    run.wait()


def test_operators_edges_latency_and_memory(held):
    metrics, _, run = held
    assert eventually(lambda: run.stats().operators["last"].activations == 5)
    odd = 'odd "name"\\\nof two lines'
    assert eventually(lambda: run.stats().edges["numbers", "out", odd, "x"].depth == 4)
    families = scrape(metrics.url)
    assert value(families, "penstock_operator_activations", "_total", operator=odd, run="1") == 5
    assert value(families, "penstock_operator_activations", "_total", operator="last") == 5
    assert value(families, "penstock_operator_instances", operator=odd) == 1
    assert value(families, "penstock_operator_busy_seconds", "_total", operator=odd) > 0
    duration = {"operator": odd}
    assert value(families, "penstock_operator_duration_seconds", "_count", **duration) == 5
    assert value(families, "penstock_operator_duration_seconds", quantile="0.5", **duration) > 0
    edge = {"from": "numbers", "from_port": "out", "to": odd, "to_port": "x"}
    assert value(families, "penstock_edge_messages", "_total", **edge) >= 6
    assert value(families, "penstock_edge_capacity", **edge) == 4
    assert value(families, "penstock_edge_depth", **edge) == 4
    assert eventually(lambda: value(scrape(metrics.url), "penstock_edge_blocked_seconds", "_total", **edge) > 0)
    assert value(families, "penstock_latency_seconds", "_count", source="numbers", sink="last") == 5
    assert value(families, "penstock_memory_live_bytes", device="cpu") >= 0
    assert value(families, "penstock_run_workers", run="1") >= 1


def test_kinds_and_units(held):
    families = scrape(held[0].url)
    for name, family in families.items():
        assert name.startswith("penstock_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "summary")
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        if "second" in family.documentation:
            assert name.endswith("_seconds")


def test_counters_never_fall(held):
    metrics, gate, _ = held
    seen = {}
    for turn in range(30):
        if turn == 15:
            gate.open()
        if metrics.url is None:
            break
        for family in parsed(metrics.text()).values():
            for sample in family.samples if family.type == "counter" else ():
                key = (sample.name, *sample.labels.values())
                assert sample.value >= seen.get(key, 0), key
                seen[key] = sample.value
    assert seen


def test_it_ends_with_the_run(held):
    metrics, gate, run = held
    url = metrics.url
    gate.open()
    run.wait()
    assert metrics.url is None
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


def test_the_next_run_has_the_same_port_and_another_number(metrics):
    found = []

    @ps.operator
    def look(x):
        found.append((metrics.url, metrics.text()))

    ps.run(numbers(1) >> look)
    ps.run(numbers(1) >> look)
    assert found[0][0] == found[1][0]
    assert 'run="1"' in found[0][1]
    assert 'run="2"' in found[1][1]
    assert 'run="1"' not in found[1][1]


def test_only_its_own_page_and_its_own_machine(held):
    host = held[0].url.removeprefix("http://").split("/")[0]

    def status(path, name, method="GET"):
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request(method, path, headers={"Host": name})
        return connection.getresponse().status

    assert status("/metrics", "localhost:9") == 200
    assert status("/metrics", "[::1]:9") == 200
    assert status("/metrics?a=b", host) == 200
    assert status("/", host) == 404
    assert status("/metrics", host, "POST") == 501
    assert status("/metrics", "evil.example") == 403
    assert host.startswith("127.0.0.1:")


def test_a_port_in_use_is_an_error_before_the_run(held):
    taken = int(held[0].url.split(":")[2].split("/")[0])
    with pytest.raises(ps.Error, match=f"metrics: can't listen on 127.0.0.1:{taken}"):
        _metrics.Metrics("127.0.0.1", taken).open()


PROGRAM = """
import urllib.request
import penstock as ps

@ps.operator
def numbers():
    yield from range(3)

@ps.operator
def look(x):
    if x == 2:
        print(urllib.request.urlopen("http://127.0.0.1:{port}/metrics").read().decode())

if __name__ == "__main__":
    ps.run(numbers() >> look)
"""


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_by_the_environment(tmp_path):
    port = free_port()
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace("{port}", str(port)))
    done = python(path, PENSTOCK_METRICS=str(port))
    assert value(parsed(done.stdout), "penstock_operator_activations", "_total", operator="look") == 2
    assert done.stderr == ""
    wrong = python(path, PENSTOCK_METRICS="here")
    assert "metrics: 'here' is no port" in wrong.stderr


def test_by_the_command(tmp_path):
    port = free_port()
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace("{port}", str(port)))
    done = python("-m", "penstock", "run", path, "--metrics", port)
    assert value(parsed(done.stdout), "penstock_operator_activations", "_total", operator="look") == 2
    assert done.stderr == f"penstock: metrics at http://127.0.0.1:{port}/metrics\n"
    wrong = python("-m", "penstock", "run", "--metrics", path)
    assert wrong.returncode == 2
    assert "is no port" in wrong.stderr
