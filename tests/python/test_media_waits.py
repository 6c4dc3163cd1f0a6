"""Sources that nothing comes from: time-outs, stops, calls that hang."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import pytest
import servers
import small_videos
from watching import Seen, warned

import penstock as ps

pytest.importorskip("av")


@pytest.fixture
def clip(tmp_path):
    return small_videos.write(tmp_path / "clip.ts", 50)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers_is_an_error_in_time(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(ps.MediaError, match="no answer in time"):
            ps.run(Seen(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x", timeout_ms=500).flow)
        assert time.monotonic() - begun < 3


def test_a_camera_that_falls_silent_is_an_error_in_time(serve, clip):
    server = serve(servers.rtsp_server(clip, loop=True, silent_after=30))
    seen = Seen(server.url("door"), timeout_ms=1500)
    with pytest.raises(ps.MediaError, match=r"door was cut after \d+ frames: no answer in time"):
        ps.run(seen.flow)
    assert len(seen.numbers) >= 28


def test_a_camera_that_falls_silent_is_connected_again(serve, clip):
    server = serve(servers.rtsp_server(clip, loop=True, silent_after=30))
    seen = Seen(server.url("door"), timeout_ms=1000, reconnect=True)
    with warned("no answer in time"):
        run = ps.start(seen.flow)
        seen.wait_for(70, run)
        run.stop()
        run.wait(10)
    assert server.accepted >= 3
    seen.check_order()


@pytest.mark.parametrize("state", ["opening", "silent", "down"])
def test_a_stop_does_not_wait_for_the_network(serve, clip, state):
    server = serve(servers.rtsp_server(clip, loop=True, silent_after=20 if state == "silent" else None))
    with socket.create_server(("127.0.0.1", 0)) as silent, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x" if state == "opening" else server.url("door")
        seen = Seen(url, reconnect=True, timeout_ms=5000)
        run = ps.start(seen.flow)
        if state != "opening":
            seen.wait_for(15, run)
        if state == "down":
            server.down()
        time.sleep(1.5)
        begun = time.monotonic()
        run.stop()
        run.wait(5)
        assert time.monotonic() - begun < 0.5
        if state == "down":
            server.up()


def test_ctrl_c_does_not_wait_for_the_network(tmp_path):
    program = (
        "import sys, threading, time, penstock as ps\n"
        "threading.Timer(1, lambda: print('going', flush=True)).start()\n"
        "ps.run(ps.sink(ps.source(sys.argv[1], timeout_ms=60000), sys.argv[2]))\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        command = [sys.executable, "-c", program, url, tmp_path / "x.mp4"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stdout.readline() == "going\n"
        begun = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
        assert time.monotonic() - begun < 3
        assert "KeyboardInterrupt" in errors
        assert running.returncode in (1, -signal.SIGINT, 130)


def test_a_call_that_ignores_its_time_out_is_left_behind(serve, clip, monkeypatch):
    """A name look-up, say: nothing interrupts it."""
    from penstock._media import _reconnect

    release, stuck = threading.Event(), []
    opened = _reconnect.open_video

    def open_or_hang(*args):
        if len(stuck) == 1 or args[0].label == "stuck":
            stuck.append(args)
            release.wait(30)
        else:
            stuck.append(args)
        return opened(*args)

    monkeypatch.setattr(_reconnect, "open_video", open_or_hang)
    server = serve(servers.rtsp_server(clip, loop=True))
    try:
        begun = time.monotonic()
        with pytest.raises(ps.MediaError, match="gave no frame: no answer"):
            ps.run(Seen(server.url("stuck"), timeout_ms=300).flow)
        assert time.monotonic() - begun < 4
        stuck.clear()
        seen = Seen(server.url("door"), timeout_ms=1500, reconnect=True)  # the second time it hangs
        with warned("connecting again"):
            run = ps.start(seen.flow)
            seen.wait_for(10, run)
            server.cut()
            seen.wait_for(len(seen.numbers) + 20, run)
            run.stop()
            run.wait(10)
        assert len(stuck) == 3
        seen.check_order()
    finally:
        release.set()


def test_a_pipe_is_read_as_it_is_written(tmp_path, clip):
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)

    def feed():
        with open(pipe, "wb") as file:
            file.write(clip.read_bytes())

    writer = threading.Thread(target=feed)
    writer.start()
    seen = Seen(pipe)
    ps.run(seen.flow)
    writer.join()
    seen.check_levels(clip)
