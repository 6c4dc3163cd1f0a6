"""Programs in a fresh interpreter: what ends a process, or is set by its environment."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

TESTS = Path(__file__).parent.parent


def run_python(code, *arguments, timeout_s=120.0, **environment):
    """Gives the completed process, with ``seconds`` that it took. The program may ``from gpu import work``."""
    begin = time.monotonic()
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    done.seconds = time.monotonic() - begin
    return done


def check_python(code, *arguments, **environment):
    """The same, and it has to end well; gives what it printed."""
    done = run_python(code, *arguments, **environment)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
