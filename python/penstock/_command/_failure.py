"""What the command says when something goes wrong: a few lines on stderr, and an exit code."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

FAILED = 1
MISUSE = 2
INTERRUPTED = 130
_MOST_LINES = 15
_PACKAGE = str(Path(__file__).resolve().parents[1])


class Misuse(Exception):
    """The command was called in a way that it can't be."""


def report(error: BaseException) -> int:
    """Prints the error, at most 15 lines; gives the exit code."""
    if isinstance(error, SystemExit):
        return _exit_code(error)
    if isinstance(error, KeyboardInterrupt):
        print("penstock: interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, Misuse):
        print(f"penstock: {error}", file=sys.stderr)
        return MISUSE
    lines = [f"penstock: {line}" if number == 0 else line for number, line in enumerate(_text(error).splitlines())]
    lines += [f"  {note}" for note in getattr(error, "__notes__", [])]
    where = _place(error)
    if where is not None:
        lines.append(f"  at {where}")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = ["  …"]
    print("\n".join(lines), file=sys.stderr)
    return FAILED


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return FAILED


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}\n    {(error.text or '').strip()}"
    if type(error).__module__.startswith("penstock."):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _place(error: BaseException) -> str | None:
    """The innermost line of the user's own program."""
    if isinstance(error, SyntaxError):
        return None
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        inside = str(Path(frame.filename).resolve()).startswith(_PACKAGE) or frame.filename.startswith("<")
        if not inside and "site-packages" not in frame.filename and "runpy" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}, in {frame.name}: {frame.line}"
    return None
