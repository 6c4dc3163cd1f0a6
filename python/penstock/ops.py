"""Imaging operations. With data they work now; with a flow they are connected; with neither they are configured."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import _core
from ._operation import NOTHING, Operation, is_graph
from .errors import ArgumentTypeError

__all__ = ["cvt_color", "resize"]


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
    """Converts uint8 "I420" or "NV12" to "RGB" or "BGR" (H, W, 3).

    ``src`` is (3H/2, W[, 1]) or a tuple of planes, each with rows of its own pitch. ``matrix`` is "bt601", "bt709" or
    "bt2020", ``range`` "limited" or "full"; by default BT.601, limited, or in a flow what the frames carry. ``words``
    are those of ``ps.operator``, for a flow.
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


def _no_target(op: str, out: Any, stream: Any) -> None:
    if out is not None or stream is not None:
        raise ArgumentTypeError(f"{op}: out= and stream= are for data; in a flow the runtime chooses both")


def _pair(size: Any) -> tuple[int, int]:
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(isinstance(n, int) for n in size):
        raise ArgumentTypeError(f"resize: size is {size!r}, expected (height, width)")
    return int(size[0]), int(size[1])
