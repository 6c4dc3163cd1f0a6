"""What is no video, or only the beginning of one."""

import importlib.metadata
import struct
import subprocess
import sys
import warnings
import zlib

import pytest
import small_videos

import penstock as ps
from penstock._media import _pyav

av = pytest.importorskip("av")


def refused(what, **words):
    """The text of the MediaError, which comes before any frame."""
    seen = []
    with pytest.raises(ps.MediaError) as error:
        seen.extend(ps.iterate(ps.source(what, **words)))
    assert not seen
    return str(error.value)


def frames_and_warnings(what, **words):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        frames = [frame.numpy() for frame in ps.iterate(ps.source(what, **words))]
    return frames, [str(one.message) for one in found]


def png_of(width, height):
    """A picture whose header promises so much, with no content."""

    def chunk(kind, content):
        check = struct.pack("!I", zlib.crc32(kind + content))
        return struct.pack("!I", len(content)) + kind + content + check

    head = struct.pack("!IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.mp4", b"", "0 bytes"),
        ("text.mp4", b"this is no video at all\n" * 100, "can't be opened"),
        ("notes.txt", b"this is no video at all\n" * 100, "text"),
        ("noise.mp4", bytes(range(256)) * 40, "can't be opened"),
        ("head.mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "can't be opened"),
        ("page.html", b"<!DOCTYPE html><html><body>404</body></html>", "can't be opened"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    text = refused(path)
    assert expected in text
    assert str(path) in text


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", 8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "has no video" in refused(path)


def test_paths_that_are_not_there_are_named_at_once(tmp_path):
    for what, expected in [
        (tmp_path / "missing.mp4", "missing.mp4"),
        (tmp_path, "is a directory"),
        (str(tmp_path / "*.mp4"), "no file matches"),
        ("", "empty string"),
        ([], "list is empty"),
        ("v4l2:77", "no camera /dev/video77"),
        ("ftp://127.0.0.1/a.mp4", "no URL that can be read"),
        ("rtsp:///x", "no host"),
    ]:
        with pytest.raises(ps.MediaError, match=expected):
            ps.source(what)
    for what in (7, None, b"clip.mp4", [3.5], {"a": 1}):
        with pytest.raises(ps.ArgumentTypeError, match="expected a path"):
            ps.source(what)


def test_settings_that_do_not_fit_are_named(tmp_path):
    path = small_videos.write(tmp_path / "a.mp4", 2)
    for words, expected in [
        ({"policy": "fast"}, "policy='fast'"),
        ({"format": "HSV"}, "format='HSV'"),
        ({"timeout_ms": 0}, "timeout_ms=0"),
        ({"timeout_ms": "soon"}, "timeout_ms='soon'"),
        ({"max_pixels": 0}, "max_pixels=0"),
    ]:
        with pytest.raises(ps.MediaError, match=expected):
            ps.source(path, **words)


@pytest.mark.skipif(ps.device_count() > 0, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error_that_says_so(tmp_path):
    path = small_videos.write(tmp_path / "a.mp4", 2)
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ps.DeviceError, match=r"device='cuda.*no GPU"):
            ps.source(path, device=device)
    assert len(list(ps.iterate(ps.source(path, device="cpu")))) == 2


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "fragments.mp4"])
def test_a_truncated_file_gives_the_frames_that_are_there_and_one_warning(tmp_path, name):
    options = {"movflags": "frag_keyframe+empty_moov" if "fragments" in name else "faststart"}
    whole = small_videos.write(tmp_path / name, 40, (96, 128), draw=small_videos.noise, options=options)
    frames, found = frames_and_warnings(whole)
    assert len(frames) == 40
    assert not found
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    part, found = frames_and_warnings(cut)
    assert 20 < len(part) < 30
    assert all((a == b).all() for a, b in zip(part[:20], frames[:20], strict=True))
    assert len(found) == 1
    assert str(cut) in found[0]


def test_a_file_with_a_hole_gives_the_frames_on_both_sides_of_it(tmp_path):
    whole = small_videos.write(
        tmp_path / "a.mp4", 40, (96, 128), draw=small_videos.noise, options={"movflags": "faststart"}
    )
    content = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = places[20]
    content[position : position + size] = b"\xff" * size
    (tmp_path / "hole.mp4").write_bytes(content)
    frames, found = frames_and_warnings(tmp_path / "hole.mp4")
    assert 35 < len(frames) < 40
    assert len(found) == 1
    assert "1 packets could not be decoded" in found[0]


