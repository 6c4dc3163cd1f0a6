"""Imaging operations. With data they work now; with a flow they are connected; with neither they are configured."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import _core
from ._boxes import DrawBoxes, is_flow
from ._operation import NOTHING, Operation, is_graph
from ._words import check_words
from .errors import ArgumentTypeError

__all__ = ["cvt_color", "draw_boxes", "resize", "warp_affine"]


def resize(
    src: Any = NOTHING,
    size: tuple[int, int] | None = None,
    interp: str = "linear",
    *,
    antialias: bool = False,
    out: Any = None,
    stream: Any = None,
    **words: Any,
) -> Any:
    """Resizes a uint8 image (H, W[, C]) or batch (N, H, W, C) to (height, width).

    Half-pixel centres, within half a step of the exact value. TensorError names what does not fit. ``words`` are those
    of ``ps.operator``, for a flow.
    """
    if not is_graph(src) and not words:
        if size is None:
            raise ArgumentTypeError("resize: size is missing, expected (height, width)")
        return _core.resize(src, size, interp, antialias=antialias, out=out, stream=stream)
    _no_target("resize", out, stream)
    if size is None:
        raise ArgumentTypeError("resize: size is missing, expected (height, width)")
    height, width = _pair(size)
    call = partial(_core.resize, size=(height, width), interp=interp, antialias=antialias)
    operation = Operation("resize", call, lambda: _core._resize_node(height, width, interp), words)
    return operation if src is NOTHING else operation(src)


def cvt_color(
    src: Any = NOTHING,
    src_format: str | None = None,
    dst_format: str | None = None,
    *,
    matrix: str | None = None,
    range: str | None = None,
    out: Any = None,
    stream: Any = None,
    **words: Any,
) -> Any:
    """Converts uint8 "I420" or "NV12" to "RGB" or "BGR" (H, W, 3), or back.

    I420 and NV12 are (3H/2, W[, 1]), as ``src`` also a tuple of planes, each with rows of its own pitch. A sample of
    colour is that of all its 2x2 pixels, and back their mean. ``matrix`` is "bt601", "bt709" or "bt2020", ``range``
    that of YUV, "limited" or "full"; by default BT.601, limited, or in a flow what the frames carry. TensorError names
    what does not fit. ``words`` are those of ``ps.operator``, for a flow.
    """
    if src_format is None or dst_format is None:
        raise ArgumentTypeError('cvt_color: src_format and dst_format are needed, "I420" and "RGB" for example')
    direct = {"matrix": matrix or "bt601", "range": range or "limited"}
    if not is_graph(src) and not words:
        return _core.cvt_color(src, src_format, dst_format, **direct, out=out, stream=stream)
    _no_target("cvt_color", out, stream)
    call = partial(_core.cvt_color, src_format=src_format, dst_format=dst_format, **direct)
    native = partial(_core._cvt_color_node, src_format, dst_format, matrix, range)
    operation = Operation("cvt_color", call, native, words)
    return operation if src is NOTHING else operation(src)


def warp_affine(
    src: Any = NOTHING,
    xform: Any = None,
    *,
    size: tuple[int, int] | None = None,
    interp: str = "linear",
    border_mode: str = "constant",
    border_value: Any = 0,
    inverse: bool = False,
    out: Any = None,
    stream: Any = None,
    **words: Any,
) -> Any:
    """Moves the pixels of a uint8 or float32 image (H, W[, C]) or batch (N, H, W, C).

    ``xform``, 2 rows of 3 numbers, maps positions (x, y) in ``src`` to positions in the result; with ``inverse=True``
    positions in the result to positions in ``src``. Pixel centres are whole numbers. ``size`` is (height, width) of
    the result, by default that of ``src``. ``interp`` is "linear" or "nearest"; ``border_mode`` "constant" (with
    ``border_value``, a number or one for each channel), "replicate", "reflect" (cba|abc|cba), "reflect_101"
    (cb|abc|ba) or "wrap" (abc|abc|abc). TensorError names what does not fit. ``words`` are those of ``ps.operator``,
    for a flow.
    """
    if xform is None:
        raise ArgumentTypeError("warp_affine: xform is missing, expected 2 rows of 3 numbers")
    settings: dict[str, Any] = {
        "size": size,
        "interp": interp,
        "border_mode": border_mode,
        "border_value": border_value,
        "inverse": inverse,
    }
    if not is_graph(src) and not words:
        return _core.warp_affine(src, xform, **settings, out=out, stream=stream)
    _no_target("warp_affine", out, stream)
    call = partial(_core.warp_affine, xform=xform, **settings)
    native = partial(_core._warp_affine_node, xform, **settings)
    check_words("warp_affine", words, settings)
    native()  # says what is wrong with the settings
    operation = Operation("warp_affine", call, native, words)
    return operation if src is NOTHING else operation(src)


def draw_boxes(
    src: Any = NOTHING,
    boxes: Any = NOTHING,
    *,
    color: Any = (0, 255, 0),
    thickness: int = 1,
    out: Any = None,
    stream: Any = None,
    **words: Any,
) -> Any:
    """Draws boxes on a uint8 or float32 image (H, W[, C]): on a copy, or with ``out=src`` on ``src`` itself.

    ``boxes`` are (x1, y1, x2, y2), end exclusive: a list, or an array (N, 4) of integers, float32 or float64; edges are
    rounded, ties to even, and what lies outside the image is not drawn. None is no boxes. ``color`` is one number for
    each channel or one for all; for three channels' numbers gray takes their luma, and uint8 of four channels is
    opaque. ``thickness`` is in pixels from the edge inwards, -1 fills. TensorError names what does not fit.

    In a flow ``boxes`` may be one, too, joined by origin: a frame for which nothing comes goes on as it is. ``words``
    are those of ``ps.operator``, for a flow.
    """
    settings = {"color": color, "thickness": thickness}
    in_graph = src is NOTHING or is_flow(src) or is_flow(boxes)
    if not in_graph and not words:
        if boxes is NOTHING:
            raise ArgumentTypeError("draw_boxes: boxes is missing, expected (x1, y1, x2, y2) of each")
        return _core.draw_boxes(src, boxes, **settings, out=out, stream=stream)
    _no_target("draw_boxes", out, stream)
    operation = DrawBoxes(boxes, settings, words)
    return operation if src is NOTHING else operation(src)


def _no_target(op: str, out: Any, stream: Any) -> None:
    if out is not None or stream is not None:
        raise ArgumentTypeError(f"{op}: out= and stream= are for data; in a flow the runtime chooses both")


def _pair(size: Any) -> tuple[int, int]:
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(isinstance(n, int) for n in size):
        raise ArgumentTypeError(f"resize: size is {size!r}, expected (height, width)")
    return int(size[0]), int(size[1])
