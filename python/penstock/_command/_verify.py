"""``penstock verify``: a self test of the installed package, in a few seconds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import penstock as ps

_PATIENCE_S = 8.0
_RACE = """
import threading
import penstock as ps
first, second = ps.Stream("cpu"), ps.Stream("cpu")
x = ps.zeros((16,), "uint8", device="cpu")
gate = threading.Event()
def write(x):
    gate.wait(5)
first.launch(write, x, writes=x)
try:
    ps.uses(x, second, wait={wait})
    print("none")
except ps.StreamError:
    print("found")
gate.set()
"""


class _LeftOutError(Exception):
    """A check that does not apply here, and why."""


def verify() -> int:
    """Prints a line for each check; 1 if one fails."""
    failed = 0
    for name, check in CHECKS.items():
        began = time.monotonic()
        try:
            check()
            said = "ok"
        except _LeftOutError as reason:
            said, name = "-", f"{name}: left out, {reason}"
        except Exception as error:
            failed += 1
            said, name = "FAILED", f"{name}: {type(error).__name__}: {error}".split("\n")[0]
        print(f"{said:<6} {name}  ({time.monotonic() - began:.2f} s)", flush=True)
    print("\nAll is well" if not failed else f"\n{failed} of {len(CHECKS)} failed")
    return 1 if failed else 0


def _expect(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"{what}: expected {str(expected)[:80]}, found {str(found)[:80]}")


def _run(flow: Any, **options: Any) -> Any:
    run = ps.start(flow, **options)
    try:
        return run.wait(_PATIENCE_S)
    except TimeoutError:
        run._abort()
        raise


def _collected(flow: Any, **options: Any) -> list[Any]:
    found: list[Any] = []
    _run(flow >> found.append, **options)
    return found


def _numbers(count: int) -> Any:
    @ps.operator
    def numbers() -> Any:
        yield from range(count)

    return numbers()


def _graphs() -> None:
    """Chains, forks and joins, against the same in a loop."""

    @ps.operator
    def add(x: int, y: int) -> int:
        return x + y

    for workers in (1, 4):
        source = _numbers(200)
        found = _collected(add(source >> (lambda x: x * 3), source >> (lambda x: x * x)), workers=workers)
        _expect(f"with {workers} workers", found, [x * 3 + x * x for x in range(200)])


def _instances() -> None:
    @ps.operator(batch=4, max_delay_ms=1, instances=3)
    def squared(xs: list[int]) -> list[int]:
        return [x * x for x in xs]

    _expect("the order", _collected(squared(_numbers(100))), [x * x for x in range(100)])


def _operations() -> None:
    import numpy as np

    images = [np.full((24, 32, 3), 10 * level, np.uint8) for level in range(5)]

    @ps.operator
    def shown() -> Any:
        yield from images

    found = [ps.as_tensor(one).numpy() for one in _collected(shown() >> ps.resize(size=(12, 16)))]
    for image, one in zip(images, found, strict=True):
        expected = ps.resize(image, (12, 16))
        _expect("the shape", one.shape, (12, 16, 3))
        _expect("the pixels", one.tolist(), ps.as_tensor(expected).numpy().tolist())


def _errors() -> None:
    @ps.operator
    def fails(x: int) -> int:
        if x == 3:
            raise LookupError("meant to fail")
        return x

    try:
        _run(fails(_numbers(10)))
    except LookupError as error:
        _expect("its note", any("fails" in note for note in getattr(error, "__notes__", [])), True)
    else:
        raise AssertionError("what an operator raised did not come out of the run")


def _numpy() -> None:
    import numpy as np

    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    tensor = ps.as_tensor(array)
    _expect("the address there", tensor.data, array.ctypes.data)
    back = np.asarray(tensor)
    _expect("the address back", back.ctypes.data, array.ctypes.data)
    array[1, 2] = -1.0
    _expect("the value", float(back[1, 2]), -1.0)


def _torch() -> None:
    if find_spec("torch") is None:
        raise _LeftOutError("torch is not installed")
    import torch

    given = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensor = ps.as_tensor(given)
    _expect("the address there", tensor.data, given.data_ptr())
    _expect("the address back", tensor.torch().data_ptr(), given.data_ptr())


def _order() -> None:
    for wait, expected in ((False, "found"), (True, "none")):
        code = [sys.executable, "-c", _RACE.format(wait=wait)]
        environment = {**_environment(), "PENSTOCK_CHECK": "order:raise"}
        done = subprocess.run(code, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, env=environment)
        _expect(f"with wait={wait}", done.stdout.strip() or done.stderr.strip()[-80:], expected)


def _environment() -> dict[str, str]:
    """The child finds the package where this process found it."""
    import os

    folder = str(Path(ps.__file__).resolve().parent.parent)
    found = [entry for entry in sys.path if entry and Path(entry, "penstock", "__init__.py").exists()] or [folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*found, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def _gpu() -> None:
    if ps.device_count() == 0:
        raise _LeftOutError("there is no GPU that can be used")
    import numpy as np

    array = np.arange(1 << 16, dtype=np.int32)
    _expect("what came back", ps.as_tensor(array).cuda().cpu().numpy().tolist(), array.tolist())


def _media() -> None:
    if find_spec("av") is None:
        raise _LeftOutError("av is not installed")
    import numpy as np

    levels = range(20, 220, 20)

    @ps.operator
    def shown() -> Any:
        for level in levels:
            yield np.full((64, 96, 3), level, np.uint8)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "verify.mp4"
        _run(ps.sink(shown(), path))
        found = [ps.as_tensor(frame).numpy() for frame in _collected(ps.source(path))]
    _expect("how many frames", len(found), len(levels))
    _expect("their shape", {frame.shape for frame in found}, {(64, 96, 3)})
    off = [abs(float(frame.mean()) - level) for frame, level in zip(found, levels, strict=True)]
    _expect("frames whose level is off by more than 4", [n for n, by in enumerate(off) if by > 4.0], [])


CHECKS: dict[str, Callable[[], None]] = {
    "graphs give what a loop gives": _graphs,
    "batches and instances keep the order": _instances,
    "images resized in a graph and by a call are equal": _operations,
    "an operator's exception comes out of the run": _errors,
    "NumPy arrays are shared, not copied": _numpy,
    "torch tensors are shared, not copied": _torch,
    "the order checker finds a wait that is left out": _order,
    "memory goes to the GPU and back": _gpu,
    "a video is written and read": _media,
}
