"""What this machine and this Python have, as plain facts, so that what is said of them can be tested anywhere."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import resource
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "penstock",
    "numpy",
    "av",
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "torch",
    "cupy",
    "cupy-cuda11x",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


@dataclass(frozen=True)
class Driver:
    """NVIDIA's, as far as it is there."""

    cards: int = 0
    """NVIDIA cards on the bus."""
    version: str | None = None
    """Of the module that the kernel has loaded."""
    error: str | None = None
    """Why it can't be used from here."""
    cuda: tuple[int, int] | None = None
    """The newest CUDA that it knows."""
    devices: int = 0


@dataclass(frozen=True)
class Machine:
    python: tuple[int, int, int] = (3, 11, 0)
    implementation: str = "CPython"
    core_version: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    torch_cuda: str | None = None
    """The CUDA that the installed torch is made for; None if it is made for CPUs."""
    driver: Driver = Driver()
    penstock_devices: int = 0
    visible_devices: str | None = None
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    cores: int = 1
    cores_allowed: float = 1.0
    open_files: int = 1024
    locked_bytes: int = -1
    """-1: no limit."""
    shared_bytes: int | None = None
    start_method: str = "spawn"
    variables: dict[str, str] = field(default_factory=dict)


def gather() -> Machine:
    """Of the machine that this runs on."""
    from .. import __version__, device_count

    return Machine(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        implementation=platform.python_implementation(),
        core_version=__version__,
        packages={name: version for name in PACKAGES if (version := _version(name)) is not None},
        torch_cuda=_torch_cuda(),
        driver=_driver(),
        penstock_devices=device_count(),
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        memory_limit_bytes=_memory_limit(),
        cores=os.cpu_count() or 1,
        cores_allowed=min(float(len(os.sched_getaffinity(0))), _cgroup_cores() or float("inf")),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        locked_bytes=resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
        shared_bytes=_shared(),
        start_method=_start_method(),
        variables={name: value for name, value in sorted(os.environ.items()) if name.startswith("PENSTOCK_")},
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _torch_cuda() -> str | None:
    """Read from its files: to import it takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = _read(Path(spec.origin).parent / "version.py")
    found = re.search(r"^cuda\s*(?::[^=]*)?=\s*['\"]([\d.]+)['\"]", text or "", re.MULTILINE)
    return found[1] if found else None


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


def _driver() -> Driver:
    cards = sum(
        (_read(one / "vendor") or "").strip() == "0x10de" and (_read(one / "class") or "").startswith("0x03")
        for one in Path("/sys/bus/pci/devices").glob("*")
    )
    said = re.search(r"Module\D*?([\d.]+)", _read("/proc/driver/nvidia/version") or "")
    version = said[1] if said else None
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return Driver(cards, version, str(error))
    result = library.cuInit(0)
    number, count = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    cuda = (number.value // 1000, number.value % 1000 // 10)
    if result != 0:
        text = ctypes.c_char_p()
        library.cuGetErrorString(result, ctypes.byref(text))
        return Driver(cards, version, (text.value or f"error {result}".encode()).decode(), cuda)
    library.cuDeviceGetCount(ctypes.byref(count))
    return Driver(cards, version, None, cuda, count.value)


def _memory_limit() -> int | None:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = (_read(path) or "").strip()
        if text.isdigit() and int(text) < 1 << 60:  # the old form says a huge number for none
            return int(text)
    return None


def _cgroup_cores() -> float | None:
    quota, _, period = (_read("/sys/fs/cgroup/cpu.max") or "").strip().partition(" ")
    if not quota:
        quota = (_read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or "").strip()
        period = (_read("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or "").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) > 0 else None


def _shared() -> int | None:
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return None
    return room.f_frsize * room.f_blocks


def _start_method() -> str:
    import multiprocessing

    return multiprocessing.get_context().get_start_method()
