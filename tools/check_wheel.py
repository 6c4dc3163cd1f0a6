"""Run by the Python of an environment that holds only the wheel: what a stranger gets must import, and be whole."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

# Part of every Linux that the wheel is for.
SYSTEM_LIBRARIES = {
    "libc.so.6",
    "libm.so.6",
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
}


def check(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name, f"one wheel for all versions was expected, not {wheel.name}"
    names = zipfile.ZipFile(wheel).namelist()
    package = [
        "__init__.py",
        "_core.pyi",
        "py.typed",
        "_core.abi3.so",
        "_view/page.html",
        "_view/page.css",
        "_view/page.js",
    ]
    for name in (f"penstock/{file}" for file in package):
        assert name in names, f"{name} is not in the wheel: {names}"

    import penstock
    from penstock import _core

    version = importlib.metadata.version("penstock")
    assert penstock.__version__ == version, f"penstock says {penstock.__version__}, the wheel {version}"
    module = _core.__file__
    assert module
    needed = subprocess.run(["readelf", "-dW", module], capture_output=True, text=True, check=True).stdout
    libraries = {line.split("[")[1].split("]")[0] for line in needed.splitlines() if "(NEEDED)" in line}
    assert libraries <= SYSTEM_LIBRARIES, f"the module needs {sorted(libraries - SYSTEM_LIBRARIES)}"
    symbols = subprocess.run(["readelf", "--dyn-syms", "-W", module], capture_output=True, text=True, check=True).stdout
    shown = [
        f[7]
        for f in (line.split() for line in symbols.splitlines())
        if len(f) > 7 and f[6] != "UND" and f[4] == "GLOBAL"
    ]
    assert any(name.startswith("PyInit__core") for name in shown), shown
    print(f"{wheel.name}: penstock {version}, {len(shown)} public symbols, {wheel.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
