"""bench/harness.py: rows that are wrong are refused, targets are judged the right way round, times are times."""

import json
import sys
import time

import pytest
from harness import Bench, Row, interleaved


def row(**changes):
    fields = {"id": "T1", "what": "x", "ours": 1.0, "peer": 2.0, "peer_name": "torch", "unit": "us", "target": 1.5}
    return Row(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"unit": ""},
        {"ours": "1"},
        {"ours": -1.0},
        {"ours": float("nan")},
        {"peer": None},
        {"peer_name": None},
    ],
)
def test_a_wrong_row_is_refused(changes):
    with pytest.raises(ValueError, match=r"row needs|must be a number|belong together"):
        row(**changes)


def test_a_target_bounds_times_from_above_and_rates_from_below():
    assert row(ours=1.0).met is True
    assert row(ours=2.0).met is False
    assert row(ours=2.0, unit="frames/s").met is True
    assert row(ours=1.0, unit="frames/s").met is False
    assert row(target=None).met is None


def test_the_slower_function_takes_longer():
    def slow():
        time.sleep(0.002)

    fast_s, slow_s = interleaved([lambda: None, slow], rounds=3, batch_s=0.004)
    assert fast_s < 1e-4 < 2e-3 <= slow_s


def test_the_file_holds_the_rows_that_were_asked_for(tmp_path, monkeypatch, capsys):
    path = tmp_path / "rows.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--json", str(path), "--only", "T2"])
    bench = Bench()
    bench.add(row(id="T1"))
    bench.add(row(id="T2", ours=9.0, reason="a reason"))
    bench.finish()
    (written,) = json.loads(path.read_text())
    assert {k: written[k] for k in ("id", "what", "ours", "peer", "peer_name", "unit", "target")} == {
        "id": "T2", "what": "x", "ours": 9.0, "peer": 2.0, "peer_name": "torch", "unit": "us", "target": 1.5,
    }  # fmt: skip
    assert "1 targets missed" in capsys.readouterr().out
