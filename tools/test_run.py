"""What the parts of ./run test share: printing with signs of life, running commands, adding up results."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
BEGIN = time.monotonic()


class Output:
    """What the run prints, also to a log file. A silent command gets a sign of life every 15 seconds."""

    def __init__(self, log: Path | None) -> None:
        self.log = log.open("w") if log else None
        self.last_s = time.monotonic()

    def line(self, text: str) -> None:
        self.last_s = time.monotonic()
        print(text, flush=True)
        if self.log:
            self.log.write(text + "\n")
            self.log.flush()

    def say(self, text: str) -> None:
        self.line(f"[{time.monotonic() - BEGIN:4.0f} s] {text}")


def telling_lines(text: str, most: int = 12) -> list[str]:
    """The lines that name what failed, else the last ones."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = [line for line in lines if re.search(r"^FAILED |^ERROR |ERROR: |Sanitizer: ", line)]
    return found[:most] or lines[-most:]


class Run:
    """The results of all parts."""

    def __init__(self, options: argparse.Namespace, output: Output) -> None:
        self.options = options
        self.output = output
        self.rows: list[tuple[str, int, int, int, float]] = []
        self.failures: list[str] = []
        self.last = ""

    def add(self, name: str, passed: int, failed: int, skipped: int = 0, seconds: float = 0.0) -> None:
        """A part's result. The end of the run repeats what its last command said of a failure."""
        self.rows.append((name, passed, failed, skipped, seconds))
        if failed:
            self.failures.append(f"  FAILED {name}: {failed} failed")
            self.failures += [f"    {line}" for line in telling_lines(self.last)]
        self.output.say(f"{name}: {passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s")

    def command(self, title: str, command: Sequence[str | Path], timeout_s: float, **env: str) -> tuple[int, str]:
        """Runs a command, shows its output as it comes; 124 is a timeout."""
        self.output.say(title)
        process = subprocess.Popen(
            [str(c) for c in command],
            cwd=ROOT,
            env=os.environ | env,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        done = threading.Event()
        timed_out = threading.Event()

        def watch() -> None:
            begin = time.monotonic()
            while not done.wait(1.0):
                if time.monotonic() - self.output.last_s > 15:
                    self.output.say(f"... {title}")
                if time.monotonic() - begin > timeout_s:
                    timed_out.set()
                    os.killpg(process.pid, 9)
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        lines: list[str] = []
        assert process.stdout
        try:
            for line in process.stdout:
                lines.append(line)
                self.output.line(line.rstrip("\n"))
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, 9)
            raise
        finally:
            done.set()
            watcher.join()
        if timed_out.is_set():
            self.output.say(f"stopped after {timeout_s:.0f} s: {title}")
            status = 124
        self.last = "".join(lines)
        return status, self.last

    def step(self, title: str, command: Sequence[str | Path]) -> bool:
        return self.command(title, command, 1200)[0] == 0

    def need(self, *purposes: str) -> bool:
        return self.command("needs: " + " ".join(purposes), [ROOT / "run", "need", *purposes], 1800)[0] == 0

    def build(self, preset: str, *arguments: str) -> bool:
        status, _ = self.command(f"building {preset}", [ROOT / "run", "build", preset, *arguments], 3600)
        return status == 0
