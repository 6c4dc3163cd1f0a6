"""Files as sources and sinks."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from small_videos import SIZE, levels, picture, times, write

import penstock as ps

pytest.importorskip("av")


@pytest.fixture
def clip(tmp_path):
    return write(tmp_path / "clip.mp4", 20)


def test_frames_come_in_order_as_rgb_tensors(clip):
    frames = list(ps.iterate(ps.source(clip)))
    assert [frame.shape for frame in frames] == [(*SIZE, 3)] * 20
    assert all(isinstance(f, ps.Tensor) and f.layout in ("HWC", None) for f in frames)
    means = [float(frame.numpy().mean()) for frame in frames]
    assert np.allclose(means, [picture(n).mean() for n in range(20)], atol=3)


def test_a_frame_knows_its_time_its_origin_and_its_colours(clip):
    seen = []

    @ps.operator
    def note(frame):
        about = ps.message()
        seen.append((about.origin, about.time, dict(about.metadata)))

    ps.run(note(ps.source(clip)))
    origins = [origin for origin, _, _ in seen]
    assert origins == [("clip", n, None) for n in range(20)]
    assert [time for _, time, _ in seen] == pytest.approx([n / 25 for n in range(20)])
    assert seen[0][2]["matrix"] in ("bt601", "bt709", "bt2020")
    assert seen[0][2]["range"] == "limited"
    assert seen[0][2]["rate"] == 25
    assert seen[0][2]["rotation"] == 0


def test_native_frames_are_the_planes_where_the_decoder_left_them(clip):
    planes = next(iter(ps.iterate(ps.source(clip, format="native"))))
    assert [len(plane) > 0 for plane in planes] == [True] * 3


@pytest.mark.parametrize("format", ["yuv444p", "yuv420p10le"])
def test_other_pixel_formats_come_as_rgb_too(tmp_path, format):
    path = write(tmp_path / "other.mp4", 3, format=format)
    frames = [frame.numpy() for frame in ps.iterate(ps.source(path))]
    assert [frame.shape for frame in frames] == [(*SIZE, 3)] * 3
    assert np.allclose([f.mean() for f in frames], [picture(n).mean() for n in range(3)], atol=4)


def test_several_files_are_several_sources(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.mp4", 6)
    ps.run(ps.sink(ps.source(str(tmp_path / "*.mp4")), tmp_path / "out" / "{source}_copy.mp4"))
    for name in ("a", "b"):
        assert np.allclose(levels(tmp_path / "out" / f"{name}_copy.mp4"), levels(tmp_path / f"{name}.mp4"), atol=3)


def test_two_sources_into_one_file_are_refused(tmp_path):
    paths = [write(tmp_path / f"{name}.mp4", 3) for name in ("a", "b")]
    with pytest.raises(ps.MediaError, match=r"\{source\}"):
        ps.run(ps.sink(ps.source(paths), tmp_path / "one.mp4"))


def test_a_copy_has_the_same_frames_and_times(clip, tmp_path):
    ps.run(ps.sink(ps.source(clip), tmp_path / "copy.mp4"))
    assert np.allclose(levels(tmp_path / "copy.mp4"), levels(clip), atol=3)
    assert times(tmp_path / "copy.mp4") == pytest.approx([n / 25 for n in range(20)], abs=1e-3)


def test_frames_of_another_program_can_be_written(tmp_path):
    @ps.operator
    def frames():
        for number in range(5):
            yield picture(number, (33, 47))  # odd sizes, no times

    ps.run(ps.sink(frames(), tmp_path / "made.mp4", rate=10))
    assert len(levels(tmp_path / "made.mp4")) == 5


@pytest.mark.parametrize(
    "frame", [np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros(7, np.uint8)]
)
def test_what_is_no_frame_is_refused(tmp_path, frame):
    @ps.operator
    def frames():
        yield frame

    with pytest.raises(ps.TensorError, match="sink: a frame is"):
        ps.run(ps.sink(frames(), tmp_path / "x.mp4"))


def test_a_file_that_can_not_be_written_is_named(tmp_path, clip):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ps.MediaError, match="file/x.mp4"):
        ps.run(ps.sink(ps.source(clip), tmp_path / "file" / "x.mp4"))
    with pytest.raises(ps.MediaError, match="ending"):
        ps.sink(ps.source(clip), tmp_path / "folder")


def test_latest_drops_frames_that_nobody_waits_for(clip):
    gate = threading.Event()

    @ps.operator
    def slow(frame):
        assert gate.wait(20)

    run = ps.start(slow(ps.source(clip, policy="latest")))
    while not any("clip" in edge[0] and one.dropped for edge, one in run.stats().edges.items()):
        assert not run.is_over
    gate.set()
    stats = run.wait()
    assert stats.operators["slow"].activations < 20


def test_latest_of_several_sources_is_the_newest_of_each(tmp_path):
    gate, last = threading.Event(), {}

    @ps.operator
    def slow(frame):
        assert gate.wait(20)
        origin = ps.message().origin
        last.setdefault(origin.source, []).append(origin.number)

    paths = [write(tmp_path / f"{name}.mp4", 40) for name in ("a", "b")]
    run = ps.start(slow(ps.source(paths, policy="latest")))

    def dropped():
        return sum(edge.dropped for edge in run.stats().edges.values())

    while dropped() < 60:
        assert not run.is_over
    gate.set()
    run.wait(20)
    assert sum(len(numbers) for numbers in last.values()) + dropped() == 80
    assert [numbers[-1] for numbers in last.values()] == [39, 39]


def test_a_run_that_is_stopped_leaves_a_file_that_plays(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import itertools, sys, numpy as np, penstock as ps\n"
        "@ps.operator\n"
        "def frames():\n"
        "    for n in itertools.count():\n"
        "        if n == 30: print('going', flush=True)\n"
        "        yield np.full((48, 64, 3), n % 200, np.uint8)\n"
        "ps.run(ps.sink(frames(every_ms=5), sys.argv[1]))\n"
    )
    target = tmp_path / "stopped.mp4"
    running = subprocess.Popen([sys.executable, str(program), str(target)], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "going\n"
    os.kill(running.pid, 2)
    assert running.wait(20) != 0
    assert len(levels(target)) >= 25


def test_the_command_can_set_another_path(tmp_path, clip):
    other = write(tmp_path / "other.mp4", 7)
    program, copy = tmp_path / "graph.py", tmp_path / "copy.mp4"
    program.write_text(f"import penstock as ps\nflow = ps.sink(ps.source({str(clip)!r}), {str(copy)!r})\n")
    command = [sys.executable, "-m", "penstock", "run", program, "--set", f"clip.path={other}"]
    subprocess.run(command, check=True, timeout=60)
    assert len(levels(copy)) == 7
