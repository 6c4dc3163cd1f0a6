"""Views as the pipeline and a program that asks see them; the server is in test_view_server.py, the page in
test_view_page.py.
"""

import sys
import threading
import weakref
from urllib.parse import urlsplit

import numpy as np
import pytest
from graphs import Gate, collect, eventually, listed
from helpers import is_gone
from views import Printed, Shown, ask, ask_until, colour, request, with_frames

import penstock as ps
from penstock._view import _encoding, _page

cv2 = pytest.importorskip("cv2")


def picture_of(file):
    """RGB pixels."""
    decoded = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


def test_frames_pass_as_they_are_and_the_address_is_printed_once(capsys):
    frames = [colour(n, 0, 0) for n in range(20)]
    found = collect(ps.view(listed(frames)))
    assert [id(frame) for frame in found] == [id(frame) for frame in frames]
    urls = Printed(capsys).urls()
    assert len(urls) == 1
    assert urls[0].startswith("http://127.0.0.1:")
    assert len(urlsplit(urls[0]).path) > 20


def test_a_view_is_an_end_too(capsys):
    assert ps.run(ps.view(listed([colour(1, 2, 3)]))).operators["view"].activations == 1


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (1, 1), (3, 500)])
def test_an_answer_holds_the_newest_frame_and_what_is_said_of_it(capsys, size):
    pytest.importorskip("av", reason="without it pictures are bitmaps")
    shown = Shown(capsys)
    shown.put(colour(200, 30, 60, size))
    answer = ask_until(shown.url, with_frames)
    (tile,) = answer.tiles
    assert (tile["source"], tile["number"], tile["size"]) == ("cam", 0, [size[1], size[0]])
    assert tile["type"] == "image/jpeg"
    picture = picture_of(answer.files[0])
    assert picture.shape == (*size, 3)
    assert np.allclose(picture, (200, 30, 60), atol=4)
    for n in range(1, 4):
        shown.put(colour(10 * n, 0, 200, size))
    answer = ask_until(shown.url, lambda a: a.tiles[0]["number"] == 3)
    assert np.allclose(picture_of(answer.files[0]), (30, 0, 200), atol=4)
    assert ask(shown.url, seen=f"0.{answer.tiles[0]['serial']}").files == []
    shown.end()


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1)])
def test_gray_frames(capsys, shape):
    shown = Shown(capsys)
    shown.put(np.full(shape, 130, np.uint8))
    assert np.allclose(picture_of(ask_until(shown.url, with_frames).files[0]), 130, atol=3)
    shown.end()


def test_large_frames_are_sent_as_large_as_they_are_shown(capsys):
    shown = Shown(capsys)
    shown.put(colour(1, 2, 3, (900, 1600)))
    assert picture_of(ask_until(shown.url, with_frames, width=300).files[0]).shape == (180, 320, 3)
    assert picture_of(ask(shown.url, width=5000).files[0]).shape == (900, 1600, 3)
    shown.end()


@pytest.mark.parametrize("shape", [(33, 47, 3), (48, 64), (5, 6, 1)])
def test_without_pyav_frames_are_sent_as_bitmaps(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    file = _encoding.BitmapEncoder().encode(image, 640)
    expected = image if len(shape) == 3 and shape[2] == 3 else np.repeat(image.reshape(*shape[:2], 1), 3, 2)
    assert np.array_equal(picture_of(file), expected)
    wide = _encoding.BitmapEncoder().encode(np.repeat(image, 40, 1), 320)
    assert picture_of(wide).shape[1] <= 640


def test_bitmaps_are_chosen_when_pyav_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert _encoding.encoder().type == "image/bmp"


def test_nothing_is_encoded_while_nobody_looks(capsys, monkeypatch):
    encoded = []

    class Counting(_encoding.BitmapEncoder):
        def encode(self, image, width):
            encoded.append(threading.current_thread().name)
            return super().encode(image, width)

    monkeypatch.setattr(_page, "encoder", Counting)
    shown = Shown(capsys)
    for n in range(100):
        shown.put(colour(n, 0, 0))
    assert eventually(lambda: shown.run.stats().operators["view"].activations == 100)
    assert ask(shown.url, frames="none").files == []
    assert encoded == []
    assert ask(shown.url).files
    assert encoded == ["penstock-view-client"]
    assert ask(shown.url, client="another").files  # the same file again
    assert len(encoded) == 1
    shown.end()


def test_a_slow_encoder_holds_nothing_up_and_the_newest_frame_comes_next(capsys, monkeypatch):
    gate = Gate()

    class Slow(_encoding.BitmapEncoder):
        def encode(self, image, width):
            gate.wait()
            return super().encode(image, width)

    monkeypatch.setattr(_page, "encoder", Slow)
    shown = Shown(capsys)
    shown.put(colour(0, 0, 0))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask_until(shown.url, with_frames)))
    asking.start()
    gate.wait_entered()
    for n in range(1, 200):
        shown.put(colour(n, 0, 0), timeout=10)
    assert eventually(lambda: shown.run.stats().operators["view"].activations == 200)
    gate.open()
    asking.join(20)
    assert answers[0].tiles[0]["number"] == 0
    answer = ask(shown.url, seen=f"0.{answers[0].tiles[0]['serial']}")
    assert (answer.tiles[0]["number"], picture_of(answer.files[0])[0, 0, 0]) == (199, 199)
    shown.end()


