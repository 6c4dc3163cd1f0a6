"""The examples in Holoscan's words: with NumPy everywhere, with CuPy and PyTorch where there is a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import penstock as ps

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ARRAYS = {"numpy": "numpy.ndarray", "cupy": "cupy.ndarray", "torch": "torch.Tensor", "both": "cupy.ndarray"}


def run_example(name, *flags):
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
    command = [sys.executable, str(EXAMPLES / name), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=env)


def skip_without(arrays):
    if arrays != "numpy" and ps.device_count() == 0:
        pytest.skip("needs a GPU")
    for library in {"cupy": ["cupy"], "torch": ["torch"], "both": ["cupy", "torch"]}.get(arrays, []):
        pytest.importorskip(library)


@pytest.mark.parametrize(
    ("flags", "stream", "count"),
    [((), "non-default", 10), (("--default_stream",), "default", 10), (("-c", "3"), "non-default", 3)],
)
@pytest.mark.parametrize("arrays", ARRAYS)
def test_every_message_arrives_with_the_right_sums(arrays, flags, stream, count):
    skip_without(arrays)
    if arrays == "numpy":
        done = run_example("holoscan_streams.py", *flags)
    else:
        done = run_example("holoscan_cupy.py", "--arrays", arrays, *flags)
    assert done.returncode == 0, done.stderr
    # Operators print from threads of their own: a line of one may stand within a line of another.
    assert done.stdout.count(f"rx received {stream} CUDA stream from port 'in'") == count
    assert done.stdout.count(f"rx received message {count}: Tensor key: '', shape: (2160)") == 1
    assert f"rx received message {count + 1}" not in done.stdout
    assert done.stdout.splitlines()[-1] == f"the sums of {count} messages are right"
    assert done.stdout.count(f"type(tensor1)=<class '{ARRAYS[arrays]}'>") == count
    is_named = stream == "non-default"
    assert ("Stream: 0x" in done.stdout, "Stream: none" in done.stdout) == (is_named, not is_named)


def test_a_wrong_sum_is_an_error(tmp_path):
    source = (EXAMPLES / "holoscan_streams.py").read_text()
    wrong = source.replace("out *= number", "out *= 1")
    assert wrong != source
    (tmp_path / "wrong.py").write_text(wrong)
    done = run_example(tmp_path / "wrong.py", "-c", "2")
    assert done.returncode == 1
    assert "are right" not in done.stdout
    assert "AssertionError" in done.stderr


def test_without_a_gpu_it_takes_numpy_and_says_so():
    if ps.device_count():
        pytest.skip("there is a GPU")
    done = run_example("holoscan_cupy.py", "-c", "2")
    assert done.returncode == 0, done.stderr
    assert "the sums of 2 messages are right" in done.stdout
    assert done.stderr == "holoscan_cupy.py: NumPy on host streams; the rest needs a GPU\n"
    asked = run_example("holoscan_cupy.py", "--arrays", "cupy")
    assert asked.returncode == 1
    assert asked.stderr == "holoscan_cupy.py: --arrays cupy needs a GPU; there is none here\n"


@pytest.mark.parametrize("name", ["holoscan_streams.py", "holoscan_cupy.py"])
def test_a_count_of_zero_is_refused(name):
    done = run_example(name, "-c", "0")
    assert done.returncode != 0
    assert "ValueError: count must be a positive integer" in done.stderr
