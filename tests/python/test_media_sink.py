"""Video files that are written."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_videos

import penstock as ps
from penstock._media._encode import VideoFile

av = pytest.importorskip("av")


def shapes(path):
    with av.open(str(path)) as container:
        return {(frame.height, frame.width) for frame in container.decode(video=0)}


def made(images, **words):
    @ps.operator
    def frames():
        yield from images

    return frames(**words)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "mov", "ts", "webm"])
def test_the_ending_says_the_format(tmp_path, ending):
    first = small_videos.write(tmp_path / "a.mp4", 12)
    ps.run(ps.sink(ps.source(first), tmp_path / f"b.{ending}"))
    assert np.allclose(small_videos.levels(tmp_path / f"b.{ending}"), small_videos.levels(first), atol=4)


def test_an_ending_of_no_format_is_named(tmp_path):
    first = small_videos.write(tmp_path / "a.mp4", 2)
    with pytest.raises(ps.MediaError, match=r"b\.xyz can't be written"):
        ps.run(ps.sink(ps.source(first), tmp_path / "b.xyz"))
    with pytest.raises(ps.MediaError, match="no ending"):
        ps.sink(ps.source(first), tmp_path / "b")
    with pytest.raises(ps.MediaError, match="rate=0"):
        ps.sink(ps.source(first), tmp_path / "b.mp4", rate=0)


@pytest.mark.parametrize("size", [(33, 47), (48, 47), (1, 1)])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_odd_sizes_and_gray(tmp_path, size, channels):
    images = [np.full((*size, *channels), 20 + 30 * n, np.uint8) for n in range(6)]
    ps.run(ps.sink(made(images), tmp_path / "made.mp4", rate=10))
    assert np.allclose(small_videos.levels(tmp_path / "made.mp4"), [20 + 30 * n for n in range(6)], atol=4)
    assert shapes(tmp_path / "made.mp4") == {tuple(n + n % 2 for n in size)}


def test_frames_with_no_times_follow_at_the_rate(tmp_path):
    images = [small_videos.picture(n) for n in range(5)]
    ps.run(ps.sink(made(images), tmp_path / "ten.mp4", rate=10))
    assert small_videos.times(tmp_path / "ten.mp4") == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    ps.run(ps.sink(made(images), tmp_path / "usual.mp4"))
    assert small_videos.times(tmp_path / "usual.mp4") == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16], abs=1e-3)


def test_frames_keep_the_times_of_their_source(tmp_path):
    first = small_videos.write(tmp_path / "a.mp4", 20, rate=10)

    @ps.operator
    def some(frame):
        return frame if ps.message().origin.number in (0, 1, 5, 6, 19) else None

    ps.run(ps.sink(some(ps.source(first)), tmp_path / "b.mp4"))
    assert small_videos.times(tmp_path / "b.mp4") == pytest.approx([0.0, 0.1, 0.5, 0.6, 1.9], abs=1e-3)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert float(container.duration / av.time_base) == pytest.approx(2.0, abs=0.01)


def test_each_source_has_a_file_of_its_own_in_its_own_order(tmp_path):
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        draw = lambda n, size, shift=number: small_videos.picture(n + 9 * shift, size)  # noqa: E731
        small_videos.write(folder / "clip.mp4", 10 + number, draw=draw)
    ps.run(ps.sink(ps.source(str(tmp_path / "?" / "clip.mp4")), tmp_path / "out" / "{source}.mp4"))
    names = ["clip", "clip_2", "clip_3", "clip_4"]
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == names
    for number, name in enumerate(names):
        written = small_videos.levels(tmp_path / "out" / f"{name}.mp4")
        assert np.allclose(written, small_videos.levels(tmp_path / str(number) / "clip.mp4"), atol=4)


def test_once_the_file_is_open_frames_come_to_the_writer_converted(tmp_path, monkeypatch):
    came = []
    write = VideoFile.write

    def noting(self, image, seconds):
        came.append(isinstance(image, av.VideoFrame))
        write(self, image, seconds)

    monkeypatch.setattr(VideoFile, "write", noting)

    @ps.operator
    def one_by_one():
        for n in range(10):
            deadline = time.monotonic() + 60
            while len(came) < n and time.monotonic() < deadline:
                time.sleep(0.001)
            yield np.full((34, 48, 3), 20 + 20 * n, np.uint8)

    written = ps.sink(one_by_one(), tmp_path / "made.mp4")
    for _ in range(2):  # a second run opens a file of its own
        came.clear()
        ps.run(written)
        assert came == [False] + 9 * [True]
        assert np.allclose(small_videos.levels(tmp_path / "made.mp4"), [20 + 20 * n for n in range(10)], atol=4)


def test_two_sinks_of_one_flow_have_names_of_their_own(tmp_path):
    frames = ps.source(small_videos.write(tmp_path / "a.mp4", 5))
    statistics = ps.run(ps.sink(frames, tmp_path / "b.mp4"), ps.sink(frames, tmp_path / "c.mkv"))
    assert small_videos.levels(tmp_path / "b.mp4") == small_videos.levels(tmp_path / "c.mkv")
    assert {"sink", "sink_2"} <= set(statistics.operators)
    statistics = ps.run(ps.sink(frames, tmp_path / "b.mp4", name="mine"))
    assert "mine" in statistics.operators


def test_frames_of_another_size_are_refused_and_the_file_plays(tmp_path):
    images = [np.zeros((48, 64, 3), np.uint8)] * 3 + [np.zeros((64, 48, 3), np.uint8)]
    with pytest.raises(ps.TensorError, match=r"48 x 64 came to .*made\.mp4, which has frames of 64 x 48"):
        ps.run(ps.sink(made(images), tmp_path / "made.mp4"))
    assert len(small_videos.levels(tmp_path / "made.mp4")) == 3


def test_an_error_elsewhere_leaves_a_file_that_plays(tmp_path):
    @ps.operator
    def fail(frame):
        if ps.message().origin.number == 30:
            raise ZeroDivisionError
        return frame

    first = small_videos.write(tmp_path / "a.mp4", 40)
    with pytest.raises(ZeroDivisionError):
        ps.run(ps.sink(fail(ps.source(first)), tmp_path / "b.mp4"))
    assert len(small_videos.levels(tmp_path / "b.mp4")) >= 20


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, ending):
    """The disk's end is a limit of this process, 200 kB for each file."""
    target = tmp_path / f"big.{ending}"
    images = [small_videos.noise(n, (240, 320)) for n in range(30)]
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        used = descriptors()
        for _ in range(3):
            with pytest.raises(ps.MediaError, match=rf"big\.{ending} can't be (written|finished)"):
                ps.run(ps.sink(made(images), target))
        assert descriptors() <= used + 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("count", [1, 30])
def test_a_device_with_no_room_is_an_error_however_little_is_written(tmp_path, count):
    target = tmp_path / "full.mp4"
    target.symlink_to("/dev/full")
    with pytest.raises(ps.MediaError, match=r"full\.mp4 can't be .*: No space left"):
        ps.run(ps.sink(made([small_videos.noise(n) for n in range(count)]), target))


_COPY = """
import sys, penstock as ps
@ps.operator
def pace(frame):
    if ps.message().origin.number == 20: print("going", flush=True)
    return frame
frames = ps.source(sys.argv[2:])
ps.run(ps.sink(pace(frames, every_ms=5), sys.argv[1]))
"""


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_ctrl_c_leaves_files_that_play(tmp_path, ending):
    sources = [small_videos.write(tmp_path / f"{name}.mp4", 2000) for name in ("a", "b")]
    command = [sys.executable, "-c", _COPY, tmp_path / f"{{source}}_copy.{ending}", *sources]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "going\n"
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    for name in ("a", "b"):
        written = small_videos.levels(tmp_path / f"{name}_copy.{ending}")
        assert 15 <= len(written) < 2000
        assert np.allclose(written, small_videos.levels(tmp_path / f"{name}.mp4")[: len(written)], atol=4)
