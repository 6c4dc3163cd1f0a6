"""Where the peers of the benchmarks on a GPU machine are found, and how a program with one of them is run.

`./run deps --wheels --python 3.12 peers` fetches their wheels into .deps/peers; tools/gpu_suite.sh unpacks them into
build/peers. They may as well be installed in the Python that runs the benchmark.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "peers"
HOW = "./run deps --wheels --python 3.12 peers fetches it, tools/gpu_suite.sh unpacks it"


def cuda_libraries() -> list[Path]:
    """Folders that may hold libcudart.so.13, which the peers look for by name."""
    packages = [Path(path) for path in (*sys.path, sysconfig.get_path("purelib")) if path]
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    folders = [*(path / "nvidia" / "cu13" / "lib" for path in packages), toolkit / "lib64"]
    return [folder for folder in dict.fromkeys(folders) if (folder / "libcudart.so.13").exists()]


def is_there(name: str) -> bool:
    """Whether the peer can be found; a line that says how to get it, where not."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    if importlib.util.find_spec(name) is None:
        print(f"no {name} here: {HOW}", flush=True)
        return False
    return True


def load(name: str) -> ModuleType | None:
    """The peer as a module of this process; None, and a line that says so, where it is not there or does not start."""
    if not is_there(name):
        return None
    for folder in cuda_libraries()[:1]:
        ctypes.CDLL(str(folder / "libcudart.so.13"), mode=ctypes.RTLD_GLOBAL)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(f"{name} does not start here: {error}", flush=True)
        return None


def measured(program: str, *arguments: str, timeout_s: float = 120) -> dict[str, float]:
    """What a program of a peer prints, a line of JSON {name: number} each; also what it got to before it was stopped."""
    environment = dict(os.environ)
    libraries = [str(folder) for folder in cuda_libraries()[:1]]
    for name, folders in (("PYTHONPATH", [str(FOLDER)]), ("LD_LIBRARY_PATH", libraries)):
        environment[name] = ":".join([*filter(None, [environment.get(name)]), *folders])
    command = [sys.executable, str(ROOT / "bench" / program), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=environment)
        out, err, status = done.stdout, done.stderr, f"ended with {done.returncode}"
    except subprocess.TimeoutExpired as expired:
        out, err = (
            text.decode() if isinstance(text, bytes) else text or "" for text in (expired.stdout, expired.stderr)
        )
        status = f"was stopped after {timeout_s:g} s"
    values: dict[str, float] = {}
    for line in out.splitlines():
        if line.startswith("{"):
            values.update(json.loads(line))
    for line in err.splitlines():
        if line.startswith("failed: "):
            print(f"{program} {line}", flush=True)
    if status != "ended with 0":
        told = [line for line in err.splitlines() if "leaked" not in line][-6:]
        print(f"{program} {' '.join(arguments)} {status}: " + " | ".join(told), flush=True)
    return values
