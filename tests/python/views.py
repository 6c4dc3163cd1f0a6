"""What tests of pages share: finding the address that was printed, and asking as the page does."""

from __future__ import annotations

import http.client
import json
import re
import struct
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from graphs import eventually

import penstock as ps


def colour(red, green, blue, size=(48, 64)):
    """A frame of one colour."""
    frame = np.empty((*size, 3), np.uint8)
    frame[:] = (red, green, blue)
    return frame


class Printed:
    """What a program said on stderr since it was made."""

    def __init__(self, capsys):
        self._capsys = capsys
        self.text = ""

    def urls(self):
        self.text += self._capsys.readouterr().err
        return re.findall(r"http://\S+", self.text)

    def url(self):
        assert eventually(self.urls), f"no address was printed: {self.text!r}"
        return self.urls()[0]


class Shown:
    """A view of a flow that the test feeds, running."""

    def __init__(self, capsys, build=ps.view, **options):
        self.feed = ps.feed(capacity=64, name="cam")
        self.run = ps.start(build(self.feed), **options)
        self.printed = Printed(capsys)
        self.url = self.printed.url()
        self.put = self.feed.put

    def end(self):
        self.feed.close()
        return self.run.wait(20)


@dataclass
class Answer:
    state: dict
    files: list

    @property
    def tiles(self):
        return self.state["tiles"]


def request(url, method="GET", path=None, **headers):
    """(status, headers, body)"""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        connection.request(method, parts.path if path is None else path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def ask(url, seen="", width=640, frames="all", client=""):
    status, _, body = request(
        url, path=f"{urlsplit(url).path}next?client={client}&width={width}&frames={frames}&seen={seen}"
    )
    assert status == 200, body
    (length,) = struct.unpack("<I", body[:4])
    state = json.loads(body[4 : 4 + length])
    files, at = [], 4 + length
    for tile in state["tiles"]:
        if "bytes" in tile:
            files.append(body[at : at + tile["bytes"]])
            at += tile["bytes"]
    assert at == len(body)
    return Answer(state, files)


def ask_until(url, condition, **question):
    """The first answer that fits."""
    found = []

    def asked():
        found[:] = [ask(url, **question)]
        return condition(found[0])

    assert eventually(asked), found
    return found[0]


def with_frames(answer):
    return answer.files


def view_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("penstock-view")]
