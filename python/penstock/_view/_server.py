"""The web server of a page: on loopback only, for who has the token."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import threading
import weakref
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ..errors import MediaError

if TYPE_CHECKING:
    from ._page import Page

_HOST = "127.0.0.1"
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_MAX_CONNECTIONS = 64

_servers: weakref.WeakSet[Server] = weakref.WeakSet()


class Server:
    """A thread that accepts, and one for each connection; all are over when close() returns."""

    def __init__(self, page: Page, port: int) -> None:
        self.page = page
        self.token = secrets.token_urlsafe(24)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((_HOST, port))
            self._listener.listen(16)
        except OSError as error:
            self._listener.close()
            raise MediaError(
                f"view: port {port} of {_HOST} can't be had: {error.strerror}; "
                "choose another, or leave port= out for one that is free"
            ) from error
        self.url = f"http://{_HOST}:{self._listener.getsockname()[1]}/{self.token}/"
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="penstock-view", daemon=True)
        _servers.add(self)

    def start(self) -> None:
        self._acceptor.start()

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            connections = dict(self._connections)
        for connection in (self._listener, *connections):
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in (self._acceptor, *connections.values()):
            thread.join()
        self._listener.close()

    def forget(self) -> None:
        """In a forked child: the parent's sockets."""
        for connection in (self._listener, *self._connections):
            connection.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                if self._closed.is_set():
                    return
                continue  # who came has gone again
            thread = threading.Thread(
                target=self._serve, args=(connection, address), name="penstock-view-client", daemon=True
            )
            with self._lock:
                if self._closed.is_set() or len(self._connections) >= _MAX_CONNECTIONS:
                    connection.close()
                    continue
                self._connections[connection] = thread
                thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        with contextlib.suppress(OSError):  # the browser has gone
            _Handler(connection, address, self)  # type: ignore[arg-type]
        with self._lock:
            self._connections.pop(connection, None)
        connection.close()


def _forget_all() -> None:
    for server in list(_servers):
        server.forget()


os.register_at_fork(after_in_child=_forget_all)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Penstock"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True
    server: Any

    def do_GET(self) -> None:
        path = self._allowed_path()
        if path is None:
            return
        url = urlsplit(path)
        if url.path == "next":
            self._answer_next(parse_qs(url.query))
        elif url.path == "bye":
            self._answer(200, "text/plain; charset=utf-8", b"")
            self.server.page.note_gone(parse_qs(url.query).get("client", [""])[0])
        elif url.path in _FILES:
            if url.path == "":
                self.server.page.note_loading()
            name, type = _FILES[url.path]
            self._answer(200, type, (Path(__file__).parent / name).read_bytes())
        else:
            self._refuse(404, "There is nothing here.")

    def _refuse_method(self) -> None:
        if self._allowed_path() is not None:
            self._refuse(405, "Only GET is answered here.")

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method

    def _allowed_path(self) -> str | None:
        """What is asked for, after the token; None when it was refused."""
        # A name that somebody pointed at this machine would be another origin's way in.
        host = (self.headers.get("Host") or "").rpartition(":")
        name = host[0] if host[2].isdigit() else "".join(host)
        token, slash, rest = self.path.removeprefix("/").partition("/")
        is_right = hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode())
        if name.lower() not in _NAMES or not is_right:
            self._refuse(403, "This page opens by the whole address that the program printed.")
            return None
        if not slash:
            self._answer(308, "text/plain; charset=utf-8", b"", Location=f"/{token}/")
            return None
        return rest

    def _answer_next(self, query: dict[str, list[str]]) -> None:
        def of(name: str, default: str) -> str:
            return query.get(name, [default])[0][:10_000]

        try:
            pairs = [pair.split(".") for pair in of("seen", "").split(",") if pair]
            seen = {int(key): int(serial) for key, serial in pairs}
            width = min(max(int(of("width", "640")), 1), 8192)
        except ValueError:
            self._refuse(400, "This question makes no sense.")
            return
        wanted = of("frames", "all")
        self._answer(200, "application/octet-stream", self.server.page.answer(of("client", ""), seen, width, wanted))

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True  # a body that came along is not read
        self._answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _answer(self, status: int, type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: stderr belongs to the program."""
