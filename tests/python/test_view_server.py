"""The server of a page: whom it answers, and that nothing of it is left."""

import hmac
import socket
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from graphs import eventually, listed
from helpers import check_python
from views import Printed, Shown, ask, ask_until, colour, request, view_threads, with_frames

import penstock as ps

FOLDER = Path(ps.__file__).parent / "_view"


def is_open(url):
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


def test_what_is_asked_without_the_token_is_refused(capsys):
    shown = Shown(capsys)
    token = urlsplit(shown.url).path.strip("/")
    for path in ("/", "/next", "/page.js", f"/{token[:-1]}/", f"/x{token}/", f"/?{token}/", "/%ff/", "*"):
        status, headers, body = request(shown.url, path=path)
        assert status == 403, path
        assert token not in str(headers) + body.decode()
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
        assert request(shown.url, method, "/")[0] == 403
        assert request(shown.url, method)[0] == 405
    assert request(shown.url)[0] == 200
    assert request(shown.url, path=f"/{token}/../page.js")[0] == 404
    status, headers, _ = request(shown.url, path=f"/{token}")
    assert (status, headers["Location"]) == (308, f"/{token}/")
    shown.end()


@pytest.mark.parametrize(
    "line", [b"GET /\xc3\xa9\xff/ HTTP/1.1", b"GET / HTTP/1.0", b"GET /", b"\x00\x16\x03", b"A" * 70_000]
)
def test_rubbish_is_refused_and_hurts_nobody(capsys, line):
    shown = Shown(capsys)
    parts = urlsplit(shown.url)
    with socket.create_connection((parts.hostname, parts.port), 20) as client:
        client.sendall(line + b"\r\nHost: localhost\r\n\r\n")
        assert b" 200 " not in client.recv(1000).partition(b"\r\n")[0]
    assert request(shown.url)[0] == 200
    shown.end()
    assert "Traceback" not in shown.printed.text + capsys.readouterr().err


def test_other_names_of_this_machine_are_refused(capsys):
    shown = Shown(capsys)
    port = urlsplit(shown.url).port
    for host in (
        f"evil.example:{port}",
        "evil.example",
        f"127.0.0.1.evil.example:{port}",
        "",
        f"localhost.evil:{port}",
    ):
        assert request(shown.url, Host=host)[0] == 403, host
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST", f"[::1]:{port}", "127.0.0.1:1"):
        assert request(shown.url, Host=host)[0] == 200, host
    shown.end()


def test_tokens_are_compared_in_constant_time_and_never_repeat(capsys, monkeypatch):
    compared = []
    genuine = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or genuine(a, b))
    tokens = set()
    for _ in range(2):
        shown = Shown(capsys)
        request(shown.url, path="/guess/")
        tokens.add(urlsplit(shown.url).path)
        shown.end()
    assert b"guess" in [given for given, _ in compared]
    assert len(tokens) == 2


def test_only_this_machine_is_served(capsys):
    shown = Shown(capsys)
    port = urlsplit(shown.url).port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), 2):
        pass
    shown.end()


def test_the_page_needs_no_other_host_and_forbids_them(capsys):
    for file in FOLDER.glob("page.*"):
        assert "://" not in file.read_text()
    shown = Shown(capsys)
    _, headers, _ = request(shown.url)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    shown.end()


def test_a_browser_that_does_not_read_holds_nothing_up(capsys):
    shown = Shown(capsys)
    parts = urlsplit(shown.url)
    frame = np.random.default_rng(2).integers(0, 256, (1000, 1600, 3), np.uint8)
    shown.put(frame)
    with socket.create_connection((parts.hostname, parts.port)) as deaf:
        question = f"GET {parts.path}next?client=deaf&width=1600&frames=all&seen= HTTP/1.1\r\nHost: localhost\r\n\r\n"
        deaf.sendall(question.encode() * 40)
        for _ in range(50):
            shown.put(frame, timeout=10)
        assert eventually(lambda: shown.run.stats().operators["view"].activations == 51)
        shown.end()
    assert view_threads() == []


def test_after_the_end_the_port_is_closed_and_the_threads_are_over(capsys):
    shown = Shown(capsys)
    shown.put(colour(9, 9, 9))
    ask_until(shown.url, with_frames)
    idle = socket.create_connection((urlsplit(shown.url).hostname, urlsplit(shown.url).port))
    assert view_threads()
    shown.end()
    assert not is_open(shown.url)
    assert view_threads() == []
    assert idle.recv(1) == b""
    idle.close()


def test_a_run_that_fails_ends_its_page(capsys):
    @ps.operator
    def fail(frame):
        raise RuntimeError("on purpose")

    shown = Shown(capsys, lambda flow: fail(ps.view(flow)))
    shown.put(colour(1, 1, 1))
    with pytest.raises(RuntimeError, match="on purpose"):
        shown.run.wait(20)
    assert not is_open(shown.url)
    assert view_threads() == []


def test_a_run_that_fails_before_all_of_its_views_begin_ends_its_page(capsys):
    @ps.operator
    def fail():
        raise RuntimeError("on purpose")
        yield

    for _ in range(10):  # which of them begin is chance
        with pytest.raises(RuntimeError, match="on purpose"):
            ps.run(*(ps.view(fail(name=f"source{n}")) for n in range(4)))
        assert eventually(lambda: view_threads() == [])
    assert not any(map(is_open, Printed(capsys).urls()))


def test_two_runs_at_once_have_a_page_each(capsys):
    feeds = [ps.feed(name=name) for name in ("a", "b")]
    runs = [ps.start(ps.view(feed)) for feed in feeds]
    printed = Printed(capsys)
    assert eventually(lambda: len(printed.urls()) == 2)
    feeds[0].put(colour(1, 1, 1))
    sources = [[t["source"] for t in ask_until(url, lambda a: True).tiles] for url in printed.urls()]
    assert sorted(map(len, sources)) in ([0, 0], [0, 1])
    for feed, run in zip(feeds, runs, strict=True):
        feed.close()
        run.wait(20)


def test_a_port_can_be_chosen(capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(2):  # again at once
        shown = Shown(capsys, lambda flow: ps.view(ps.view(flow, port=port)))
        assert urlsplit(shown.url).port == port
        ask(shown.url)
        shown.end()


def test_a_port_that_is_taken_is_named(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ps.MediaError, match=f"port {port} .*can't be had"):
            ps.run(ps.view(listed([colour(0, 0, 0)]), port=port))
    assert view_threads() == []


def test_a_forked_child_does_not_keep_the_port(tmp_path):
    check_python(
        """
        import os, socket, sys, time
        import numpy as np
        import penstock as ps
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        feed = ps.feed()
        run = ps.start(ps.view(feed, port=port))
        feed.put(np.zeros((4, 4, 3), np.uint8))
        while run.stats().operators["view"].activations == 0:
            time.sleep(0.01)
        begins, goes = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(goes, b"!")
            time.sleep(60)
            os._exit(0)
        os.read(begins, 1)  # what it had of the parent's is closed by now
        feed.close()
        run.wait(20)
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))
            again.listen()
        os.kill(child, 9)
        os.waitpid(child, 0)
        """
    )