def test_one_bad_file_of_several_ends_the_run_or_itself(tmp_path):
    good = small_videos.write(tmp_path / "good.mp4", 5)
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    with pytest.raises(ps.MediaError, match=r"bad\.mp4"):
        ps.run(ps.sink(ps.source([good, bad]), tmp_path / "{source}_copy.mp4"))
    frames = list(ps.iterate(ps.source([good, bad], on_error="end")))
    assert len(frames) == 5


def test_frames_above_the_limit_are_refused_unless_it_is_raised(tmp_path, monkeypatch):
    path = small_videos.write(tmp_path / "a.mp4", 2, (48, 64))
    text = refused(path, max_pixels=48 * 64 - 1)
    assert "64 x 48 pixels" in text
    assert "max_pixels=" in text
    assert "PENSTOCK_MAX_PIXELS" in text
    assert len(list(ps.iterate(ps.source(path, max_pixels=48 * 64)))) == 2
    monkeypatch.setenv("PENSTOCK_MAX_PIXELS", "100")
    assert "above the limit of 100" in refused(path)
    monkeypatch.setenv("PENSTOCK_MAX_PIXELS", "many")
    with pytest.raises(ps.MediaError, match="many"):
        ps.source(path)


@pytest.mark.parametrize("name", ["huge.png", "huge.y4m", "huge.avi"])
def test_a_header_that_promises_huge_frames_takes_no_memory(tmp_path, name):
    path = tmp_path / name
    if name.endswith("png"):
        path.write_bytes(png_of(16_000, 16_000))
    elif name.endswith("y4m"):
        path.write_bytes(b"YUV4MPEG2 W16000 H16000 F25:1 C420jpeg\nFRAME\n" + b"\0" * 5000)
    else:
        small_videos.write(path, 3)
        content = path.read_bytes()
        at = content.index(b"strf") + 8
        path.write_bytes(content[: at + 4] + struct.pack("<ii", 16_000, 16_000) + content[at + 12 :])
    program = (
        "import sys, av, penstock as ps\n"
        "def peak_mb():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith('VmPeak'))\n"
        "list(ps.iterate(ps.source(sys.argv[2])))\n"
        "before = peak_mb()\n"
        "try:\n"
        "    frames = [f.shape for f in ps.iterate(ps.source(sys.argv[1]))]\n"
        "    assert all(f[0] * f[1] <= 2**26 for f in frames), frames\n"
        "except ps.MediaError as error: print(error)\n"
        "print(peak_mb() - before)\n"
    )
    small = small_videos.write(tmp_path / "small.mp4", 2)
    command = [sys.executable, "-c", program, path, small]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    *text, grown_mb = done.stdout.splitlines()
    assert int(grown_mb) < 300, text
    assert name == "huge.avi" or str(path) in text[0]
    assert name == "huge.avi" or "max_pixels=" in text[0]


def test_names_with_special_characters_are_files(tmp_path, monkeypatch):
    for name in ("a:b.mp4", "100%d.mp4", "with space [1].mp4", "ünï.mp4"):
        path = small_videos.write(tmp_path / name, 2)
        assert len(list(ps.iterate(ps.source(path)))) == 2
    monkeypatch.chdir(tmp_path)
    assert len(list(ps.iterate(ps.source("a:b.mp4")))) == 2


@pytest.mark.parametrize(
    ("found", "told"),
    [(None, "needs PyAV, which is not installed: pip install"), ("17.1.0", "needs PyAV 18 or newer, found 17.1.0")],
)
def test_a_pyav_that_will_not_do_is_named(tmp_path, monkeypatch, found, told):
    path = small_videos.write(tmp_path / "a.mp4", 2)

    def version(name):
        assert name == "av"
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(_pyav, "version", version)
    with pytest.raises(ps.MediaError, match=f"source: {told}"):
        ps.source(path)
    with pytest.raises(ps.MediaError, match=f"sink: {told}"):
        ps.sink(ps.source(ps.synthetic(8, 8, count=1)), tmp_path / "b.mp4")
