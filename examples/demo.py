"""./run demo: a real clip through a graph, with progress, what took the time, and the path of the result."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import video
from clips import clip

import penstock as ps


class Progress:
    """One line that is rewritten on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.start = time.monotonic()
        self.shown = 0.0

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        live = sys.stderr.isatty()
        if now - self.shown < (0.1 if live else 1.0) and count != self.total:
            return
        self.shown = now
        rate = count / max(now - self.start, 1e-9)
        of_total = f" of {self.total}" if self.total else ""
        line = f"frame {count}{of_total}, {rate:.0f} a second"
        print(f"\r{line}  " if live else line, end="" if live else "\n", file=sys.stderr, flush=True)


def frames_in(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        return container.streams.video[0].frames


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    parser.add_argument("--input", type=Path, help="a video of your own (H.264 4:2:0, even sides) in place of the clip")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "out" / "demo.mp4")
    options = parser.parse_args()
    source = options.input or clip("bigbuckbunny")
    if not source.is_file():
        raise SystemExit(f"demo: there is no file {source}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress(frames_in(source))
    run = ps.start(video.pipeline(source, options.output))
    while not run.is_over:
        time.sleep(0.05)
        progress(run.stats().operators["sink"].activations)
    stats = run.wait()
    progress(stats.operators["sink"].activations)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    shares = ", ".join(f"{name} {one.busy:.0%}" for name, one in stats.operators.items())
    print(f"busy: {shares}", file=sys.stderr)
    print(options.output.resolve())


if __name__ == "__main__":
    main()
