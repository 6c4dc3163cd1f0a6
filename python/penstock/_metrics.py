"""``/metrics`` for Prometheus: what the runs of this process count, as text, while they run."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from . import _run, memory
from ._device import devices
from .errors import Error

if TYPE_CHECKING:
    from ._run import Run

DEFAULT_PORT = 9464
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_POLL_S = 0.02
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_Labels = dict[str, str]


@dataclass
class _Family:
    """One metric: its samples by suffix and labels."""

    name: str
    kind: str
    help: str
    samples: list[tuple[str, _Labels, float]] = field(default_factory=list)

    def add(self, labels: _Labels, value: float, suffix: str = "") -> None:
        self.samples.append((suffix, labels, value))

    def lines(self) -> Iterator[str]:
        if not self.samples:
            return
        yield f"# HELP {self.name} {_escape(self.help)}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.samples:
            named = ",".join(f'{name}="{_escape_label(text)}"' for name, text in labels.items())
            yield f"{self.name}{suffix}{{{named}}} {_number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _escape_label(text: str) -> str:
    return _escape(text).replace('"', r"\"")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def exposition(runs: Iterable[tuple[int, dict[str, Any]]]) -> str:
    """The text for runs, each a number and what ``_Run.stats`` gives, with times as Metrics has them."""
    families = [*_run_families(list(runs)), *_memory_families()]
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _run_families(runs: list[tuple[int, dict[str, Any]]]) -> list[_Family]:
    seconds = _Family("penstock_run_seconds", "gauge", "How long the run has taken until now.")
    workers = _Family("penstock_run_workers", "gauge", "Threads of C++ operators.")
    families = [seconds, workers]
    for number, stats in runs:
        labels = {"run": str(number)}
        seconds.add(labels, stats["seconds"])
        workers.add(labels, stats["workers"])
    families += _operator_families(runs)
    families += _edge_families(runs)
    latency = _Family("penstock_latency_seconds", "summary", "From a source's emission to the end of a sink's work.")
    for number, stats in runs:
        for one in stats["latencies"]:
            source, sink = one["key"]
            _add_quantiles(latency, {"run": str(number), "source": source, "sink": sink}, one)
            latency.add({"run": str(number), "source": source, "sink": sink}, one["count"], "_count")
    return [*families, latency]


def _operator_families(runs: list[tuple[int, dict[str, Any]]]) -> list[_Family]:
    activations = _Family("penstock_operator_activations_total", "counter", "Times that the operator ran.")
    busy = _Family("penstock_operator_busy_seconds_total", "counter", "Time that its instances ran, added up.")
    skipped = _Family("penstock_operator_skipped_total", "counter", "Activations whose exception was passed over.")
    unmatched = _Family("penstock_operator_unmatched_total", "counter", "Messages that a route had no case for.")
    instances = _Family("penstock_operator_instances", "gauge", "Instances of the operator.")
    duration = _Family("penstock_operator_duration_seconds", "summary", "How long one activation takes.")
    for number, stats in runs:
        for one in stats["operators"]:
            labels = {"run": str(number), "operator": one["name"]}
            activations.add(labels, one["activations"])
            busy.add(labels, one["busy_s"])
            skipped.add(labels, one["skipped"])
            unmatched.add(labels, one["unmatched"])
            instances.add(labels, len(one["lanes"]))
            _add_quantiles(duration, labels, one)
            duration.add(labels, one["busy_s"], "_sum")
            duration.add(labels, one["activations"], "_count")
    return [activations, busy, skipped, unmatched, instances, duration]


def _edge_families(runs: list[tuple[int, dict[str, Any]]]) -> list[_Family]:
    counters = {
        "passed": _Family("penstock_edge_messages_total", "counter", "Messages that were put into the edge."),
        "dropped": _Family("penstock_edge_dropped_total", "counter", "Messages dropped by policy or by age."),
        "unpaired": _Family("penstock_edge_unpaired_total", "counter", "Messages whose partner did not come."),
        "copies": _Family("penstock_edge_copies_total", "counter", "Messages copied because they are written."),
        "depth": _Family("penstock_edge_depth", "gauge", "Messages in the edge."),
        "capacity": _Family("penstock_edge_capacity", "gauge", "Messages that the edge has room for."),
    }
    blocked = _Family("penstock_edge_blocked_seconds_total", "counter", "Time that the sender waited for room.")
    for number, stats in runs:
        for one in stats["edges"]:
            labels = {"run": str(number), **dict(zip(("from", "from_port", "to", "to_port"), one["key"], strict=True))}
            for key, family in counters.items():
                family.add(labels, one[key])
            blocked.add(labels, one["blocked_s"])
    return [*counters.values(), blocked]


def _add_quantiles(family: _Family, labels: _Labels, one: dict[str, Any]) -> None:
    for quantile, key in (("0.5", "p50"), ("0.99", "p99")):
        family.add({**labels, "quantile": quantile}, one[key])


_MEMORY = (
    ("bytes_live", "live_bytes", "gauge", "Memory of the cache that is in use."),
    ("bytes_idle", "idle_bytes", "gauge", "Memory of the cache that is kept for reuse."),
    ("bytes_peak", "peak_bytes", "gauge", "The most that was live and idle together."),
    ("blocks", "blocks", "gauge", "Blocks of the cache."),
    ("hits", "hits_total", "counter", "Allocations that the cache answered."),
    ("misses", "misses_total", "counter", "Allocations that took new memory."),
    ("waits", "waits_total", "counter", "Allocations that waited for memory in use."),
    ("steals", "steals_total", "counter", "Blocks taken over from another stream."),
    ("evictions", "evictions_total", "counter", "Blocks given back because of the limit."),
)


def _memory_families() -> list[_Family]:
    families = {key: _Family(f"penstock_memory_{name}", kind, text) for key, name, kind, text in _MEMORY}
    for device in devices():
        stats = memory.stats(device)
        for key, family in families.items():
            family.add({"device": str(device)}, stats[key])
    return list(families.values())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
        if self.server.is_local and host not in _LOOPBACK:
            self._answer(403, "text/plain", b"this server is for the machine that it runs on\n")
        elif self.path.split("?")[0] != "/metrics":
            self._answer(404, "text/plain", b"the metrics are at /metrics\n")
        else:
            self._answer(200, CONTENT_TYPE, self.server.text().encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """stderr is the program's."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], metrics: Metrics) -> None:
        super().__init__(address, _Handler)
        self.is_local = address[0] in _LOOPBACK
        self.text = metrics.text


