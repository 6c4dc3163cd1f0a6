"""The examples that are for a GPU: run where they can, and what they say where they can't."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

import penstock as ps

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BUILD = Path(os.environ.get("PENSTOCK_BUILD_DIR", ".")).resolve()
NVCC = os.environ.get("CUDACXX") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"


def test_arrays_of_two_libraries_without_a_stream(monkeypatch):
    pytest.importorskip("torch")
    if ps.device_count():
        pytest.importorskip("cupy")
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    import streams_gpu

    # A row is a geometric series.
    height, width = 2160, 3840
    step = 2 * 10 / (height * width - 1)
    expected = np.exp(np.arange(height) * width * step) * (np.expm1(width * step) / np.expm1(step))
    for number, sums in enumerate(ps.iterate(streams_gpu.flow)):
        found = ps.as_tensor(sums).cpu().numpy()
        np.testing.assert_allclose(found, expected * number**2, rtol=1e-3)
    assert number == 9


def test_the_program_is_15_lines():
    _, graph = (EXAMPLES / "streams_gpu.py").read_text().split('with a GPU CuPy")\n')
    lines = [line for line in graph.splitlines() if line.strip()]
    assert len(lines) <= 15
    assert not any(word in graph for word in ("Stream", "stream=", "Event", "sync", "copy"))


def test_without_pytorch_it_says_what_it_needs():
    code = f"""
        import runpy, sys
        sys.modules["torch"] = None
        runpy.run_path({str(EXAMPLES / "streams_gpu.py")!r}, run_name="__main__")
    """
    done = run_python(code)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("it needs PyTorch, and with a GPU CuPy\n")


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """The C++ example, built against the installed library as a stranger builds it."""
    if not Path(NVCC).exists():
        pytest.skip("needs nvcc; set CUDACXX")
    if not shutil.which("cmake") or not (BUILD / "CMakeCache.txt").exists():
        pytest.skip("needs CMake and a build of the library: PENSTOCK_BUILD_DIR")
    folder = tmp_path_factory.mktemp("squares")
    prefix = folder / "prefix"
    settings = [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CUDA_COMPILER={NVCC}"]
    for command in (
        ["cmake", "--install", BUILD, "--prefix", prefix, "--component", "library"],
        ["cmake", "-S", EXAMPLES / "cpp", "-B", folder, "-G", "Ninja", *settings],
        ["cmake", "--build", folder],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "squares"


def test_a_kernel_of_ones_own_in_cpp(squares):
    done = subprocess.run([squares], capture_output=True, text=True, timeout=60, check=False)
    if ps.device_count() == 0:
        assert done.returncode == 1
        assert done.stdout == ""
        assert 'use device "cpu"' in done.stderr
        assert done.stderr.count("\n") == 1
        return
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"message {n}: {1 << 20} squares are right" for n in range(10)]
