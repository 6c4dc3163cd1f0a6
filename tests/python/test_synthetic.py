"""Frames with no file."""

import time

import numpy as np
import pytest

import penstock as ps


def pattern(number, height, width):
    """What src/operators/operators.hpp promises of frame ``number``."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x + 4 * number, y + 2 * number, x ^ y], -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(4, 6), (1, 1), (300, 270)])
def test_frames_are_rgb_tensors_with_a_pattern_that_moves(size):
    frames = list(ps.iterate(ps.synthetic(*size, count=130)))
    assert len(frames) == 130
    for number in (0, 1, 129):
        frame = frames[number]
        assert isinstance(frame, ps.Tensor)
        assert (frame.shape, str(frame.dtype), frame.layout, frame.device) == ((*size, 3), "uint8", "HWC", "cpu")
        assert np.array_equal(frame.numpy(), pattern(number, *size))


def times_of(flow):
    seen = []

    @ps.operator
    def note(frame):
        about = ps.message()
        seen.append((about.origin, about.time))

    ps.run(note(flow))
    return seen


def test_they_have_numbers_and_times():
    assert times_of(ps.synthetic(2, 2, count=3, fps=500, name="cam")) == [
        (("cam", 0, None), 0.0),
        (("cam", 1, None), pytest.approx(0.002)),
        (("cam", 2, None), pytest.approx(0.004)),
    ]
    assert [time for _, time in times_of(ps.synthetic(2, 2, count=3))] == pytest.approx([0, 1 / 30, 2 / 30])


def test_the_rate_is_kept():
    begin = time.monotonic()
    ps.run(ps.synthetic(2, 2, count=21, fps=100))
    assert time.monotonic() - begin >= 0.19


def test_without_a_count_there_is_no_end():
    taken = 0
    for _ in ps.iterate(ps.synthetic(2, 2)):
        taken += 1
        if taken == 500:
            break
    assert taken == 500


def test_it_may_stand_where_a_source_may():
    flow = ps.source([ps.synthetic(2, 2, count=2, name="a"), ps.synthetic(2, 2, count=3, name="b")])
    origins = sorted((origin.source, origin.number) for origin, _ in times_of(flow))
    assert origins == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]


def test_each_run_begins_again():
    flow = ps.synthetic(2, 2, count=2)
    for _ in range(2):
        frames = list(ps.iterate(flow))
        assert [int(frame.numpy()[0, 0, 0]) for frame in frames] == [0, 4]


def test_what_does_not_fit_is_refused():
    for words in ({"height": 0}, {"width": -1}, {"height": 2.5}, {"width": True}, {"fps": -1}, {"fps": "fast"}):
        with pytest.raises(ps.GraphError, match=f"synthetic: {next(iter(words))}="):
            ps.synthetic(**words)
    with pytest.raises(ps.GraphError, match="count"):
        ps.run(ps.synthetic(2, 2, count=-1))
