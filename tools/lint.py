"""The checks of ./run lint: clang-format, clang-tidy, ruff, mypy and the rules of the house. Closes with one line."""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/dev"
TIDY_CACHE = ROOT / ".cache/tidy"
BEGIN = time.monotonic()
FORMATTED = ("include", "src", "python/src", "tests", "bench", "examples")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGIN:4.0f} s] {text}", flush=True)


def call(*command: str | Path, **env: str) -> bool:
    return subprocess.run([str(c) for c in command], cwd=ROOT, env=os.environ | env).returncode == 0


def check_format(fix: bool) -> bool:
    suffixes = {".hpp", ".cpp", ".h", ".inl", ".cu", ".cuh"}
    files = [p for folder in FORMATTED for p in sorted((ROOT / folder).rglob("*")) if p.suffix in suffixes]
    mode = ["-i"] if fix else ["--dry-run", "--Werror"]
    return not files or call("clang-format-19", *mode, *files)


@cache
def includes(path: Path) -> tuple[Path, ...]:
    """Our own headers that a file includes."""
    found = []
    for name in INCLUDE.findall(path.read_text()):
        for folder in (path.parent, ROOT / "src", ROOT / "include", ROOT / "tests/cpp", ROOT / "python/src"):
            if (folder / name).is_file():
                found.append(folder / name)
                break
    return tuple(found)


def closure(path: Path) -> list[Path]:
    seen, todo = {path}, [path]
    while todo:
        for header in includes(todo.pop()):
            if header not in seen:
                seen.add(header)
                todo.append(header)
    return sorted(seen)


def tidy_key(entry: dict[str, str]) -> str:
    """Changes with the file, what it includes of ours, its flags and the checks."""
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes() + entry["command"].encode())
    for path in closure(Path(entry["file"])):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def tidy_one(entry: dict[str, str]) -> str:
    """Nothing when the file is clean, else what was found."""
    done = TIDY_CACHE / tidy_key(entry)
    if done.exists():
        return ""
    # The flags are g++'s: clang's own opinions on them are not asked for.
    command = ["clang-tidy-19", "-p", str(BUILD), "--quiet", "--extra-arg=-Wno-everything", entry["file"]]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode == 0:
        done.touch()
        return ""
    return result.stdout + "\n".join(line for line in result.stderr.splitlines() if "error" in line)


def check_tidy() -> bool:
    TIDY_CACHE.mkdir(parents=True, exist_ok=True)
    ours = tuple(str(ROOT / folder) + "/" for folder in ("src", "python/src"))
    entries = [
        e
        for e in json.loads((BUILD / "compile_commands.json").read_text())
        if e["file"].startswith(ours) and e["file"].endswith(".cpp")
    ]
    good, last = True, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, found in enumerate(pool.map(tidy_one, entries), 1):
            if found:
                good = False
                print(found, flush=True)
            if time.monotonic() - last > 10 or number == len(entries):
                last = time.monotonic()
                say(f"clang-tidy: {number} of {len(entries)} files")
    return good


def check_ruff(fix: bool) -> bool:
    ruff = ROOT / ".venv/bin/ruff"
    checked = call(ruff, "check", "-q", *(["--fix"] if fix else []), ".")
    return call(ruff, "format", "-q", *([] if fix else ["--diff"]), ".") and checked


def check_mypy() -> bool:
    """The package as it is used: Python files and the stubs that the build read off the module."""
    if not list((ROOT / "python/penstock").rglob("*.py")):
        return True
    mypy, path = ROOT / ".venv/bin/mypy", str(BUILD / "python")
    return call(mypy, "-p", "penstock", MYPYPATH=path) and call(mypy, MYPYPATH=path)


def check_shell() -> bool:
    scripts = [ROOT / "run", ROOT / ".ci/run", *(ROOT / "tools").glob("*.sh")]
    failed = [script for script in scripts if not call("bash", "-n", script)]
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run lint")
    parser.add_argument("--fix", action="store_true", help="write what clang-format and ruff would write")
    parser.add_argument("only", nargs="*", help="format tidy ruff mypy shell house")
    options = parser.parse_args()
    checks = {
        "format": lambda: check_format(options.fix),
        "ruff": lambda: check_ruff(options.fix),
        "house": lambda: call(sys.executable, ROOT / "tools/check_house.py"),
        "shell": check_shell,
        "mypy": check_mypy,
        "tidy": check_tidy,
    }
    failed = []
    for name, check in checks.items():
        if options.only and name not in options.only:
            continue
        say(name)
        if not check():
            failed.append(name)
    say("lint: " + (f"failed: {' '.join(failed)}; ./run lint --fix mends what tools can" if failed else "clean"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
