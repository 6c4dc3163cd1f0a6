"""The demo's wall by Penstock, and by a program of PyAV, OpenCV and threads that does the same work.

The program written by hand has a thread for each clip, a bounded queue from each to the wall, and encodes on the main
thread. Detection and tracking are the same plain classes, the encoder has the same settings. Whole runs go by turns;
the fastest of each are compared.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
from harness import Bench, Row

import penstock as ps
from penstock._demo._clips import Clip, clips_of
from penstock._demo._fetch import fetch
from penstock._demo._motion import Motion
from penstock._demo._pipeline import pipeline
from penstock._demo._tracker import Tracker
from penstock._demo._wall import GREEN, shape, tile_size, write_labels

TURNS = 5


def rgb(frame: Any) -> Any:
    """OpenCV converts what it can: it takes a third of swscale's time."""
    if frame.format.name == "yuv420p" and frame.width % 2 == 0 and frame.height % 2 == 0:
        return cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
    return frame.to_ndarray(format="rgb24")


def tiles_of(clip: Clip, size: tuple[int, int], out: queue.Queue[Any]) -> None:
    """Decodes, finds, follows and frames; None at the end."""
    height, width = clip.size_within(size)
    motion, tracker = Motion._target(), Tracker._target()  # the classes without their operators
    with av.open(str(clip.path)) as container:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        for frame in container.decode(video):
            small = cv2.resize(rgb(frame), (width, height), interpolation=cv2.INTER_LINEAR)
            boxes, labels = tracker(motion(small))
            for x1, y1, x2, y2 in boxes.tolist():
                cv2.rectangle(small, (x1, y1), (x2 - 1, y2 - 1), GREEN, 2)
            out.put((write_labels._target(small, labels), frame.time))
    out.put(None)


def by_hand(clips: list[Clip], target: Path) -> int:
    """Writes the wall; gives its number of frames."""
    size = tile_size(clips)
    rows, columns = shape(len(clips))
    longest = max(range(len(clips)), key=lambda number: clips[number].frames)
    queues: list[queue.Queue[Any]] = [queue.Queue(4) for _ in clips]
    threads = [threading.Thread(target=tiles_of, args=(c, size, q)) for c, q in zip(clips, queues, strict=True)]
    for thread in threads:
        thread.start()
    shown: list[Any] = [None] * len(clips)
    has_ended = [False] * len(clips)
    count = 0
    with av.open(str(clips[longest].path)) as container:
        rate = Fraction(container.streams.video[0].average_rate)
    with av.open(str(target), "w") as output:
        video = output.add_stream("libx264", rate.limit_denominator(1001), options={"crf": "18", "preset": "veryfast"})
        video.height, video.width, video.pix_fmt = rows * size[0], columns * size[1], "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        video.codec_context.max_b_frames = 0
        while True:
            for number, tiles in enumerate(queues):
                if not has_ended[number]:
                    found = tiles.get()
                    has_ended[number] = found is None
                    shown[number] = found or shown[number]
            if has_ended[longest]:
                break
            wall = np.zeros((rows * size[0], columns * size[1], 3), np.uint8)
            for number, (pixels, _) in enumerate(shown):
                top = number // columns * size[0] + (size[0] - pixels.shape[0]) // 2
                left = number % columns * size[1] + (size[1] - pixels.shape[1]) // 2
                wall[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
            # swscale takes ten times as long as OpenCV.
            frame = av.VideoFrame.from_ndarray(cv2.cvtColor(wall, cv2.COLOR_RGB2YUV_I420), "yuv420p")
            frame.pts, frame.time_base = round(shown[longest][1] * 90_000), Fraction(1, 90_000)
            output.mux(video.encode(frame))
            count += 1
        output.mux(video.encode(None))
    for thread in threads:
        thread.join()
    return count


def main() -> None:
    bench = Bench(__doc__)
    clips = clips_of(fetch())
    seconds: dict[str, list[float]] = {"by hand": [], "ours": []}
    with TemporaryDirectory() as folder:
        programs: dict[str, Callable[[], object]] = {
            "by hand": lambda: by_hand(clips, Path(folder) / "by_hand.mp4"),
            "ours": lambda: ps.run(pipeline(clips, Path(folder) / "ours.mp4")),
        }
        for turn in range(TURNS):
            for name in sorted(programs, reverse=turn % 2 == 1):
                begin, processor_s = time.perf_counter(), time.process_time()
                programs[name]()
                seconds[name].append(time.perf_counter() - begin)
                processor_s = time.process_time() - processor_s
                print(f"{name} {seconds[name][-1]:.2f} s, {processor_s:.1f} s of processors", flush=True)
    ours, theirs = (min(seconds[name]) for name in ("ours", "by hand"))
    what = f"the demo's wall, {max(clip.frames for clip in clips)} frames of {len(clips)} clips"
    bench.add(Row("D1", what, ours, theirs, "by hand", "s", theirs))
    bench.finish()


if __name__ == "__main__":
    main()
