"""Cameras for the tests: an RTSP server and an HTTP server on this machine, which can be cut and come back."""

from __future__ import annotations

import base64
import contextlib
import http.server
import re
import socket
import socketserver
import struct
import threading
import time

import pytest

av = pytest.importorskip("av")

_CLOCK = 90_000
_MAX_PAYLOAD = 1400


class _Cuttable(socketserver.ThreadingMixIn):
    """Knows its connections, so that they can be cut."""

    daemon_threads = True
    allow_reuse_address = True

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # a connection that was cut


class _TcpServer(_Cuttable, socketserver.TCPServer):
    request_queue_size = 64


class _HttpServer(_Cuttable, http.server.HTTPServer):
    request_queue_size = 64


class Server:
    """Listens until close(); cut() ends the connections that there are, down() the listening too until up()."""

    def __init__(self, make, scheme):
        self._make = make
        self._scheme = scheme
        self._port = 0
        self.accepted = 0
        self.up()

    def url(self, path):
        return f"{self._scheme}://127.0.0.1:{self._port}/{path}"

    def up(self):
        self._server = self._make(("127.0.0.1", self._port))
        self._server.connections = set()
        self._server.owner = self
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def cut(self):
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def down(self):
        self._server.shutdown()
        self._server.server_close()
        self.cut()
        self._thread.join()

    close = down


def rtsp_server(path, rate=25, *, loop=False, silent_after=None, seconds=None):
    """Serves an H.264 file at ``rate`` frames a second, over the RTSP connection itself. ``loop``: for ever;
    ``silent_after``: sends nothing more after so many frames; ``seconds``: says that it has an end.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        units = [_units(bytes(packet)) for packet in container.demux(stream) if packet.size]
    parameters = [unit for unit in units[0] if unit[0] & 31 in (7, 8)]

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.server.owner.accepted += 1
            while True:
                line = self.rfile.readline().decode()
                if not line:
                    return
                if line[:1] == "$":
                    continue
                method, url = line.split()[:2]
                fields = {}
                while field := self.rfile.readline().decode().strip():
                    name, _, value = field.partition(":")
                    fields[name.lower()] = value.strip()
                self.answer(method, url, fields)
                if method == "PLAY":
                    self.play()
                    return

        def answer(self, method, url, fields):
            extra, body = "", ""
            if method == "OPTIONS":
                extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                body = _description(parameters, rate, seconds)
                extra = f"Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                extra = f"Transport: {fields['transport']}\r\nSession: 1;timeout=60\r\n"
            else:
                extra = "Session: 1\r\n"
            head = f"RTSP/1.0 200 OK\r\nCSeq: {fields['cseq']}\r\n{extra}\r\n"
            self.wfile.write((head + body).encode())

        def play(self):
            begun, number, sequence = time.monotonic(), 0, 0
            while loop or number < len(units):
                if number == silent_after:
                    self.rfile.read()  # until the other side leaves
                stamp = 1000 + number * _CLOCK // rate
                for payload, is_last in _payloads(units[number % len(units)]):
                    head = struct.pack("!BBHII", 0x80, 96 | (is_last << 7), sequence & 0xFFFF, stamp, 7)
                    packet = head + payload
                    self.wfile.write(b"$\0" + struct.pack("!H", len(packet)) + packet)
                    sequence += 1
                number += 1
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))

    return Server(lambda address: _TcpServer(address, Handler), "rtsp")


def _units(packet):
    """NAL units, of a stream with start codes."""
    return [unit for unit in re.split(rb"\x00\x00\x00?\x01", packet) if unit]


def _payloads(units):
    """RTP payloads (RFC 6184: single units, or fragments of type 28), and which is the frame's last."""
    parts = []
    for unit in units:
        if len(unit) <= _MAX_PAYLOAD:
            parts.append(unit)
            continue
        chunks = [unit[i : i + _MAX_PAYLOAD] for i in range(1, len(unit), _MAX_PAYLOAD)]
        for i, chunk in enumerate(chunks):
            mark = (i == 0) << 7 | (i == len(chunks) - 1) << 6 | unit[0] & 31
            parts.append(bytes([unit[0] & 0xE0 | 28, mark]) + chunk)
    return [(part, i == len(parts) - 1) for i, part in enumerate(parts)]


def _description(parameters, rate, seconds):
    sets = ",".join(base64.b64encode(unit).decode() for unit in parameters)
    length = f"a=range:npt=0-{seconds}\r\n" if seconds else ""
    return (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        f"{length}m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/{_CLOCK}\r\na=framerate:{rate}\r\n"
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\na=control:track1\r\n"
    )


def http_server(files):
    """Serves bytes by path: {path: (bytes, options)}. Options: ``type``, ``length`` (said or not), ``rate`` (bytes a second),
    ``stop_at`` (bytes after which the connection is cut, the first ``times`` times), ``stall_at``, ``status``.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.owner.accepted += 1
            content, options = files[self.path.strip("/")]
            if "status" in options:
                self.send_error(options["status"])
                return
            start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
            has_range = options.get("length", True) and start > 0
            self.send_response(206 if has_range else 200)
            if "type" in options:
                self.send_header("Content-Type", options["type"])
            if options.get("length", True):
                self.send_header("Content-Length", str(len(content) - (start if has_range else 0)))
                self.send_header("Accept-Ranges", "bytes")
            if has_range:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            self.send_content(content, start if has_range else 0, options)

        def send_content(self, content, at, options):
            stop_at = options.get("stop_at")
            if stop_at is not None and at < stop_at:
                if options.get("times", 1) <= 0:
                    stop_at = None
                options["times"] = options.get("times", 1) - 1
            begun, sent = time.monotonic(), 0
            while at < len(content):
                if stop_at is not None and at >= stop_at:
                    return
                if at >= options.get("stall_at", len(content)):
                    self.rfile.read()
                    return
                chunk = content[at : at + min(4096, (stop_at or len(content)) - at)]
                self.wfile.write(chunk)
                at, sent = at + len(chunk), sent + len(chunk)
                if "rate" in options:
                    time.sleep(max(0.0, begun + sent / options["rate"] - time.monotonic()))

        def log_message(self, *parts):
            pass

    return Server(lambda address: _HttpServer(address, Handler), "http")
