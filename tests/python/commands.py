"""What tests of the command share: running it, and programs for it to run."""

from __future__ import annotations

import subprocess
import sys


def penstock(*arguments, **words):
    """Runs the command; ``words`` are those of ``subprocess.run``."""
    return subprocess.run(
        [sys.executable, "-m", "penstock", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **words,
    )


def programs(folder, head):
    """A function that writes a program, which begins with ``head`` unless told otherwise, and gives its path."""

    def write(text, head=head):
        path = folder / "program.py"
        path.write_text(head + text)
        return path

    return write
