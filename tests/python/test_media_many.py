"""Sixteen sources of one run, some of them cut again and again."""

import os
import threading
import time
import warnings

import numpy as np
import pytest
import servers
import small_videos

import penstock as ps

pytest.importorskip("av")

_CUTS = 20
_RATE = 25


class Notes:
    """An operator that notes of each source its numbers, times, and when they came."""

    def __init__(self):
        self.numbers, self.times, self.arrivals = {}, {}, {}

        @ps.operator
        def note(frame):
            about = ps.message()
            name = about.origin.source
            self.numbers.setdefault(name, []).append(about.origin.number)
            self.times.setdefault(name, []).append(about.time)
            self.arrivals.setdefault(name, []).append(time.monotonic())

        self.operator = note

    def count(self, name):
        return len(self.numbers.get(name, ()))


def used():
    """Open files, threads and resident MB of this process."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGESIZE") / 2**20


def wait_until(holds, run, seconds=30):
    until = time.monotonic() + seconds
    while not holds():
        assert not run.is_over, run.wait()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_cuts_of_some_sources_are_noticed_by_no_other(tmp_path):
    clip = small_videos.write(tmp_path / "clip.ts", 50, (96, 128), gop_size=12)
    steady = small_videos.write(tmp_path / "steady.ts", 1500, (96, 128))
    files = [small_videos.write(tmp_path / f"file{n}.mp4", 300, (96, 128)) for n in range(3)]
    content = steady.read_bytes()
    size_of_second = len(content) * _RATE // 1500
    web = servers.http_server({f"web{n}.ts": (content, {"length": False, "rate": size_of_second}) for n in range(4)})
    cameras = servers.rtsp_server(clip, _RATE, loop=True)
    shaky = servers.rtsp_server(clip, _RATE, loop=True)
    silent = servers.rtsp_server(clip, _RATE, loop=True, silent_after=30)
    names = {
        "web": [f"web{n}" for n in range(4)],
        "camera": [f"camera{n}" for n in range(4)],
        "shaky": [f"shaky{n}" for n in range(3)],
        "silent": ["silent0"],
        "file": [path.stem for path in files],
    }
    notes = Notes()
    sources = ps.source(
        [
            *(web.url(f"{name}.ts") for name in names["web"]),
            *(cameras.url(name) for name in names["camera"]),
            *(shaky.url(name) for name in names["shaky"]),
            silent.url("silent0"),
            *files,
            ps.synthetic(48, 64, fps=_RATE),
        ],
        reconnect=True,
        timeout_ms=5000,
    )
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        run = ps.start(notes.operator(sources))
        try:
            before = _cut_again_and_again(run, shaky, names["shaky"], notes)
        finally:
            run.stop()
            run.wait(20)
    for server in (web, cameras, shaky, silent):
        server.close()
    _check(notes, names, *before)


def _cut_again_and_again(run, shaky, names, notes):
    """What was used after the first cuts and after the last, and when these were."""
    begun = 0.0
    for cut in range(_CUTS):
        seen = [notes.count(name) for name in names]
        wait_until(lambda seen=seen: all(notes.count(n) > k + 5 for n, k in zip(names, seen, strict=True)), run)
        if cut == 4:
            early, begun = used(), time.monotonic()
        shaky.cut()
    ended = time.monotonic()
    return early, used(), begun, ended


def _check(notes, names, early, late, begun, ended):
    for name in notes.numbers:
        assert notes.numbers[name] == list(range(notes.count(name))), name
        assert all(a < b for a, b in zip(notes.times[name], notes.times[name][1:], strict=False)), name
    assert len(notes.numbers) == 16
    for name in names["file"]:
        assert notes.count(name) == 300
    for name in (*names["web"], *names["camera"], "synthetic"):
        arrivals = np.array(notes.arrivals[name])
        during = arrivals[(arrivals > begun) & (arrivals < ended)]
        assert len(during) / (ended - begun) > 0.85 * _RATE, name
        assert np.diff(during).max() < 1.0, name
    assert late[0] <= early[0] + 8, "open files"
    assert late[1] <= early[1] + 4, "threads"
    assert late[2] <= early[2] + 40, "memory"


def test_a_source_that_is_stuck_delays_no_other(tmp_path, monkeypatch):
    """Its call holds its thread for long; the others are files on the shared one."""
    from penstock._media import _reconnect

    opened = _reconnect.open_video
    held = threading.Event()

    def open_late(place, *rest):
        held.wait(2 if place.label == "stuck" else 0)
        return opened(place, *rest)

    monkeypatch.setattr(_reconnect, "open_video", open_late)
    server = servers.rtsp_server(small_videos.write(tmp_path / "clip.ts", 25), seconds=1)
    paths = [small_videos.write(tmp_path / f"file{n}.mp4", 50) for n in range(3)]
    notes = Notes()
    begun = time.monotonic()
    ps.run(notes.operator(ps.source([server.url("stuck"), *paths])))
    server.close()
    assert notes.count("stuck") == 25
    assert notes.arrivals["stuck"][0] - begun > 2
    for path in paths:
        assert notes.count(path.stem) == 50
        assert notes.arrivals[path.stem][-1] - begun < 1.5
