"""The demo's program: how many frames its wall has, in which order, and where its boxes are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

from demo_clips import HEIGHT, WIDTH, frame_of, frames_of, number_in, square_at, write_clip  # noqa: E402

import penstock as ps  # noqa: E402
from penstock._demo import _pipeline  # noqa: E402
from penstock._demo._clips import clips_of  # noqa: E402
from penstock._demo._motion import Motion  # noqa: E402
from penstock._demo._tracker import Tracker  # noqa: E402
from penstock._demo._wall import shape, tile_size  # noqa: E402


def wall_of(paths, target):
    """Runs the demo's program; its frames, cut into tiles with no black around."""
    clips = clips_of(paths)
    stats = ps.run(_pipeline.pipeline(clips, target))
    (rows, columns), (height, width) = shape(len(clips)), tile_size(clips)
    cut = []
    for frame in frames_of(target):
        assert frame.shape == (rows * height, columns * width, 3)
        tiles = []
        for number, clip in enumerate(clips):
            h, w = clip.size_within((height, width))
            top = number // columns * height + (height - h) // 2
            left = number % columns * width + (width - w) // 2
            tiles.append(frame[top : top + h, left : left + w])
        cut.append(tiles)
    return cut, stats


def green(tile):
    """Bounds x1, y1, x2, y2 of the green pixels, in the clip's own pixels; None where there are few."""
    red, greens, blue = (tile[:, :, i].astype(int) for i in range(3))
    rows, columns = np.nonzero((greens > 150) & (red < 110) & (blue < 110))
    if len(rows) < 40:
        return None
    scale = WIDTH / tile.shape[1]
    return tuple(scale * edge for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))


def assert_frames_the_square(box, number):
    """All of it, and no more around it than it moved in four frames. The top may have the track's number on it."""
    x1, y1, x2, y2 = square_at(number)
    then_x, then_y, _, _ = square_at(number - 4)
    assert then_x - 10 <= box[0] <= x1 + 4
    assert then_y - 24 <= box[1] <= y1 + 4
    assert box[2] == pytest.approx(x2, abs=10)
    assert box[3] == pytest.approx(y2, abs=10)


def test_each_frame_shows_all_clips_at_its_number_and_the_last_frames_of_those_that_ended(tmp_path):
    lengths = [12, 40, 25]
    paths = [write_clip(tmp_path / f"{n}.mp4", n, square=False, numbered=True) for n in lengths]
    walls, stats = wall_of(paths, tmp_path / "wall.mp4")
    assert len(walls) == max(lengths)
    for number, tiles in enumerate(walls):
        assert [number_in(tile) for tile in tiles] == [min(number, length - 1) for length in lengths]
    assert stats.operators["wall"].activations == 40


def test_the_wall_keeps_the_times_of_its_longest_clip(tmp_path):
    paths = [write_clip(tmp_path / "a.mp4", 10, rate=25), write_clip(tmp_path / "b.mp4", 31, rate=10)]
    wall_of(paths, tmp_path / "wall.mp4")
    with av.open(str(tmp_path / "wall.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([n / 10 for n in range(31)], abs=1e-3)


def test_boxes_are_around_what_moves(tmp_path):
    still = write_clip(tmp_path / "still.mp4", 60, square=False)
    moving = write_clip(tmp_path / "moving.mp4", 60)
    walls, _ = wall_of([still, moving], tmp_path / "wall.mp4")
    seen = 0
    for number, (nothing, tile) in enumerate(walls):
        assert green(nothing) is None
        found = green(tile)
        if found is None:
            assert number < 14, f"nothing is framed in frame {number}"
            continue
        seen += 1
        assert_frames_the_square(found, number)
    assert seen >= 46


def test_a_track_keeps_its_number_while_another_thing_comes():
    motion, tracker = Motion(), Tracker()
    for number in range(60):
        image = frame_of(number)
        if number >= 20:
            image[140:170, 300 - 4 * number : 330 - 4 * number] = 200
        boxes, labels = tracker(motion(image))
        if number < 14:
            continue
        by_number = {label[0]: box for label, box in zip(labels, boxes.tolist(), strict=True)}
        assert_frames_the_square(by_number[1], number)
        assert set(by_number) == ({1} if number < 33 else {1, 2}) or 20 <= number < 33


def test_a_cut_moves_nothing():
    motion = Motion()
    for number in range(40):
        image = np.full((HEIGHT, WIDTH, 3), 40 if number < 20 else 200, np.uint8)
        assert motion(image).shape == (0, 4)


def test_the_place_that_was_left_is_not_framed():
    motion, x = Motion(), 40
    found = []
    for number in range(40):
        image = frame_of(number, square=False)
        x = 40 if number < 20 else 200
        image[60:90, x : x + 30] = 220
        found.append([box for box in motion(image).tolist() if box[0] < 90])
    assert not any(found)


def test_sources_that_are_mixed_have_a_state_each(tmp_path):
    """per="source": in one flow with another clip each is followed as it is alone."""
    paths = [write_clip(tmp_path / "one.mp4", 40), write_clip(tmp_path / "two.mp4", 30)]

    def followed(what):
        found = {}

        @ps.operator(outputs=())
        def keep(boxes):
            about = ps.message()
            found[about.origin.source, about.origin.number] = np.asarray(boxes).tolist()

        ps.run(keep(Tracker()(Motion()(ps.source(what)))["boxes"]))
        return found

    together = followed(paths)
    alone = {**followed(paths[0]), **followed(paths[1])}
    assert len(together) == 70
    assert together == alone
    assert any(together.values())


@pytest.mark.parametrize(
    ("count", "expected"), [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (4, (2, 2)), (5, (2, 3)), (9, (3, 3))]
)
def test_the_shape_of_the_wall(count, expected):
    assert shape(count) == expected


def test_one_clip_keeps_its_shape(tmp_path):
    path = write_clip(tmp_path / "one.mp4", 3)
    walls, _ = wall_of([path], tmp_path / "wall.mp4")
    assert walls[0][0].shape == (720, 1280, 3)
    assert len(walls) == 3


def test_clips_of_one_name_and_of_names_that_the_graph_has(tmp_path):
    (tmp_path / "other").mkdir()
    paths = [write_clip(tmp_path / name, 5) for name in ("wall.mp4", "a.mp4", "a_rgb.mp4", "other/a.mp4", "sink.mp4")]
    walls, stats = wall_of([*paths, paths[1]], tmp_path / "out.mp4")
    assert len(walls) == 5
    assert {"wall_2", "a", "a_2", "a_3", "sink_2"} <= set(stats.operators)


def test_frames_are_counted_where_the_header_does_not(tmp_path):
    path = write_clip(tmp_path / "stream.ts", 12)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    assert clips_of([path])[0].frames == 12


def test_the_program_is_short():
    lines = Path(_pipeline.__file__).read_text().splitlines()
    assert len(lines) <= 60
