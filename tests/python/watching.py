"""What comes out of sources, as it comes."""

import contextlib
import time
import warnings

import numpy as np
import pytest
import small_videos

import penstock as ps


class Seen:
    """An operator that notes what comes, and the flow that ends in it."""

    def __init__(self, what, **words):
        self.numbers, self.times, self.levels, self.names = [], [], [], []

        @ps.operator
        def note(frame):
            about = ps.message()
            self.names.append(about.origin.source)
            self.numbers.append(about.origin.number)
            self.times.append(about.time)
            self.levels.append(round(float(frame.numpy().mean())))

        self.flow = note(ps.source(what, **words))

    def wait_for(self, count, run, seconds=20):
        until = time.monotonic() + seconds
        while len(self.numbers) < count:
            assert not run.is_over, run.wait()
            assert time.monotonic() < until, f"{len(self.numbers)} frames of {count} after {seconds} s"
            time.sleep(0.01)

    def check_levels(self, path):
        assert np.array(self.levels) == pytest.approx(small_videos.levels(path), abs=2.1)

    def check_order(self):
        assert self.numbers == list(range(len(self.numbers)))
        assert all(a < b for a, b in zip(self.times, self.times[1:], strict=False))


@contextlib.contextmanager
def warned(text):
    """Warnings of other threads too; the first says the text."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    assert text in str(found[0].message)


def run_with_warnings(flow):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        ps.run(flow)
    return [str(one.message) for one in found]
