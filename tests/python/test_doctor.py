"""penstock doctor: what it says of machines of all kinds, and of this one."""

import dataclasses
import subprocess
import sys

import pytest

import penstock as ps
from penstock._command._doctor import examine
from penstock._command._machine import Driver, Machine, gather

WHOLE = Machine(
    python=(3, 12, 4),
    core_version="1.0",
    packages={"penstock": "1.0", "numpy": "2.1.0", "av": "14.0", "torch": "2.6.0+cu124", "opencv-python": "4.10"},
    torch_cuda="12.4",
    driver=Driver(1, "550.54", None, (12, 4), 1),
    penstock_devices=1,
    memory_bytes=32 << 30,
    cores=8,
    cores_allowed=8.0,
    open_files=65536,
    shared_bytes=16 << 30,
)


def found(**changes):
    return [one for one in examine(dataclasses.replace(WHOLE, **changes)) if one.level != "ok"]


def packages(**changes):
    given = {**WHOLE.packages, **{name.replace("_", "-"): version for name, version in changes.items()}}
    return {name: version for name, version in given.items() if version is not None}


def test_a_whole_machine_has_nothing_to_say():
    assert found() == []
    assert {one.level for one in examine(WHOLE)} == {"ok"}


def test_a_machine_without_a_gpu_is_whole():
    assert found(driver=Driver(error="libcuda.so.1: cannot open shared object file"), penstock_devices=0) == []


@pytest.mark.parametrize(
    ("changes", "said", "advice"),
    [
        ({"python": (3, 10, 1)}, "CPython 3.10.1", "3.11 or newer"),
        ({"implementation": "PyPy"}, "PyPy 3.12.4", "CPython"),
        ({"packages": packages(numpy=None)}, "numpy is not installed", "pip install"),
        ({"packages": packages(numpy="1.24.0")}, "numpy 1.24.0 is too old", "numpy>=1.26"),
        (
            {"packages": packages(penstock="0.9")},
            "penstock 0.9 is installed, but what is imported is 1.0",
            "PYTHONPATH",
        ),
    ],
)
def test_what_is_needed(changes, said, advice):
    (one,) = found(**changes)
    assert one.level == "wrong"
    assert said in one.what
    assert advice in one.advice


@pytest.mark.parametrize(
    ("changes", "said", "advice"),
    [
        ({"packages": packages(av=None)}, "av is not installed", "penstock[video]"),
        ({"packages": packages(av="11.0.0")}, "av 11.0.0 is older", "--upgrade av"),
        ({"packages": packages(opencv_python_headless="4.9")}, "2 packages of OpenCV", "overwrite"),
        ({"packages": packages(cupy="13.0", cupy_cuda12x="13.0")}, "2 packages of CuPy", "overwrite"),
        ({"packages": packages(torch="2.3.0")}, "torch 2.3.0", "2.4 or newer"),
        ({"torch_cuda": None}, "made for CPUs", "made for CUDA"),
        ({"torch_cuda": "13.0"}, "made for CUDA 13.0", "up to 12.4"),
        ({"driver": Driver(2, None, "no libcuda")}, "2 NVIDIA GPUs, but no driver", "Install"),
        (
            {"driver": Driver(1, "550.54", "unknown error", (12, 4))},
            "driver 550.54 (CUDA 12.4) can't be used",
            "restart",
        ),
        ({"driver": Driver(0, None, "not initialized", (12, 4))}, "can't be used from here: not initialized", "--gpus"),
        ({"driver": Driver(0, "550.54", None, (12, 4), 0), "visible_devices": ""}, "hides them", "Unset"),
        ({"driver": Driver(0, "550.54", None, (12, 4), 0)}, "no GPU, but driver 550.54", "Pass one on"),
        ({"penstock_devices": 0}, "penstock uses none", "no CUDA part"),
        ({"memory_limit_bytes": 512 << 20}, "0.5 GiB of memory (limited by the cgroup)", "raise"),
        ({"cores_allowed": 1.5}, "1.5 of 8 cores", "workers=2"),
        ({"open_files": 256}, "256 open files", "ulimit -n"),
        ({"shared_bytes": 64 << 20}, "/dev/shm has 64 MiB", "--shm-size"),
        ({"shared_bytes": None}, "no /dev/shm", "DataLoader"),
        ({"start_method": "fork"}, "forks", "spawn"),
        ({"variables": {"PENSTOCK_CHECK": "order"}}, "PENSTOCK_CHECK=order is set", "slower"),
    ],
)
def test_what_is_worth_a_note(changes, said, advice):
    (one,) = found(**changes)
    assert one.level == "note"
    assert said in one.what
    assert advice in one.advice


def test_this_machine():
    machine = gather()
    assert machine.python[:2] == sys.version_info[:2]
    assert machine.core_version == ps.__version__
    assert machine.packages["numpy"]
    assert machine.penstock_devices == ps.device_count()
    assert machine.memory_bytes > 1 << 28
    assert 0 < machine.cores_allowed <= machine.cores


def doctor(**environment):
    import os

    return subprocess.run(
        [sys.executable, "-m", "penstock", "doctor"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_command():
    done = doctor(PENSTOCK_SEED="7")
    assert done.returncode == 0, done.stdout
    assert f"ok     penstock {ps.__version__}" in done.stdout
    assert "note   PENSTOCK_SEED=7 is set" in done.stdout
    assert "All that is needed is here; " in done.stdout.splitlines()[-1]
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert done.stderr == ""


def test_something_that_is_missing_is_exit_code_1(monkeypatch, capsys):
    from penstock._command import _doctor

    monkeypatch.setattr(_doctor, "gather", lambda: dataclasses.replace(WHOLE, packages=packages(numpy=None, av=None)))
    assert _doctor.doctor() == 1
    said = capsys.readouterr().out
    assert "wrong  numpy is not installed\n         pip install" in said
    assert said.endswith("1 thing to mend; 1 note\n")
