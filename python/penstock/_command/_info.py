"""``penstock info``: what this machine has."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from .. import __version__, _core, device_count, devices, memory

_LIBRARIES = (
    "numpy",
    "torch",
    "cupy",
    "numba",
    "jax",
    "cvcuda",
    "opencv-python-headless",
    "opencv-python",
    "av",
    "ray",
)


def info() -> int:
    """Prints it."""
    print(_text())
    return 0


def _text() -> str:
    """Versions, devices, memory and libraries, a line each."""
    lines = [
        f"penstock   {__version__}",
        f"python     {platform.python_version()} ({platform.python_implementation()})",
        f"system     {platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        f"devices    {', '.join(devices())}",
        f"GPUs       {device_count() or 'none that can be used'}",
        f"memory     the cache of the CPU holds at most {_gigabytes(memory.limit('cpu'))}",
    ]
    lines.append(f"NVTX       {'ranges for Nsight Systems are in' if _core._has_nvtx() else 'built without'}")
    found = [f"{name} {version}" for name in _LIBRARIES if (version := _version(name))]
    lines.append(f"libraries  {', '.join(found) or 'none of those that penstock knows'}")
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
