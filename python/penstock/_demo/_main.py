"""The command around the demo's program: its clips, its progress, what it leaves behind."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import Error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        type=Path,
        action="extend",
        nargs="+",
        metavar="VIDEO",
        help="videos of your own, one or several (default: four that are fetched, 9 MB, and kept)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("penstock-demo"),
        metavar="DIR",
        help="where wall.mp4 and graph.svg go (default: %(default)s)",
    )


def demo(options: argparse.Namespace, unknown: list[str]) -> int:
    """Writes wall.mp4 and graph.svg into a folder and prints their paths; gives the exit code."""
    from .._command._failure import Misuse

    if unknown:
        raise Misuse(f"demo: unknown arguments {' '.join(unknown)}; videos are given by --input")
    for path in options.input or ():
        if not path.is_file():
            raise Misuse(f"demo: there is no file {path}")
    missing = [package for package in ("av", "cv2") if find_spec(package) is None]
    if missing:
        raise Error(f"demo: {' and '.join(missing)} can't be imported; pip install 'penstock[video]' brings them")
    from ._clips import clips_of
    from ._fetch import fetch

    clips = clips_of(options.input or fetch())
    options.output.mkdir(parents=True, exist_ok=True)
    wall, picture = options.output / "wall.mp4", options.output / "graph.svg"
    flow, stats = _run(clips, wall)
    _draw(flow, stats, picture)
    _say(stats, len(clips))
    print(wall.resolve())
    print(picture.resolve())
    return 0


def _run(clips: list[Any], wall: Path) -> tuple[Any, Any]:
    from .. import start
    from ._pipeline import pipeline
    from ._progress import Progress

    flow = pipeline(clips, wall)
    progress = Progress(max(clip.frames for clip in clips))
    with start(flow) as run:  # left by Ctrl-C too, it waits until the file is whole
        while not run.is_over:
            try:
                run.wait(timeout=0.1)
            except TimeoutError:
                progress(run.stats().operators["wall"].activations)
        stats = run.wait()
    progress.end(stats.operators["sink"].activations)
    return flow, stats


def _draw(flow: Any, stats: Any, picture: Path) -> None:
    from .._picture import draw

    picture.write_text(draw(flow, stats), encoding="utf-8")


def _say(stats: Any, clips: int) -> None:
    busiest = sorted(stats.operators.items(), key=lambda item: -item[1].busy)[:4]
    shares = ", ".join(f"{name} {one.busy:.0%}" for name, one in busiest)
    program = Path(__file__).resolve().with_name("_pipeline.py")
    print(f"{clips} videos in {stats.seconds:.1f} s; busiest: {shares}", file=sys.stderr)
    print(f"the program: {program}", file=sys.stderr)