class Metrics:
    """Serves the runs of this process: from the beginning of the first until the last one that is there is over."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._runs: dict[int, Run] = {}
        self._count = 0
        self._highest: dict[tuple[int, str, int], float] = {}

    @property
    def url(self) -> str | None:
        """Where it answers; None while nothing runs."""
        server = self._server
        if server is None:
            return None
        host, port = server.server_address[:2]
        return f"http://{host!s}:{port}/metrics"

    def open(self, nodes: object = None) -> None:
        """Takes the port, if it has not: before a graph is built, so that a port in use is an error in time."""
        with self._lock:
            if self._server is not None:
                return
            try:
                self._server = _Server(self._address, self)
                self._address = (self._address[0], self._server.server_port)  # the next time too
            except OSError as error:
                host, port = self._address
                raise Error(
                    f"metrics: can't listen on {host}:{port}: {error.strerror}; name another port, or 0 for any"
                ) from error
            threading.Thread(
                target=self._server.serve_forever, args=(_POLL_S,), name="penstock-metrics", daemon=True
            ).start()

    def begun(self, run: Run) -> None:
        with self._lock:
            self._count += 1
            number = self._count
            self._runs[number] = run
        run._core.on_end(lambda: self._end(number))

    def over(self, run: Run) -> None:
        with self._lock:
            numbers = [number for number, one in self._runs.items() if one is run]
        for number in numbers:
            self._end(number)

    def text(self) -> str:
        """What a scrape gets."""
        with self._lock:
            runs = list(self._runs.items())
        return exposition((number, self._with_times(number, run._core.stats())) for number, run in runs)

    def _with_times(self, number: int, stats: dict[str, Any]) -> dict[str, Any]:
        """``busy_s`` and ``blocked_s``, which never fall: they are read while they grow, and a counter that fell would
        look like a new process.
        """
        for kind, word in (("operators", "busy"), ("edges", "blocked")):
            for place, one in enumerate(stats[kind]):
                key = (number, kind, place)
                self._highest[key] = max(self._highest.get(key, 0.0), one[word] * stats["seconds"])
                one[f"{word}_s"] = self._highest[key]
        return stats

    def _end(self, number: int) -> None:
        with self._lock:
            self._runs.pop(number, None)
            self._highest = {key: value for key, value in self._highest.items() if key[0] != number}
            if self._runs or self._server is None:
                return
            self._server.shutdown()  # under the lock: the next run may want the port
            self._server.server_close()
            self._server = None


_asked: Metrics | None = None


def serve(host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> Metrics:
    """Serves every run of this process from now on."""
    global _asked
    if _asked is None:
        _asked = Metrics(host, port)
        _run.preparations.append(_asked.open)
        _run.watchers.append(_asked)
    return _asked


def serve_as_asked(text: str) -> None:
    """By the environment: ``PENSTOCK_METRICS=PORT`` or ``HOST:PORT``; empty or "off" for not."""
    if _asked is None and text not in ("", "off"):
        serve(*address_of(text))


def address_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise Error(f"metrics: {text!r} is no port; expected PORT or HOST:PORT, as in 9464")
    return host.strip("[]") or "127.0.0.1", int(port)
