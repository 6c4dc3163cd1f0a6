"""The rules of the house, checked by reading the files: `python tools/check_house.py [ROOT]` prints what breaks them.

Which room may include which, where CUDA and Python may be named, how long a file may be, and that ARCHITECTURE.md
names the rooms that there are. tests/python/test_house.py runs it on this tree and on trees with planted faults.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# A room may include itself and those before it.
ROOMS = [
    "base",
    "trace",
    "exec",
    "backend",
    "order",
    "memory",
    "tensor",
    "kernels",
    "graph",
    "runtime",
    "operators",
    "serve",
    "report",
    "pybridge",
]
# The rooms of the public headers.
PUBLIC = {
    "base": ["device", "dtype", "error", "export", "layout", "version"],
    "memory": ["memory"],
    "tensor": ["batches", "dlpack", "stream", "tensor"],
    "kernels": ["ops"],
    "graph": ["function", "message", "operator", "options", "settings"],
    "runtime": ["application", "run"],
    "operators": ["flow", "graph", "penstock"],
}
MAX_LINES = 400
CPP = (".hpp", ".cpp", ".h", ".inl", ".cu", ".cuh")
TEXT = (*CPP, ".py", ".sh", ".md", ".toml", ".cmake", ".txt", ".in", ".json", ".yml", ".yaml", "")
SKIPPED = {
    ".git",
    ".venv",
    ".deps",
    ".cache",
    "build",
    "dist",
    "results",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    "corpus",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CUDA_HEADER = re.compile(
    r"^(cuda|cu(blas|dnn|fft|rand|solver|sparse|pti|file)|nvrtc|nvml|nccl|nvtx3?/|nvToolsExt|cub/|thrust/|cooperative_groups)"
)
PYTHON_HEADER = re.compile(r"^(Python\.h|nanobind/|pybind11/|numpy/|structmember\.h)")
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*CUDA")
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")  # house: allow
MACHINE = re.compile(r"(?<![\w.}])/(work|root|home)/\w|\b(pypi|pythonhosted|debian|ubuntu)\.(org|net|com)\b")
FENCE = re.compile(r"\batomic_thread_fence\b")
ALLOW = "house: allow"


def files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix in TEXT and not path.is_symlink() and name != "LICENSE":
                yield path


def room_of_public(header: str) -> str | None:
    stem = header.removeprefix("penstock/").removesuffix(".hpp")
    return next((room for room, stems in PUBLIC.items() if stem in stems), None)


def room_of(path: Path) -> str | None:
    """The room of a file by its path in the tree; None when it belongs to none."""
    if path.parts[0] == "src" and len(path.parts) > 2:
        return path.parts[1]
    if path.parts[:2] == ("include", "penstock"):
        return room_of_public(path.name)
    return None


def include_problems(path: Path, number: int, quote: str, header: str) -> Iterator[str]:
    where = f"{path}:{number}"
    if CUDA_HEADER.match(header) and not {"cuda", "sim_cuda"}.intersection(path.parts[:-1]):
        yield f"{where}: <{header}>: CUDA headers are for folders named cuda"
    if PYTHON_HEADER.match(header) and path.parts[0] != "python" and path.parts[:2] != ("src", "pybridge"):
        yield f"{where}: <{header}>: Python's headers are for src/pybridge and python/"
    if header.startswith(".") or "/../" in header:
        yield f'{where}: "{header}": include by the path from src/, as "room/file.hpp"'
    if header.startswith("penstock/"):
        target = room_of_public(header)
    elif quote == '"' and "/" in header:
        target = header.split("/")[0]
    else:
        return
    own = room_of(path)
    if own in ROOMS and target in ROOMS and ROOMS.index(target) > ROOMS.index(own):
        yield f"{where}: {header}: room {own} may not use {target}, which comes after it"
    if own in ROOMS and quote == '"' and target not in ROOMS:
        yield f'{where}: "{header}": {target} is not a room'


def cpp_problems(path: Path, lines: list[str]) -> Iterator[str]:
    if path.suffix == ".hpp":
        if not lines or not lines[0].startswith("//"):
            yield f"{path}:1: a header begins with a comment: what it is, thread-safety, lifetime"
        if "#pragma once" not in lines:
            yield f"{path}:1: no #pragma once"
    if path.parts[0] == "src" and len(path.parts) > 2 and path.parts[1] not in ROOMS:
        yield f"{path}: {path.parts[1]} is not a room"
    if path.parts[:2] == ("include", "penstock") and room_of(path) is None:
        yield f"{path}: which room is it of? Say so in PUBLIC of tools/check_house.py"
    for number, line in enumerate(lines, 1):
        if found := INCLUDE.match(line):
            yield from include_problems(path, number, found[1], found[2])
        if CONDITIONAL.match(line):
            yield f"{path}:{number}: no conditional on CUDA: a backend is chosen by its folder"
        if FENCE.search(line):
            yield f"{path}:{number}: a bare fence is not modelled by ThreadSanitizer: use ordered atomics"


def text_problems(path: Path, lines: list[str]) -> Iterator[str]:
    if len(lines) > MAX_LINES:
        yield f"{path}: {len(lines)} lines; past {MAX_LINES} a file holds two ideas: split it"
    for number, line in enumerate(lines, 1):
        if ALLOW in line:
            continue
        if found := LEFTOVER.search(line):
            yield f"{path}:{number}: a leftover: {found[0]}"
        if found := MACHINE.search(line):
            yield f"{path}:{number}: {found[0]} is of one machine or host; the project speaks of itself alone"


def architecture_problems(root: Path) -> Iterator[str]:
    page = root / "ARCHITECTURE.md"
    if not page.exists():
        yield "ARCHITECTURE.md: is missing"
        return
    named = set(re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE))
    there = {p.name for p in (root / "src").iterdir() if p.is_dir() and any(q.suffix in CPP for q in p.rglob("*"))}
    for room in sorted(there - named):
        yield f"ARCHITECTURE.md: does not name the room {room}, which is in src/"
    for room in sorted(named - there):
        yield f"ARCHITECTURE.md: names the room {room}, which is not in src/"


def problems(root: Path) -> list[str]:
    result: list[str] = []
    for absolute in files(root):
        path = absolute.relative_to(root)
        lines = absolute.read_text(errors="replace").splitlines()
        result.extend(text_problems(path, lines))
        if path.suffix in CPP:
            result.extend(cpp_problems(path, lines))
    result.extend(architecture_problems(root))
    return result


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = problems(root)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
