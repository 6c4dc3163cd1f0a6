"""The command ``penstock``: runs programs and says what this machine has."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from .. import __version__
from .._demo import add_arguments as add_demo
from .._demo import demo
from .._metrics import DEFAULT_PORT, address_of
from ..errors import Error
from ._failure import MISUSE, Misuse, report
from ._live import watched
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
        description="Runs FILE.py: its __main__ part if it has one, else its one flow, Application, or `app`. "
        "Runs the graph of FILE.toml.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    _add_program(run)
    run.add_argument(
        "--metrics",
        type=_address,
        nargs="?",
        const=("127.0.0.1", DEFAULT_PORT),
        metavar="PORT",
        help=f"serve Prometheus at http://127.0.0.1:PORT/metrics while it runs; {DEFAULT_PORT} if none is named",
    )
    show = commands.add_parser(
        "show",
        help="the graph of a program",
        description="Shows the first graph that FILE.py or FILE.toml would run. A program is run up to there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    _add_program(show)
    show.add_argument(
        "--format", choices=("text", "svg", "dot", "json"), help="else as the ending of PATH says, or text"
    )
    show.add_argument("--output", metavar="PATH", help="a file to write, in place of stdout")
    add_demo(
        commands.add_parser(
            "demo",
            help="four videos, or yours, through a graph",
            description="Finds, follows and frames what moves in several videos at once; writes a wall of them, "
            "and a picture of the graph.",
            allow_abbrev=False,
        )
    )
    commands.add_parser("info", help="versions, devices and libraries", description="Says what this machine has.")
    commands.add_parser(
        "doctor",
        help="what is missing here",
        description="Checks this machine and says what to do. Exit code 1: something needed is missing.",
    )
    commands.add_parser(
        "verify",
        help="a self test",
        description="Runs small graphs, and compares what comes out. Exit code 1: something is wrong.",
    )
    return parser


def _add_program(run: argparse.ArgumentParser) -> None:
    run.add_argument("file", metavar="FILE", help="a program or a graph in TOML; further arguments go to the program")
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


def _at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return number


def _address(text: str) -> tuple[str, int]:
    try:
        return address_of(text)
    except Error as error:
        raise argparse.ArgumentTypeError(f"{error}; it may stand after FILE") from None


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
        if options.command == "run":
            with watched(options.metrics):
                return run_file(options, [*unknown, *rest])
        if options.command == "show":
            from ._show import show

            return show(options, [*unknown, *rest])
        if options.command == "demo":
            return demo(options, [*unknown, *rest])
        if unknown or rest:
            raise Misuse(f"{options.command}: takes no arguments, found {' '.join(unknown + rest)}")
        module = importlib.import_module(f"._{options.command}", __package__)  # info, doctor or verify
        return int(getattr(module, options.command)())
    except BaseException as error:
        return report(error)
