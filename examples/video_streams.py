"""A real video through streams and tensors, without a graph: decode, convert and resize, sharpen, encode.

Each step has a host stream of its own. Nobody waits by hand: a step that is given a tensor runs after the step that
made it. Run it as ``python video_streams.py in.mp4 out.mp4``.
"""

import sys
from collections.abc import Callable
from typing import Any

import av
import cv2

import penstock as ps

SIZE = (360, 640)


def read(frames: Any) -> tuple[ps.Tensor, ...] | None:
    """The next frame's planes, wrapped where the decoder left them; None at the end."""
    frame = next(frames, None)
    return frame and tuple(ps.as_tensor(plane) for plane in frame.planes)


def sharpen(image: ps.Tensor, out: ps.Tensor) -> None:
    pixels = image.numpy()
    cv2.addWeighted(pixels, 1.6, cv2.GaussianBlur(pixels, (0, 0), 2), -0.6, 0, dst=out.numpy())


def write(image: ps.Tensor, target: Any, video: Any) -> None:
    target.mux(video.encode(av.VideoFrame.from_ndarray(image.numpy(), "rgb24")))


def process(source_path: str, target_path: str, progress: Callable[[int], object] = lambda count: None) -> ps.InFlight:
    """Writes the smaller, sharpened video. At most 6 frames are in flight."""
    decoding, converting, sharpening, encoding = (ps.Stream("cpu") for _ in range(4))
    flight = ps.InFlight(6)
    with av.open(source_path) as source, av.open(target_path, "w") as target:
        video = target.add_stream("libx264", source.streams.video[0].average_rate, options={"crf": "16"})
        video.height, video.width = SIZE
        frames = source.decode(video=0)
        coming, count = decoding.launch(read, frames), 0
        while (planes := coming.result()) is not None:
            coming, count = decoding.launch(read, frames), count + 1
            small = ps.resize(ps.cvt_color(planes, "I420", "RGB", stream=converting), SIZE, stream=converting)
            sharp = ps.empty(small.shape, "uint8", "HWC", "cpu")
            sharpening.launch(sharpen, small, sharp, writes=(sharp,))
            flight.add(encoding.launch(write, sharp, target, video))
            progress(count)
        encoding.sync()
        target.mux(video.encode(None))
    return flight


if __name__ == "__main__":
    process(sys.argv[1], sys.argv[2])
