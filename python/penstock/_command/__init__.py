"""The command ``penstock``: runs programs and says what this machine has."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ._failure import MISUSE, Misuse, report
from ._info import info
from ._program import run_file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Runs pipelines of PyTorch, CuPy, OpenCV and C++.",
        epilog="Exit codes: 0 done, 1 the run failed, 2 misuse, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"penstock {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="run a program",
        description="Runs FILE.py: its __main__ part if it has one, else its one flow, Application, or `app`.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument("file", metavar="FILE.py", help="the program; further arguments go to it")
    run.add_argument("--device", metavar="D", help='where operators work: "cpu", "cuda", "cuda:1"')
    run.add_argument("--workers", type=_at_least_one, metavar="N", help="C++ threads")
    run.add_argument("--frames", type=_at_least_one, metavar="N", help="each source ends after so many")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OP.SETTING=VALUE",
        help="a setting of an operator, by the operator's name; may be given several times",
    )
    commands.add_parser("info", help="versions, devices and libraries", description="Says what this machine has.")
    return parser


def _at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not given:
        parser.print_help(sys.stderr)
        return MISUSE
    own, rest = given, []
    if "--" in given:
        cut = given.index("--")
        own, rest = given[:cut], given[cut + 1 :]
    try:
        options, unknown = parser.parse_known_args(own)
    except SystemExit as exit:
        return int(exit.code or 0)
    try:
        if options.command == "info":
            if unknown or rest:
                raise Misuse(f"info: takes no arguments, found {' '.join(unknown + rest)}")
            print(info())
            return 0
        return run_file(options, [*unknown, *rest])
    except BaseException as error:
        return report(error)
