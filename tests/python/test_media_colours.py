"""Colours, rotation and planes of decoded frames, against FFmpeg's own conversion."""

import numpy as np
import pytest
import small_videos

import penstock as ps

av = pytest.importorskip("av")

# Matrix: its number in the file, and what FFmpeg's conversion calls it.
MATRICES = {"bt601": (6, "ITU601"), "bt709": (1, "ITU709"), "bt2020": (9, "BT2020")}
RANGES = {"limited": (1, "MPEG"), "full": (2, "JPEG")}
PATCHES = np.array(
    [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 0],
        [0, 255, 255],
        [200, 30, 90],
        [128, 128, 128],
        [250, 250, 250],
    ]
)


def patches(number, size):
    """Flat squares of 16 pixels: how chroma is interpolated does not show inside of them."""
    height, width = size
    rows, columns = np.indices((height // 16, width // 16))
    colours = PATCHES[(rows * 3 + columns + number) % len(PATCHES)].astype(np.uint8)
    return colours.repeat(16, 0).repeat(16, 1)


def inside(image):
    return np.stack([image[6::16, 6::16], image[9::16, 9::16]]).astype(int)


def write(path, matrix, range, format="yuv420p", size=(96, 128), count=3):
    """A file whose colours are of that kind, and that says so."""
    tag, name = MATRICES[matrix]
    range_tag, range_name = RANGES[range]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", 25)
        stream.height, stream.width, stream.pix_fmt = *size, format
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, range_tag
        stream.options = {"crf": "1"}
        for number in np.arange(count):
            frame = av.VideoFrame.from_ndarray(patches(number, size), "rgb24")
            frame = frame.reformat(
                format=format, dst_colorspace=name, src_color_range="JPEG", dst_color_range=range_name
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def by_ffmpeg(path, matrix, range):
    with av.open(str(path)) as container:
        return [
            frame.reformat(
                format="rgb24",
                src_colorspace=MATRICES[matrix][1],
                dst_colorspace=MATRICES[matrix][1],
                src_color_range=RANGES[range][1],
                dst_color_range="JPEG",
                interpolation="POINT",
            ).to_ndarray()
            for frame in container.decode(video=0)
        ]


def frames_of(path, **words):
    told = []

    @ps.operator
    def note(frame):
        told.append(dict(ps.message().metadata))
        return frame

    return list(ps.iterate(note(ps.source(path, **words)))), told


@pytest.mark.parametrize("format", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("range", RANGES)
@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_have_the_colours_that_the_file_says(tmp_path, matrix, range, format):
    path = write(tmp_path / "a.mp4", matrix, range, format)
    frames, told = frames_of(path)
    assert {(one["matrix"], one["range"]) for one in told} == {(matrix, range)}
    for number, (frame, theirs) in enumerate(zip(frames, by_ffmpeg(path, matrix, range), strict=True)):
        assert np.abs(inside(frame.numpy()) - inside(theirs)).max() <= 3
        assert np.abs(inside(frame.numpy()) - inside(patches(number, (96, 128)))).max() <= 8


def test_a_file_that_says_nothing_of_its_colours_is_taken_as_ffmpeg_takes_it(tmp_path):
    path = small_videos.write(tmp_path / "a.mp4", 2, (96, 128), draw=patches)
    frames, told = frames_of(path)
    assert (told[0]["matrix"], told[0]["range"]) == ("bt601", "limited")
    with av.open(str(path)) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.abs(inside(frames[0].numpy()) - inside(theirs[0])).max() <= 3


@pytest.mark.parametrize("range", RANGES)
def test_native_planes_become_the_same_rgb_by_what_the_frames_carry(tmp_path, range):
    path = write(tmp_path / "a.mp4", "bt709", range)
    direct, _ = frames_of(path)
    converted = list(ps.iterate(ps.cvt_color(ps.source(path, format="native"), "I420", "RGB")))
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(direct, converted, strict=True))


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_copy_has_the_colours_of_the_first(tmp_path, matrix):
    first = write(tmp_path / "a.mp4", matrix, "limited")
    ps.run(ps.sink(ps.source(first), tmp_path / "b.mp4"))
    frames, told = frames_of(tmp_path / "b.mp4")
    assert told[0]["matrix"] == matrix
    assert told[0]["range"] == "limited"
    for frame, before in zip(frames, frames_of(first)[0], strict=True):
        assert np.abs(inside(frame.numpy()) - inside(before.numpy())).max() <= 8


@pytest.mark.parametrize("view", ["as it is", "BGR", "mirrored"])
def test_views_of_frames_can_be_written(tmp_path, view):
    image = patches(0, (96, 128))
    views = {"as it is": image, "BGR": image[..., ::-1].copy()[..., ::-1], "mirrored": image[:, ::-1].copy()[:, ::-1]}

    @ps.operator
    def frames():
        yield views[view]

    ps.run(ps.sink(frames(), tmp_path / "a.mp4", rate=10))
    (written,), _ = frames_of(tmp_path / "a.mp4")
    assert np.abs(inside(written.numpy()) - inside(image)).max() <= 6


@pytest.mark.parametrize("degrees", [0, 90, -90, 180])
def test_frames_are_as_stored_and_say_how_they_are_turned(tmp_path, degrees):
    """Counter-clockwise by so much they are upright, as OpenCV shows them."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", 25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        if degrees:
            stream.set_display_rotation(degrees)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(patches(0, (96, 128)), "rgb24")))
        out.mux(stream.encode(None))
    (frame,), told = frames_of(path)
    assert told[0]["rotation"] == degrees
    assert frame.shape == (96, 128, 3)
    _, theirs = cv2.VideoCapture(str(path)).read()
    upright = np.rot90(frame.numpy(), degrees // 90)
    assert np.abs(inside(upright) - inside(theirs[:, :, ::-1])).max() <= 4


@pytest.mark.parametrize(
    ("format", "shapes", "dtype"),
    [
        ("yuv420p", [(48, 64), (24, 32), (24, 32)], "uint8"),
        ("yuv422p", [(48, 64), (48, 32), (48, 32)], "uint8"),
        ("yuv420p10le", [(48, 64), (24, 32), (24, 32)], "uint16"),
        ("gray", [(48, 64)], "uint8"),
        ("rgb24", [(48, 64, 3)], "uint8"),
        ("bgra", [(48, 64, 4)], "uint8"),
        ("yuyv422", [(48, 64, 2)], "uint8"),
        ("nv12", [(48, 64), (24, 32, 2)], "uint8"),
        ("pal8", [(48, 64)], "uint8"),
        ("monob", [(48, 8)], "uint8"),
    ],
)
def test_native_planes_are_the_decoders_own(tmp_path, format, shapes, dtype):
    path = tmp_path / "raw.nut"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", 25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, format
        out.mux(stream.encode(av.VideoFrame(64, 48, format)))
        out.mux(stream.encode(None))
    (planes,), told = frames_of(path, format="native")
    assert [plane.shape for plane in planes] == shapes
    assert {str(plane.dtype) for plane in planes} == {dtype}
    assert told[0]["format"] == {"yuv420p": "I420", "nv12": "NV12"}.get(format, format)
    assert len(list(ps.iterate(ps.source(path)))) == 1


def test_native_planes_are_no_copies(tmp_path):
    path = small_videos.write(tmp_path / "a.mp4", 1, (48, 100))
    (planes,), _ = frames_of(path, format="native")
    assert planes[0].strides[0] > 100  # the decoder's own rows


@pytest.mark.parametrize("size", [(33, 47), (48, 65), (49, 64)])
def test_odd_sizes_are_whole(tmp_path, size):
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", 25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(small_videos.picture(9, size), "rgb24")))
        out.mux(stream.encode(None))
    (frame,), _ = frames_of(path)
    assert frame.shape == (*size, 3)
    assert np.abs(frame.numpy().astype(int) - small_videos.picture(9, size)).max() <= 4


def test_a_still_picture_is_a_video_of_one_frame(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), patches(0, (96, 128))[:, :, ::-1])
        (frame,), told = frames_of(tmp_path / name)
        assert np.abs(inside(frame.numpy()) - inside(patches(0, (96, 128)))).max() <= 8
        assert told[0]["range"] == "full" or name == "a.png"
