"""The examples with a video against a sequential program of PyAV and OpenCV."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import video  # noqa: E402
import video_streams  # noqa: E402

import penstock as ps  # noqa: E402


def open_target(path, source):
    target = av.open(str(path), "w")
    video = target.add_stream("libx264", source.streams.video[0].average_rate, options={"crf": "16"})
    video.height, video.width = video_streams.SIZE
    return target, video


def sequential(source_path, target_path):
    """The same job by one thread's plain program; gives the frames that went to the encoder."""
    height, width = video_streams.SIZE
    frames = []
    with av.open(str(source_path)) as source:
        target, video = open_target(target_path, source)
        for frame in source.decode(video=0):
            rgb = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
            small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
            sharp = cv2.addWeighted(small, 1.6, cv2.GaussianBlur(small, (0, 0), 2), -0.6, 0)
            frames.append(sharp)
            target.mux(video.encode(av.VideoFrame.from_ndarray(sharp, "rgb24")))
        target.mux(video.encode(None))
        target.close()
    return frames


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def psnr(a, b):
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.fixture(scope="module")
def reference(real_clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "sequential.mp4"
    return sequential(real_clip, path), decoded(path)


def encoded_by_demo(real_clip, target, monkeypatch):
    """Runs the example; the frames as its encoder got them, and what it returned."""
    frames = []
    write = video_streams.write

    def keep(image, *rest):
        frames.append(image.numpy().copy())
        write(image, *rest)

    monkeypatch.setattr(video_streams, "write", keep)
    return frames, video_streams.process(str(real_clip), str(target))


def test_every_frame_is_the_reference_frame_of_its_number(real_clip, reference, tmp_path, monkeypatch):
    expected, _ = reference
    frames, flight = encoded_by_demo(real_clip, tmp_path / "out.mp4", monkeypatch)
    assert len(frames) == len(expected) == 132
    for index, frame in enumerate(frames):
        own = psnr(frame, expected[index])
        assert own >= 40, f"frame {index}: {own:.1f} dB"
        for neighbour in (index - 1, index + 1):
            if 0 <= neighbour < len(expected):
                assert own > psnr(frame, expected[neighbour]), f"frame {index} is nearer to frame {neighbour}"
    assert flight.peak >= 3


def test_the_result_plays(real_clip, reference, tmp_path):
    _, expected = reference
    video_streams.process(str(real_clip), str(tmp_path / "out.mp4"))
    frames = decoded(tmp_path / "out.mp4")
    assert len(frames) == len(expected)
    assert min(psnr(ours, theirs) for ours, theirs in zip(frames, expected, strict=True)) >= 35


def test_is_faster_than_the_sequential_program(real_clip, tmp_path):
    ratios = []
    for _ in range(5):  # neighbours in time are compared: a machine's speed changes
        begin = time.perf_counter()
        sequential(real_clip, tmp_path / "sequential.mp4")
        middle = time.perf_counter()
        video_streams.process(str(real_clip), str(tmp_path / "ours.mp4"))
        ratios.append((time.perf_counter() - middle) / (middle - begin))
    assert statistics.median(ratios) < 1, ratios


@pytest.mark.parametrize("program", ["whole", "one wait left out"])
def test_a_wait_that_is_left_out_is_reported(real_clip, tmp_path, program):
    """Sharpening that does not name its input is not ordered behind the resize; the checker says so."""
    whole = (EXAMPLES / "video_streams.py").read_text()
    source = whole
    if program != "whole":
        source = whole.replace(
            "sharpening.launch(sharpen, small, sharp, writes=(sharp,))",
            "ps.uses(small, sharpening, wait=False); sharpening.launch(lambda i, o: sharpen(i[0], o), Box(small), sharp, "
            "writes=(sharp,))",
        ).replace(
            "SIZE = (360, 640)",
            "SIZE = (360, 640)\n\n\nclass Box:\n    def __init__(self, x): self.x = x\n"
            "    def __getitem__(self, i): return self.x\n",
        )
        assert source != whole
    path = tmp_path / "program.py"
    path.write_text(source)
    done = subprocess.run(
        [sys.executable, str(path), str(real_clip), str(tmp_path / "out.mp4")],
        env={**os.environ, "PENSTOCK_CHECK": "order"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if program == "whole":
        assert "order:" not in done.stderr
        return
    assert "nothing orders these two accesses" in done.stderr
    assert "write of" in done.stderr
    assert "resize" in done.stderr
    assert "program.py:" in done.stderr


def test_the_graph_gives_every_frame_of_the_reference(real_clip, reference):
    expected, _ = reference
    flow = ps.source(real_clip) >> ps.resize(size=video_streams.SIZE) >> video.sharpen
    count = 0
    for index, frame in enumerate(ps.iterate(flow)):
        own = psnr(frame, expected[index])
        assert own >= 40, f"frame {index}: {own:.1f} dB"
        for neighbour in (index - 1, index + 1):
            if 0 <= neighbour < len(expected):
                assert own > psnr(frame, expected[neighbour]), f"frame {index} is nearer to frame {neighbour}"
        count += 1
    assert count == len(expected)


def test_the_graphs_video_plays_and_takes_no_longer_than_the_program_over_streams(real_clip, reference, tmp_path):
    _, expected = reference
    before, now = [], []
    for _ in range(3):
        begin = time.perf_counter()
        video_streams.process(str(real_clip), str(tmp_path / "streams.mp4"))
        middle = time.perf_counter()
        ps.run(video.pipeline(real_clip, tmp_path / "graph.mp4"))
        before.append(middle - begin)
        now.append(time.perf_counter() - middle)
    frames = decoded(tmp_path / "graph.mp4")
    assert len(frames) == len(expected)
    assert min(psnr(ours, theirs) for ours, theirs in zip(frames, expected, strict=True)) >= 32
    assert min(now) <= min(before), (now, before)


def test_the_program_is_short():
    lines = [line for line in (EXAMPLES / "video.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 12
