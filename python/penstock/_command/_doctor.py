"""``penstock doctor``: what is missing on this machine, and what to do."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ._machine import Driver, Machine, gather

_FILES = 1024
_SHARED = 256 << 20
_MEMORY = 1 << 30


@dataclass(frozen=True)
class Finding:
    level: str
    """"ok", "note" (works without), or "wrong" (needed)."""
    what: str
    advice: str = ""


def doctor() -> int:
    """Prints what was found; 1 if something that is needed is missing."""
    findings = examine(gather())
    for one in findings:
        print(f"{one.level:<6} {one.what}")
        if one.advice:
            indent = " " * 9
            print(
                textwrap.fill(one.advice, 80, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
            )
    wrong = sum(one.level == "wrong" for one in findings)
    notes = sum(one.level == "note" for one in findings)
    noted = f"; {notes} note{'s' * (notes != 1)}" if notes else ""
    if wrong:
        print(f"\n{wrong} thing{'s' * (wrong != 1)} to mend{noted}")
        return 1
    print(f"\nAll that is needed is here{noted}")
    return 0


def examine(machine: Machine) -> list[Finding]:
    """What there is to say, point by point."""
    return [finding for check in _CHECKS for finding in check(machine)]


def _python(machine: Machine) -> Iterator[Finding]:
    version = ".".join(map(str, machine.python))
    if machine.implementation != "CPython" or machine.python < (3, 11):
        yield Finding("wrong", f"{machine.implementation} {version}", "Install CPython 3.11 or newer.")
        return
    yield Finding("ok", f"Python {version}")


def _penstock(machine: Machine) -> Iterator[Finding]:
    installed = machine.packages.get("penstock")
    if installed is not None and installed != machine.core_version:
        yield Finding(
            "wrong",
            f"penstock {installed} is installed, but what is imported is {machine.core_version}",
            "Another copy lies before it on the path (PYTHONPATH, the current folder). Remove one of the two.",
        )
        return
    yield Finding("ok", f"penstock {machine.core_version}")


def _numpy(machine: Machine) -> Iterator[Finding]:
    version = machine.packages.get("numpy")
    if version is None:
        yield Finding("wrong", "numpy is not installed", 'pip install "numpy>=1.26"')
    elif _numbers(version) < (1, 26):
        yield Finding("wrong", f"numpy {version} is too old", 'pip install --upgrade "numpy>=1.26"')
    else:
        yield Finding("ok", f"numpy {version}")


def _media(machine: Machine) -> Iterator[Finding]:
    version = machine.packages.get("av")
    if version is None:
        yield Finding(
            "note", "av is not installed", 'Video files (ps.source, ps.sink) need it: pip install "penstock[video]"'
        )
    elif _numbers(version) < (12,):
        yield Finding("note", f"av {version} is older than 12", "Video files need it: pip install --upgrade av")
    else:
        yield Finding("ok", f"av {version}")
    found = [name for name in machine.packages if name.startswith("opencv-")]
    if len(found) > 1:
        yield Finding(
            "note",
            f"{len(found)} packages of OpenCV: {', '.join(found)}",
            "They overwrite each other's files. Uninstall all of them, then install one.",
        )
    elif found:
        yield Finding("ok", f"{found[0]} {machine.packages[found[0]]}")


def _torch(machine: Machine) -> Iterator[Finding]:
    version = machine.packages.get("torch")
    if version is None:
        return
    made_for = f"for CUDA {machine.torch_cuda}" if machine.torch_cuda else "for CPUs"
    what = f"torch {version}, made {made_for}"
    numpy = machine.packages.get("numpy")
    cuda = machine.driver.cuda
    if _numbers(version) < (2, 4):
        yield Finding("note", what, "Arrays are exchanged with torch 2.4 or newer: pip install --upgrade torch")
    elif numpy is not None and _numbers(numpy) >= (2,) and _numbers(version) < (2, 3):
        yield Finding("note", what, 'It is made for NumPy 1: pip install "numpy<2", or a newer torch.')
    elif machine.driver.devices and machine.torch_cuda is None:
        yield Finding("note", what, "Its tensors can't be on the GPU. Install a torch that is made for CUDA.")
    elif machine.torch_cuda and cuda and _numbers(machine.torch_cuda)[:1] > cuda[:1]:
        advice = f"The driver knows CUDA up to {cuda[0]}.{cuda[1]}. Update it, or install a torch for CUDA {cuda[0]}."
        yield Finding("note", what, advice)
    else:
        yield Finding("ok", what)


def _cupy(machine: Machine) -> Iterator[Finding]:
    found = [name for name in machine.packages if name.startswith("cupy")]
    if len(found) > 1:
        advice = "They overwrite each other's files. Uninstall all of them, then install one."
        yield Finding("note", f"{len(found)} packages of CuPy: {', '.join(found)}", advice)
    elif found:
        yield Finding("ok", f"{found[0]} {machine.packages[found[0]]}")


def _gpu(machine: Machine) -> Iterator[Finding]:
    driver = machine.driver
    if driver.error is not None:
        yield _no_driver(driver)
    elif driver.devices == 0:
        hidden = machine.visible_devices
        if hidden is not None:
            yield Finding("note", f"no GPU: CUDA_VISIBLE_DEVICES={hidden!r} hides them", "Unset it to use them.")
        else:
            yield Finding("note", f"no GPU, but {_named(driver)}", "Pass one on to this container or machine.")
    elif machine.penstock_devices == 0:
        what = f"{_gpus(driver.devices)}, {_named(driver)}; penstock uses none"
        yield Finding(
            "note", what, "Operators work on the CPU: this build has no CUDA part, or does not fit the driver."
        )
    else:
        yield Finding("ok", f"{_gpus(driver.devices)}, {_named(driver)}")


def _no_driver(driver: Driver) -> Finding:
    if driver.cards == 0 and driver.version is None and driver.cuda is None:
        return Finding("ok", "no NVIDIA GPU: operators work on the CPU")
    if driver.version is None and driver.cuda is None:
        what = f"{_gpus(driver.cards)}, but no driver that is loaded ({driver.error})"
        return Finding("note", what, "Install NVIDIA's driver, or start the container with its GPUs (--gpus all).")
    what = f"NVIDIA's {_named(driver)} can't be used from here: {driver.error}"
    return Finding("note", what, "In a container: start it with --gpus all. Else: restart after a driver update.")


def _gpus(count: int) -> str:
    return f"{count} NVIDIA GPU{'s' * (count != 1)}"


def _named(driver: Driver) -> str:
    cuda = f" (CUDA {driver.cuda[0]}.{driver.cuda[1]})" if driver.cuda else ""
    return f"driver {driver.version or 'of unknown version'}{cuda}"


def _memory(machine: Machine) -> Iterator[Finding]:
    limit = machine.memory_limit_bytes
    is_limited = limit is not None and limit < machine.memory_bytes
    memory = min(limit or machine.memory_bytes, machine.memory_bytes)
    what = f"{memory / 2**30:.1f} GiB of memory" + (" (limited by the cgroup)" if is_limited else "")
    if memory < _MEMORY:
        yield Finding("note", what, "Frames of video need more; raise the container's limit.")
    else:
        yield Finding("ok", what)


def _cores(machine: Machine) -> Iterator[Finding]:
    if machine.cores_allowed >= machine.cores:
        yield Finding("ok", f"{machine.cores} core{'s' * (machine.cores != 1)}")
        return
    what = f"{machine.cores_allowed:g} of {machine.cores} cores may be used"
    workers = max(1, round(machine.cores_allowed))
    yield Finding(
        "note", what, f"The container or affinity limits them. More workers than that wait: workers={workers}."
    )


def _limits(machine: Machine) -> Iterator[Finding]:
    if 0 <= machine.open_files < _FILES:
        what = f"{machine.open_files} open files at most"
        yield Finding("note", what, f"Many cameras or clients need more: ulimit -n {_FILES * 4}")
    else:
        yield Finding("ok", f"{_count(machine.open_files)} open files at most")
    if machine.driver.devices:
        locked = "no limit of" if machine.locked_bytes < 0 else f"{machine.locked_bytes >> 10} KiB of"
        yield Finding("ok", f"{locked} locked memory (what CUDA pins does not count)")
    if machine.shared_bytes is None:
        yield Finding("note", "no /dev/shm", "Worker processes of torch's DataLoader need it.")
    elif machine.shared_bytes < _SHARED:
        what = f"/dev/shm has {machine.shared_bytes >> 20} MiB"
        advice = "Worker processes of torch's DataLoader need more: docker run --shm-size=1g"
        yield Finding(
            "note" if "torch" in machine.packages else "ok", what, advice if "torch" in machine.packages else ""
        )
    else:
        yield Finding("ok", f"/dev/shm has {machine.shared_bytes >> 20} MiB")


def _processes(machine: Machine) -> Iterator[Finding]:
    if machine.start_method == "fork":
        yield Finding(
            "note",
            "multiprocessing forks by default",
            "A forked child of a process that uses penstock can't use it. Where you start processes: "
            'multiprocessing.set_start_method("spawn").',
        )


def _variables(machine: Machine) -> Iterator[Finding]:
    for name, value in machine.variables.items():
        if name in ("PENSTOCK_CHECK", "PENSTOCK_SEED", "PENSTOCK_FAULT"):
            yield Finding("note", f"{name}={value} is set", "It is for tests, and makes runs slower.")


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers: 2.4.6 of 2.4.6+cpu."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _count(limit: int) -> str:
    return "any number of" if limit < 0 or limit >= sys.maxsize else str(limit)


_CHECKS: tuple[Callable[[Machine], Iterator[Finding]], ...] = (
    _python,
    _penstock,
    _numpy,
    _media,
    _torch,
    _cupy,
    _gpu,
    _memory,
    _cores,
    _limits,
    _processes,
    _variables,
)
