"""Builds and loads count_calls.c: how often each function of CUDA's runtime and driver is called in this process.

``python -m gpu.cupti`` in tests/ builds it and says where headers and library were found.
"""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("count_calls.c")


class Unavailable(Exception):
    """No CUPTI, or no compiler, or this machine does not let it count."""


def toolkits():
    """Folders that a CUDA toolkit may be in, wheels included."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    if compiler := shutil.which("nvcc"):
        homes.append(str(Path(compiler).resolve().parent.parent))
    packages = [folder for entry in sys.path for folder in glob.glob(f"{entry}/nvidia/*")]
    return [Path(home) for home in [*homes, *packages] if home]


def include_folders():
    """The folder of cupti.h, then that of cuda.h."""
    places = ("extras/CUPTI/include", "include", "targets/x86_64-linux/include", "targets/sbsa-linux/include")
    found = []
    for header in ("cupti.h", "cuda.h"):
        folders = (home / place for home in toolkits() for place in places)
        folder = next((folder for folder in folders if (folder / header).is_file()), None)
        if folder is None:
            raise Unavailable(f"there is no {header} in {', '.join(map(str, toolkits()))}")
        found.append(folder)
    return found


def libraries():
    """Names of libcupti, to be tried in this order: the one that is loaded already comes first."""
    with open("/proc/self/maps") as maps:
        loaded = {line.split()[-1] for line in maps if "libcupti.so" in line}
    places = ("extras/CUPTI/lib64", "lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib")
    found = [path for home in toolkits() for place in places for path in glob.glob(f"{home / place}/libcupti.so.1*")]
    return [*sorted(loaded), "libcupti.so.13", "libcupti.so.12", *sorted(found)]


def build(folder):
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        raise Unavailable("no C compiler")
    library = Path(folder, "count_calls.so")
    includes = [f"-I{path}" for path in include_folders()]
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-std=c11", *includes, str(SOURCE), "-o", str(library), "-ldl"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Unavailable(f"{SOURCE.name} was not compiled: {done.stderr.strip()[:500]}")
    return library


class CallCounter:
    """Counts from its making on."""

    def __init__(self):
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Unavailable(f"no driver: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            self._library = ctypes.CDLL(str(build(folder)))
        self._library.count_calls_name.restype = ctypes.c_char_p
        self._library.count_calls_count.restype = ctypes.c_long
        results = []
        for name in libraries():
            result = self._library.count_calls_start(name.encode())
            if result == 0:
                return
            results.append(f"{name}: {result}")
            if result > 0:
                break  # it is there and refuses
        raise Unavailable(f"CUPTI does not count here: {', '.join(results)}")

    def counts(self):
        """Calls so far, by name. The per-thread forms of a function count as that function."""
        found = {}
        index = 0
        while (name := self._library.count_calls_name(index)) is not None:
            plain = name.decode().removesuffix("_ptsz").removesuffix("_ptds")
            plain = plain.split("_v")[0]
            found[plain] = found.get(plain, 0) + self._library.count_calls_count(index)
            index += 1
        return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as target:
        print("headers:", *include_folders())
        print("libraries:", *libraries())
        print("built:", build(target))
