"""Network sources: HTTP and RTSP, cuts and returns."""

import socket
import time
import traceback

import pytest
import servers
import small_videos
from watching import Seen, run_with_warnings, warned

import penstock as ps

pytest.importorskip("av")


def busy(number, size):
    """Tells its number, and does not compress."""
    return small_videos.picture(number, size) // 2 + small_videos.noise(number, size) // 2


@pytest.fixture
def clip(tmp_path):
    return small_videos.write(tmp_path / "clip.ts", 50)


@pytest.fixture
def big(tmp_path):
    """Some hundred kB, with an index at the front."""
    return small_videos.write(tmp_path / "big.mp4", 50, (96, 128), draw=busy, options={"movflags": "faststart"})


def http(serve, path, **options):
    server = serve(servers.http_server({path.name: (path.read_bytes(), options)}))
    return server, server.url(path.name)


def test_a_real_clip_is_the_same_by_http_and_from_the_disk(serve, real_clip):
    """1280 x 720 with B-frames and sound, its index at the end: the reader has to jump."""
    _, url = http(serve, real_clip)
    by_http, from_disk = Seen(url, reconnect=True), Seen(real_clip)
    assert run_with_warnings([by_http.flow, from_disk.flow]) == []
    assert by_http.levels == from_disk.levels
    assert by_http.times == from_disk.times == pytest.approx(small_videos.times(real_clip), abs=1e-6)
    assert len(by_http.levels) == 132


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_file_behind_http_is_whole_and_ends(serve, clip, reconnect):
    _, url = http(serve, clip)
    seen = Seen(url, reconnect=reconnect)
    assert run_with_warnings(seen.flow) == []
    seen.check_levels(clip)
    assert set(seen.names) == {"clip"}
    seen.check_order()


def test_rtsp_frames_are_whole_and_in_order(serve, clip):
    server = serve(servers.rtsp_server(clip, seconds=2))
    seen = Seen(server.url("door"))
    assert run_with_warnings(seen.flow) == []
    seen.check_levels(clip)
    assert set(seen.names) == {"door"}
    assert seen.times == pytest.approx([n / 25 for n in range(50)], abs=1e-3)


def test_a_stream_of_unknown_length_that_is_closed_has_ended(serve, clip):
    _, url = http(serve, clip, length=False)
    seen = Seen(url)
    found = run_with_warnings(seen.flow)
    seen.check_levels(clip)
    assert len(found) == 1
    assert "does not say whether that is its end" in found[0]
    server = serve(servers.http_server({"clip.ts": (clip.read_bytes(), {"length": False})}))
    seen = Seen(server.url("clip.ts"), reconnect=True)
    with warned("connecting again"):
        run = ps.start(seen.flow)
        seen.wait_for(120, run)
        run.stop()
        run.wait(10)
    assert server.accepted >= 3
    seen.check_order()


def test_a_cut_is_an_error_that_says_what_to_do(serve, clip, big):
    _, url = http(serve, big, stop_at=big.stat().st_size // 2, times=99)
    seen = Seen(url)
    with pytest.raises(ps.MediaError, match=r"big\.mp4 was cut after \d+ frames: .*reconnect=True"):
        ps.run(seen.flow)
    assert len(seen.numbers) > 10
    server = serve(servers.rtsp_server(clip, loop=True))
    seen = Seen(server.url("door"))
    run = ps.start(seen.flow)
    seen.wait_for(10, run)
    server.cut()
    with pytest.raises(ps.MediaError, match="door was cut after"):
        run.wait(10)


def test_a_file_that_was_cut_goes_on_where_it_was(serve, big):
    server, url = http(serve, big, stop_at=big.stat().st_size // 2, times=1)
    seen = Seen(url, reconnect=True)
    found = run_with_warnings(seen.flow)
    assert server.accepted > 1
    seen.check_levels(big)
    assert len(found) == 1
    assert "connecting again" in found[0]
    seen.check_order()


def test_a_camera_comes_back_and_its_time_grows_by_the_pause(serve, clip):
    server = serve(servers.rtsp_server(clip, loop=True))
    seen = Seen(server.url("door"), reconnect=True)
    with warned("door was cut after"):
        run = ps.start(seen.flow)
        seen.wait_for(20, run)
        server.down()
        before = len(seen.numbers)
        time.sleep(1.0)
        assert len(seen.numbers) <= before + 4
        between = len(seen.numbers)
        server.up()
        seen.wait_for(between + 20, run)
        run.stop()
        run.wait(10)
    seen.check_order()
    gaps = [b - a for a, b in zip(seen.times, seen.times[1:], strict=False)]
    assert sum(gap > 0.5 for gap in gaps) == 1
    assert max(gaps) > 1.0


def test_what_was_never_there_is_an_error_though_it_would_reconnect(serve, clip):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for scheme in ("rtsp", "http"):
        seen = Seen(f"{scheme}://user:se@cret@127.0.0.1:{port}/x.ts", reconnect=True)
        with pytest.raises(ps.MediaError, match=r"user:\*\*\*@127.*refused") as error:
            ps.run(seen.flow)
        assert "cret" not in "".join(traceback.format_exception(error.value, chain=True))
    _, url = http(serve, clip, status=404)
    with pytest.raises(ps.MediaError, match="404"):
        ps.run(Seen(url, reconnect=True).flow)


def test_pictures_with_no_times_have_those_of_their_arrival(serve):
    """As many cameras send them: JPEGs in one endless answer, here 20 a second."""
    cv2 = pytest.importorskip("cv2")
    parts = []
    for number in range(20):
        content = cv2.imencode(".jpg", small_videos.noise(number))[1].tobytes()
        head = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(content)
        parts.append(head + content + b"\r\n")
    kind = "multipart/x-mixed-replace; boundary=next"
    files = {"cam": (b"".join(parts), {"type": kind, "length": False, "rate": 20 * len(parts[0])})}
    server = serve(servers.http_server(files))
    seen = Seen(server.url("cam"))
    with warned("was closed after 20 frames"):
        ps.run(seen.flow)
    seen.check_order()
    assert 0.6 < seen.times[-1] - seen.times[0] < 3


def test_latest_skips_to_the_newest_frame(serve, clip):
    server = serve(servers.rtsp_server(clip, loop=True))
    flow = ps.source(server.url("door"), policy="latest")
    begun = None
    late = []

    @ps.operator
    def slow(frame):
        nonlocal begun
        about = ps.message()
        now = time.monotonic()
        begun = begun if begun is not None else now - about.time
        late.append(now - begun - about.time)
        time.sleep(0.2)

    run = ps.start(slow(flow))
    while len(late) < 15:
        assert not run.is_over
        time.sleep(0.02)
    dropped = sum(edge.dropped for edge in run.stats().edges.values())
    run.stop()
    run.wait(10)
    assert dropped >= 20
    assert late[-1] < 0.6  # with no drops it would be 15 * 0.16 s


def test_names_are_unique_however_they_are_given(tmp_path):
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(small_videos.write(tmp_path / folder / "clip.mp4", 2))
    seen = Seen([*paths, ps.synthetic(48, 64, count=2), *paths])
    ps.run(seen.flow)
    assert sorted(set(seen.names)) == ["clip", "clip_2", "clip_3", "clip_4", "synthetic"]
    first, second = Seen(paths[0]), Seen(paths[1])
    ps.run(first.flow, second.flow)
    assert {*first.names, *second.names} == {"clip", "clip_2"}
    named = Seen(paths[0], name="left")
    ps.run(named.flow)
    assert set(named.names) == {"left"}
