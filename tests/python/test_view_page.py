"""The page of a view in a browser without a window and without a network."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from urllib.parse import urlsplit

import pytest
from graphs import eventually, listed
from views import Printed, Shown, ask_until, colour, with_frames

import penstock as ps

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the package chromium")

PIXEL = """tile => {
  const shown = document.querySelectorAll(".tile canvas")[tile];
  if (!shown) return [-99, -99, -99];
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [shown.width, shown.height];
  const context = copy.getContext("2d");
  context.drawImage(shown, 0, 0);
  return [...context.getImageData(shown.width >> 1, shown.height >> 1, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as tools:
        # No host but this one is found.
        options = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Window:
    """A page whose complaints and requests are noted; there is no network."""

    def __init__(self, browser, **words):
        self.context = browser.new_context(**words)
        self.page = self.context.new_page()
        self.said = []
        self.outside = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request):
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.outside.append(request.url)

    def open(self, url):
        self.page.goto(url)
        return self

    def pixel(self, tile=0):
        return self.page.evaluate(PIXEL, tile)

    def shows(self, rgb, tile=0):
        """Becomes true as the page goes on, which it does only while it is asked."""
        return eventually(lambda: all(abs(a - b) < 6 for a, b in zip(self.pixel(tile), rgb, strict=True)))

    def text(self, selector):
        return self.page.locator(selector).first.text_content()

    def wait_tiles(self, count):
        assert eventually(lambda: self.page.locator(".tile:not(.empty)").count() == count)

    def wait_state(self, state):
        self.page.wait_for_selector(f"body[data-state={state}]", timeout=20_000)

    def close(self):
        """Nothing was complained of, and nothing asked of another host."""
        self.context.close()
        assert self.said == []
        assert self.outside == []


@pytest.fixture
def window(chromium):
    made = Window(chromium, viewport={"width": 1000, "height": 700})
    yield made
    made.close()


def test_the_newest_frame_is_drawn_again_and_again(capsys, window):
    shown = Shown(capsys)
    window.open(shown.url)
    window.page.wait_for_selector(".tile.empty")
    assert window.text(".notice") == "Waiting for the first frame"
    for n, rgb in enumerate([(200, 30, 60), (10, 240, 30), (40, 60, 220), (255, 255, 255)]):
        shown.put(colour(*rgb, (36, 64)))
        assert window.shows(rgb), window.pixel()
        assert window.text(".number") == f"#{n}"
    assert window.text(".source") == "cam"
    assert re.fullmatch(r"64\W×\W36", window.text(".size"))
    assert re.fullmatch(r"[\d.]+ fps", window.text(".rate"))
    assert window.text("#status") == "Live"
    shown.end()
    window.wait_state("ended")


def test_the_end_is_said_and_the_last_frame_stays(capsys, window):
    shown = Shown(capsys)
    window.open(shown.url)
    shown.put(colour(90, 90, 90))
    assert window.shows((90, 90, 90))
    shown.put(colour(20, 200, 20))
    shown.end()
    window.wait_state("ended")
    assert window.shows((20, 200, 20))
    assert window.text("#status") == "Ended, no more frames"
    assert not window.page.locator("#pause").is_visible()
    window.page.wait_for_timeout(1500)  # whatever it would still ask for would fail now, and be complained of


def test_a_run_without_frames_ends_well_too(capsys, window):
    shown = Shown(capsys)
    window.open(shown.url)
    window.page.wait_for_selector(".tile.empty")
    shown.end()
    window.wait_state("ended")
    assert window.text(".notice") == "No frame came"


def test_tiles_are_in_the_order_of_their_views(capsys, window):
    feeds = [ps.feed(name=name) for name in ("one", "two", "three")]
    run = ps.start(ps.view(ps.merge(*feeds[:2]), name="first"), ps.view(feeds[2], name="second"))
    page = window.open(Printed(capsys).url()).page

    def names():
        return page.evaluate("[...document.querySelectorAll('.source')].map(one => one.textContent)")

    assert eventually(lambda: names() == ["first", "second"])  # nothing came yet
    feeds[2].put(colour(1, 1, 1))
    assert eventually(lambda: names() == ["first", "three"])
    feeds[1].put(colour(1, 1, 1))
    assert eventually(lambda: names() == ["two", "three"])
    feeds[0].put(colour(1, 1, 1))
    assert eventually(lambda: names() == ["two", "one", "three"])
    for feed in feeds:
        feed.close()
    run.wait(20)
    window.wait_state("ended")


def test_pictures_have_their_proportions_and_all_fit(capsys, window):
    sizes = {"wide": (90, 160), "old": (120, 160), "tall": (160, 90), "odd": (33, 47)}
    feeds = [ps.feed(name=name) for name in sizes]
    run = ps.start(ps.view(ps.merge(*feeds)))
    for feed, size in zip(feeds, sizes.values(), strict=True):
        feed.put(colour(80, 120, 160, size))
    window.open(Printed(capsys).url())
    window.wait_tiles(4)
    boxes = window.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".tile")].map(tile => {
             const {width, height, bottom, right} = tile.querySelector("canvas").getBoundingClientRect();
             return [tile.querySelector(".source").textContent, [width / height, bottom, right]];
           }))"""
    )
    for name, (height, width) in sizes.items():
        ratio, bottom, right = boxes[name]
        assert ratio == pytest.approx(width / height, rel=0.02), name
        assert (bottom <= 700, right <= 1000) == (True, True), name
    for feed in feeds:
        feed.close()
    run.wait(20)
    window.wait_state("ended")


def test_the_keyboard_does_all_of_it(capsys, window):
    feeds = [ps.feed(name=name) for name in ("one", "two")]
    run = ps.start(ps.view(ps.merge(*feeds)))
    for feed in feeds:
        feed.put(colour(50, 50, 50))
    page = window.open(Printed(capsys).url()).page
    window.wait_tiles(2)

    def visible():
        return page.evaluate(
            """[...document.querySelectorAll(".tile")].filter(tile => tile.checkVisibility())
               .map(tile => tile.querySelector(".source").textContent).sort()"""
        )

    page.keyboard.press("Tab")  # to the button that pauses
    page.keyboard.press("Tab")  # to the first picture
    name = page.evaluate("document.activeElement.getAttribute('aria-label')").split(",")[0]
    page.keyboard.press("Enter")
    assert visible() == [name]
    page.keyboard.press("Escape")
    assert visible() == ["one", "two"]

    page.keyboard.press("p")
    window.wait_state("paused")
    assert page.get_attribute("#pause", "aria-pressed") == "true"
    before = window.pixel()
    for feed in feeds:
        feed.put(colour(220, 20, 20))
    page.wait_for_timeout(1500)
    assert window.pixel() == before
    page.keyboard.press("p")
    assert window.shows((220, 20, 20), 0)
    assert window.shows((220, 20, 20), 1)
    for feed in feeds:
        feed.close()
    run.wait(20)
    window.wait_state("ended")


def test_a_page_that_is_paused_hears_of_the_end(capsys, window):
    shown = Shown(capsys)
    shown.put(colour(1, 2, 3))
    window.open(shown.url)
    window.wait_state("live")
    window.page.click("#pause")
    window.wait_state("paused")
    shown.end()
    window.wait_state("ended")


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_narrow_and_wide_windows_light_and_dark(capsys, chromium, scheme, width):
    feeds = [ps.feed(name=f"camera with a rather long name {n}") for n in range(5)]
    run = ps.start(ps.view(ps.merge(*feeds), name="first"), ps.view(feeds[0], name="another"))
    for feed in feeds:
        feed.put(colour(80, 120, 160, (90, 160)))
    window = Window(chromium, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = window.open(Printed(capsys).url()).page
    window.wait_tiles(6)
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner
    spilled = page.evaluate(
        """[...document.querySelectorAll(".tile")].filter(tile => tile.scrollWidth > tile.clientWidth).length"""
    )
    assert spilled == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    level = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert (level > 200) == (scheme == "light")
    for feed in feeds:
        feed.close()
    run.wait(20)
    window.wait_state("ended")
    window.close()


def test_bitmaps_are_drawn_where_there_is_no_pyav(capsys, window, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    shown = Shown(capsys)
    shown.put(colour(10, 200, 90, (33, 47)))
    assert ask_until(shown.url, with_frames).tiles[0]["type"] == "image/bmp"
    window.open(shown.url)
    assert window.shows((10, 200, 90))
    shown.end()
    window.wait_state("ended")


def test_a_frame_that_can_not_be_shown_is_said_in_its_place(capsys, window, monkeypatch):
    from penstock._view import _encoding, _page

    class Broken(_encoding.BitmapEncoder):
        def encode(self, image, width):
            raise ps.TensorError("nothing can be read from it")

    monkeypatch.setattr(_page, "encoder", Broken)
    shown = Shown(capsys)
    shown.put(colour(0, 0, 0))
    window.open(shown.url)
    window.page.wait_for_selector(".tile.problem")
    assert window.text(".notice") == "nothing can be read from it"
    shown.end()
    window.wait_state("ended")


def test_a_program_that_is_killed_is_missed(chromium):
    program = textwrap.dedent(
        """
        import itertools, numpy as np, penstock as ps
        @ps.operator(every_ms=20)
        def frames():
            for n in itertools.count():
                yield np.full((48, 64, 3), n % 256, np.uint8)
        ps.run(ps.view(frames()))
        """
    )
    running = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    url = re.search(r"http://\S+", running.stderr.readline())[0]
    window = Window(chromium).open(url)
    window.page.wait_for_selector(".tile:not(.empty)")
    before = window.pixel()
    assert eventually(lambda: window.pixel() != before)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    window.wait_state("lost")
    assert "answer" in window.text("#status")
    window.context.close()


def test_who_comes_late_sees_a_frame(capsys, window):
    run = ps.start(ps.view(ps.merge(feed := ps.feed(), listed([colour(70, 140, 210)], name="early"))))
    url = Printed(capsys).url()
    assert eventually(lambda: run.stats().operators["view"].activations == 1)
    window.open(url)
    window.page.wait_for_selector(".tile:not(.empty)")
    assert window.shows((70, 140, 210))
    feed.close()
    run.wait(20)
    window.wait_state("ended")
