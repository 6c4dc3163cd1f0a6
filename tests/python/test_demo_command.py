"""``penstock demo``: its files, what it says, its exit codes, and the clips that it fetches."""

from __future__ import annotations

import hashlib
import os
import pty
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

av = pytest.importorskip("av")
pytest.importorskip("cv2")

from demo_clips import frames_of, write_clip  # noqa: E402

import penstock  # noqa: E402
from penstock import MediaError  # noqa: E402
from penstock._demo import _fetch  # noqa: E402

COMMAND = [sys.executable, "-m", "penstock", "demo"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(penstock.__file__).parents[1])}
NO_NETWORK = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/nowhere", "PIP_CONFIG_FILE": os.devnull}


def demo(*arguments, cwd, **environment):
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        timeout=110,
        check=False,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()  # text=True would make \r a \n
    return done


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "mine.mp4", 30)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mp4", 1500, square=False)


def test_a_video_of_ones_own(clip, tmp_path):
    done = demo("--input", clip, "--output", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wall, picture = tmp_path / "out" / "wall.mp4", tmp_path / "out" / "graph.svg"
    assert done.stdout == f"{wall}\n{picture}\n"
    assert len(frames_of(wall)) == 30
    assert "frame 30 of 30" in done.stderr
    assert not {"\r", "\x1b"} & set(done.stderr)
    text = "".join(ElementTree.parse(picture).getroot().itertext())
    for name in ("mine", "resize", "Motion", "Tracker", "draw_boxes", "write_labels", "wall", "sink", "/s", "full"):
        assert name in text, name


def test_several_videos_by_one_word_or_by_several(clip, tmp_path):
    done = demo("--input", clip, clip, "--input", clip, "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "out" / "wall.mp4")) as wall:
        video = wall.streams.video[0]
        assert (video.frames, video.height, video.width) == (30, 720, 1280)


def test_without_output_it_writes_into_a_folder_here(clip, tmp_path):
    done = demo("--input", clip, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "penstock-demo" / "wall.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--input", "nothing.mp4"], 2, "there is no file nothing.mp4"),
        (["--input", "text.mp4"], 1, "text.mp4 can't be opened as a video"),
        (["--inptu", "text.mp4"], 2, "--input"),
        (["--input"], 2, "--input"),
        (["--input", "mine.mp4", "--output", "text.mp4"], 1, "text.mp4"),
    ],
)
def test_mistakes_are_said_in_a_few_lines(clip, tmp_path, arguments, code, says):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "mine.mp4").write_bytes(clip.read_bytes())
    done = demo(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 15
    assert done.stdout == ""


def test_without_a_network_it_names_input(tmp_path):
    done = demo(cwd=tmp_path, PENSTOCK_CLIPS=str(tmp_path / "clips"), **NO_NETWORK)
    assert done.returncode == 1
    assert "could not be downloaded" in done.stderr
    assert "--input" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 15
    assert list((tmp_path / "clips").iterdir()) == []


@pytest.mark.parametrize("is_right", [True, False])
def test_a_clip_is_fetched_once_and_its_checksum_is_held(tmp_path, monkeypatch, capfd, is_right):
    content = b"a clip" if is_right else b"another"
    with zipfile.ZipFile(tmp_path / "some_clips-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some/clip.mp4", content)
        wheel.writestr("some_clips-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-clips\nVersion: 1.0\n")
        wheel.writestr("some_clips-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("some_clips-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(b"a clip").hexdigest()
    (tmp_path / "clips.toml").write_text(
        f'[one]\npackage = "some-clips==1.0"\nmember = "some/clip.mp4"\ntitle = "One"\nlicence = "CC0"\nsha256 = "{digest}"\n'
    )
    for name, value in {
        **NO_NETWORK,
        "PIP_FIND_LINKS": str(tmp_path),
        "PENSTOCK_CLIPS": str(tmp_path / "kept"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_fetch, "_LIST", tmp_path / "clips.toml")
    if not is_right:
        with pytest.raises(MediaError, match="sha256.*\n.*--input"):
            _fetch.fetch(["one"])
        assert list((tmp_path / "kept").iterdir()) == []
        return
    assert _fetch.fetch(["one"]) == [tmp_path / "kept" / "one.mp4"]
    assert "CC0" in capfd.readouterr().err
    (tmp_path / "some_clips-1.0-py3-none-any.whl").unlink()
    assert _fetch.fetch(["one"])[0].read_bytes() == b"a clip"
    assert capfd.readouterr().err == ""


def test_ctrl_c_leaves_a_file_that_plays(long_clip, tmp_path):
    running = subprocess.Popen(
        [*COMMAND, "--input", str(long_clip), "--output", "out"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in running.stderr:
        if line.startswith("frame"):
            break
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert 0 < len(frames_of(tmp_path / "out" / "wall.mp4")) < 1500


def test_on_a_terminal_the_progress_is_one_line(clip, tmp_path):
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [*COMMAND, "--input", str(clip), "--output", "out"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    said, deadline = b"", time.monotonic() + 100
    while time.monotonic() < deadline:
        try:
            said += os.read(ours, 4096)
        except OSError:  # nobody writes any more
            break
    os.close(ours)
    assert running.wait(timeout=10) == 0, said
    assert b"\rframe 30 of 30" in said


def test_the_four_clips(tmp_path):
    try:
        paths = _fetch.fetch()
    except MediaError as error:
        if os.environ.get("PENSTOCK_OFFLINE"):
            pytest.skip(str(error))
        raise
    assert len(paths) == 4
    done = demo("--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "out" / "wall.mp4")) as wall:
        frames = sum(1 for _ in wall.decode(video=0))
        video = wall.streams.video[0]
    assert (frames, video.height, video.width) == (501, 720, 1280)
