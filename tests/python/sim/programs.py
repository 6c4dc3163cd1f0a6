"""Programs for processes of their own: what ends one, what is found once, and what is done first."""

from __future__ import annotations

import textwrap
from pathlib import Path

import helpers
from helpers import check_python

PATHS = f"import sys; sys.path[:0] = {[str(Path(file).parent) for file in (__file__, helpers.__file__)]}"

BEGIN = f"""
{PATHS}
import os, threading, time
import simulated
import penstock as ps

@ps.operator
def one():
    yield 1

@ps.operator
def dropped(x):
    pass
"""

# With one of the libraries, and frames that say at the end which of them were wrong.
WITH_LIBRARY = """
import library, simulated, penstock as ps
lib = library.install(NAME)
Array = lambda: library.Array(lib.backing)
known_array = lambda device=0: (lib.Tensor if NAME == "torch" else lib.ndarray)(lib.backing, device)  # by its protocol
FRAMES = 40
value = lambda number: number % 250 + 1
results = simulated.Memory(library.COUNT * FRAMES)
ps.empty((1,), "uint8", device="cuda")  # the device is in use

def side_stream():
    return lib.cuda.Stream(lib) if NAME == "torch" else lib.cuda.Stream()

def entered(stream):
    return lib.cuda.stream(stream) if NAME == "torch" and WAY == "function" else stream

def look(x, late_ms=0):
    x.copy_to(results.address + library.COUNT * ps.message().origin.number, late_ms)

def wrong():
    simulated.raw("cudaDeviceSynchronize")
    found = [simulated.peek(results.address + library.COUNT * n, library.COUNT) for n in range(FRAMES)]
    return [n for n, values in enumerate(found) if values != {value(n)}]
"""


def program(text):
    return BEGIN + textwrap.dedent(text)


def run(text, name, way="function", **env):
    """The words that a program with the library printed."""
    prelude = f"{PATHS}\nNAME, WAY = {name!r}, {way!r}\n" + WITH_LIBRARY
    return check_python(prelude + textwrap.dedent(text), **env).split()
