"""What the views of one run show, and to whom. All of it may be used from any thread."""

from __future__ import annotations

import json
import struct
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from ._encoding import encoder
from ._server import Server

_LOOK_S = 2.0  # after that without a request nobody looks
_IDLE_STEP_S = 0.5  # while nobody looks a frame in so long is kept, so that who comes sees one
_ANSWER_S = 1.0  # the longest that a request waits for news
_FAREWELL_S = 2.0  # the longest that the end waits until all browsers know of it
_GONE_S = 2.5  # a browser that has not asked for so long is gone
_LOADING_S = 1.0  # the same for one that has loaded the page alone
_OTHERS_S = 0.5  # a view that has not begun so long after the others ended never will
_RATE_S = 3.0  # of which a rate is the mean


class Tile:
    """The newest frame of one source in one view."""

    def __init__(self, page: Page, key: int, view: str, source: str) -> None:
        self.key = key
        self.view = view
        self.source = source
        self.serial = 0
        self.number = 0
        self._page = page
        self._frame: Any = None
        self._size = (0, 0)
        self._kept_s = 0.0
        self._arrivals: deque[float] = deque(maxlen=128)
        self._encoding = threading.Lock()  # taken before the page's
        self._encoder = encoder()
        self._encoded: tuple[int, int, bytes] = (0, 0, b"")  # serial, width asked for, file

    def put(self, image: Any, number: int) -> None:
        """A new frame. It is not copied: it stays alive until a newer one comes."""
        now = time.monotonic()
        with self._page.news:
            self._arrivals.append(now)
            if self.serial and not self._page.is_watched(now) and now - self._kept_s < _IDLE_STEP_S:
                return
            self._kept_s = now
            self._frame, self.number = image, number
            self._size = (image.shape[1], image.shape[0])
            self.serial += 1
            self._page.news.notify_all()

    def rate(self) -> float:
        """Frames a second that come, whoever looks. With the page's lock."""
        since = time.monotonic() - _RATE_S
        recent = [arrival for arrival in self._arrivals if arrival > since]
        span = recent[-1] - recent[0] if len(recent) > 1 else 0.0
        return (len(recent) - 1) / span if span > 0 else 0.0

    def file(self, width: int) -> tuple[dict[str, Any], bytes]:
        """The newest frame as a file, with what is said of it. The frame's work is waited for here."""
        with self._encoding:
            with self._page.news:
                frame, serial = self._frame, self.serial
                about = {**self.about(), "serial": serial, "type": self._encoder.type}
            if self._encoded[:2] != (serial, width):
                self._encoded = (serial, width, self._encoder.encode(frame.cpu().numpy(), width))
            return about, self._encoded[2]

    def about(self) -> dict[str, Any]:
        """What is said of it. With the page's lock."""
        return {
            "key": self.key,
            "view": self.view,
            "source": self.source,
            "number": self.number,
            "size": self._size,
            "rate": round(self.rate(), 1),
        }


class Page:
    """The page of a run: served from when its first view begins until its last one has ended."""

    def __init__(self, views: list[str], port: int) -> None:
        self.news = threading.Condition()
        self._views = views
        self._port = port
        self._program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "Penstock"
        self._awaited = set(views)
        self._active = 0
        self._tiles: list[Tile] = []
        self._server: Server | None = None
        self._is_over = False
        self._looked_s = float("-inf")
        self._clients: dict[str, float] = {}  # when each browser asked last

    # The views' side.

    def open(self, view: str) -> None:
        """A view begins. MediaError if the port can't be had."""
        with self.news:
            self._is_over = False
            if self._server is None:
                self._server = Server(self, self._port)
                self._server.start()
                if sys.stderr is not None:
                    print(f"view: {self._server.url}", file=sys.stderr, flush=True)
            self._awaited.discard(view)
            self._active += 1

    def close(self) -> None:
        """A view has ended; with the last one the page does."""
        with self.news:
            self._active -= 1
            if self._active:
                return
            is_whole = not self._awaited
        if is_whole:
            self._end()
            return
        # A run that failed early may never begin the others.
        timer = threading.Timer(_OTHERS_S, self._end)
        timer.daemon = True
        timer.start()

    def add_tile(self, view: str, source: str) -> Tile:
        """A place for a source that came."""
        with self.news:
            for tile in self._tiles:  # there is one when an operator was restarted
                if (tile.view, tile.source) == (view, source):
                    return tile
            tile = Tile(self, len(self._tiles), view, source)
            self._tiles.append(tile)
            return tile

    def is_watched(self, now: float) -> bool:
        """Somebody looks at frames."""
        return now - self._looked_s < _LOOK_S

    def _end(self) -> None:
        with self.news:
            server = self._server
            if self._active or server is None:
                return
            self._is_over = True
            self.news.notify_all()
            self.news.wait_for(lambda: self._active or not self._present(), _FAREWELL_S)
            if not self._is_over:  # another view began meanwhile
                return
            self._server = None
        server.close()
        self._tiles.clear()  # and with them the frames

    def _present(self) -> list[str]:
        since = time.monotonic() - _GONE_S
        return [client for client, asked_s in self._clients.items() if asked_s > since]

    # The browsers' side.

    def note_loading(self) -> None:
        """A browser begins to load the page, so it will ask soon."""
        with self.news:
            self._clients[""] = time.monotonic() - _GONE_S + _LOADING_S

    def note_gone(self, client: str) -> None:
        """A browser has been told of the end, or was closed. It says so itself: an answer that was sent may be to a
        question that it gave up for another.
        """
        with self.news:
            self._clients.pop(client, None)
            self.news.notify_all()

    def answer(self, client: str, seen: dict[int, int], width: int, wanted: str) -> bytes:
        """Waits for news and gives an answer.

        ``client``: who asks, and will until the end is told; "" for who asks once. ``seen``: serial numbers of the
        frames that the browser has. ``wanted``: frames of "all", "none" or one tile.
        The answer: the length of a JSON text as 4 bytes, the text, and the files of the tiles that have ``bytes``.
        """

        def fresh() -> list[Tile]:
            tiles = [tile for tile in self._tiles if wanted == "all" or wanted == str(tile.key)]
            return [tile for tile in tiles if tile.serial > seen.get(tile.key, 0)]

        with self.news:
            self._clients.pop("", None)
            self._clients = {one: self._clients[one] for one in self._present()}
            if client:
                self._clients[client] = time.monotonic()
            if wanted != "none":
                self._looked_s = time.monotonic()
            self.news.wait_for(lambda: self._is_over or fresh(), _ANSWER_S)
            new = fresh()
            told = {tile.key: tile.about() for tile in self._tiles}
            with_frames = {tile.view for tile in self._tiles}
            state: dict[str, Any] = {
                "program": self._program,
                "ended": self._is_over,
                "views": self._views,
                "waiting": [view for view in self._views if view not in with_frames],
            }
        files = []
        for tile in new:
            try:
                about, file = tile.file(width)
            except Exception as error:  # of the work that made the frame, which the pipeline meets too
                told[tile.key].update(problem=str(error), serial=tile.serial)
                continue
            told[tile.key] = {**about, "bytes": len(file)}
            files.append(file)
        # The files are in the order of the tiles.
        state["tiles"] = [told[key] for key in sorted(told)]
        text = json.dumps(state).encode()
        return b"".join([struct.pack("<I", len(text)), text, *files])