def test_who_is_watching_is_told_of_the_end_with_the_last_frame(capsys):
    shown = Shown(capsys)
    shown.put(colour(1, 1, 1))
    first = ask_until(shown.url, with_frames)
    answers = []

    def follow():
        seen = first.tiles[0]["serial"]
        while not answers or not answers[-1].state["ended"]:
            answers.append(ask(shown.url, seen=f"0.{seen}", client="watcher"))
            seen = answers[-1].tiles[0].get("serial", seen)
        request(shown.url, path=f"{urlsplit(shown.url).path}bye?client=watcher")

    following = threading.Thread(target=follow)
    following.start()
    assert eventually(lambda: answers)
    shown.put(colour(200, 200, 200))
    shown.end()
    following.join(20)
    assert answers[-1].state["ended"]
    pictures = [file for answer in answers for file in answer.files]
    assert np.allclose(picture_of(pictures[-1]), 200, atol=3)


def test_views_of_a_run_share_a_page_and_each_source_has_a_tile(capsys):
    @ps.operator
    def darker(frame):
        return frame // 2

    feeds = [ps.feed(name=f"cam{n}") for n in (1, 2)]
    raw = ps.view(ps.merge(*feeds), name="raw")
    run = ps.start(ps.view(darker(raw), name="dark"))
    for n, feed in enumerate(feeds, 1):
        feed.put(colour(100 * n, 0, 0))
    printed = Printed(capsys)
    answer = ask_until(printed.url(), lambda a: len(a.files) == 4)
    tiles = {(tile["view"], tile["source"]): file for tile, file in zip(answer.tiles, answer.files, strict=True)}
    means = {key: round(float(picture_of(file)[..., 0].mean()), -1) for key, file in tiles.items()}
    assert means == {("raw", "cam1"): 100, ("raw", "cam2"): 200, ("dark", "cam1"): 50, ("dark", "cam2"): 100}
    for feed in feeds:
        feed.close()
    run.wait(20)
    assert len(printed.urls()) == 1


def test_views_that_wait_for_their_first_frame_are_named(capsys):
    shown = Shown(capsys, lambda flow: (ps.view(flow), ps.view(flow)))
    answer = ask(shown.url)
    assert (answer.tiles, answer.state["waiting"]) == ([], ["view", "view_2"])
    shown.end()


def test_wrong_uses_are_refused():
    flow = listed([colour(0, 0, 0)])
    for port in (-1, 65536, "80", True):
        with pytest.raises(ps.GraphError, match="port="):
            ps.view(flow, port=port)
    with pytest.raises(ps.GraphError, match="1024 and 1025"):
        ps.run(ps.view(flow, port=1024), ps.view(flow, port=1025))
    with pytest.raises(ps.ArgumentTypeError, match="expected a flow"):
        ps.view(colour(0, 0, 0))
    with pytest.raises(ps.GraphError, match="nothing to show"):
        ps.view([])


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros(7, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=str,
)
def test_what_is_no_frame_is_refused(frame, capsys):
    with pytest.raises(ps.TensorError, match="look: a frame is"):
        ps.run(ps.view(listed([frame]), name="look"))


@pytest.mark.host
def test_who_writes_into_frames_later_does_not_change_what_is_shown(capsys):
    @ps.operator
    def own(gray):
        frame = ps.zeros((48, 64, 3), "uint8", layout="HWC")
        frame.numpy()[:] = gray
        return frame

    @ps.operator(writes="frame")
    def erase(frame):
        frame.numpy()[:] = 0
        return frame

    shown = Shown(capsys, lambda flow: erase(ps.view(own(flow))))
    shown.put(150)
    assert eventually(lambda: shown.run.stats().operators["erase"].activations == 1)
    assert np.allclose(picture_of(ask_until(shown.url, with_frames).files[0]), 150, atol=3)
    stats = shown.end()
    assert stats.edges["view", "out", "erase", "frame"].copies == 1


def test_while_nobody_looks_few_frames_are_held(capsys):
    @ps.operator
    def own():
        for _ in range(300):
            yield ps.zeros((4, 4), "uint8")

    @ps.operator(writes="frame")
    def erase(frame):
        return None

    stats = ps.run(erase(ps.view(own())))
    assert stats.edges["view", "out", "erase", "frame"].copies < 30


def test_after_the_end_no_frame_is_held(capsys):
    made = []

    @ps.operator
    def frames():
        for n in range(3):
            frame = colour(n, 0, 0)
            made.append(weakref.ref(frame))
            yield frame
            del frame

    flow = ps.view(frames())
    ps.run(flow)
    assert all(is_gone(frame) for frame in made)
    assert len(made) == 3
    del flow


def test_a_flow_can_be_viewed_again_and_again(capsys):
    flow = ps.view(listed([colour(1, 2, 3)]))
    for _ in range(2):
        assert ps.run(flow).operators["view"].activations == 1
    assert len(set(Printed(capsys).urls())) == 2
