"""``ps.source``: frames of videos, as flows."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import _core
from .._device import Device
from .._flow import Flow, flow_of, flow_or_none, merge
from .._node import Node
from .._operation import Operation
from .._operator import operator
from ..errors import ArgumentTypeError, DeviceError, MediaError
from ._file import read_file
from ._live import LiveMaker
from ._open import max_pixels_of
from ._pyav import need_pyav
from ._reconnect import Wanted
from ._where import Place, places_of


def source(
    what: Any,
    *,
    device: Any = None,
    policy: str = "block",
    reconnect: bool = False,
    timeout_ms: float = 10_000,
    format: str = "RGB",
    max_pixels: int | None = None,
    on_error: Any = None,
    name: str | None = None,
) -> Flow:
    """Frames of a video: a path, a glob, a URL (``rtsp://``, ``http://``, ``https://``), a camera (``v4l2:0``), a flow
    of frames such as ``ps.synthetic()``, or a list of these. Each is a source with its own name, time and order.

    Messages are u8 HWC RGB tensors; with ``format="native"`` tuples of planes as they come, with no copy.
    ``ps.message()`` says their time in seconds and, as metadata, ``matrix`` ("bt601", "bt709", "bt2020"), ``range``
    ("limited", "full"), ``rate`` (frames a second), ``format`` (as decoded) and ``rotation``: frames are as stored, and
    ``ps.ops.rotate`` by so many degrees shows them upright.

    policy: "block" waits for slow consumers; "latest" gives them the newest frame, and what they missed is counted as
    dropped on the edge. timeout_ms: how long a network source may take to open, and for each frame. reconnect: a
    network source that was cut comes back, with a warning; its numbers go on, its time grows. Without it a cut is a
    MediaError; an HTTP stream of unknown length that is closed has ended. max_pixels: larger frames are refused, 2^26
    unless PENSTOCK_MAX_PIXELS says otherwise. on_error="end" ends a source that fails, and no other.

    MediaError for what is not there, is no video, or can't be reached; a truncated file gives the frames that are there
    and a warning. DeviceError for a device that is not there.
    """
    if format not in ("RGB", "native"):
        raise MediaError(f'source: format={format!r}; it is "RGB" or "native"')
    if policy not in ("block", "latest"):
        raise MediaError(f'source: policy={policy!r}; it is "block" or "latest"')
    if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, (int, float)) or not timeout_ms > 0:
        raise MediaError(f"source: timeout_ms={timeout_ms!r} does not fit: a number of milliseconds above 0")
    where = _device(device)
    limit = max_pixels_of(max_pixels)

    def flow(item: Flow | Place, label: str, given: str | None) -> Flow:
        if isinstance(item, Flow):
            return merge(item) if policy == "latest" else item
        need_pyav("source")
        wanted = Wanted(item, format == "native", limit, timeout_ms / 1000, bool(reconnect))
        words = {"name": given, "on_error": on_error}
        frames = _live(wanted, label, words) if item.is_live else _file(wanted, label, words)
        if where is not None:
            frames = _to_device(frames, where, label)
        return frames if wanted.native else _to_rgb(frames, label)

    items = _items(what)
    if len(items) == 1:
        return _with_policy(flow(items[0], name or _label(items[0]), name), policy, "drop_oldest")
    flows = [flow(item, name or _label(item), None) for item in items]
    mixed = merge(*(_with_policy(one, policy, "drop_oldest") for one in flows))
    return _with_policy(mixed, policy, "block")  # what waits there would be old


def _items(what: Any) -> list[Flow | Place]:
    if isinstance(what, (list, tuple)):
        items = [found for item in what for found in _items(item)]
        if not items:
            raise MediaError("source: the list is empty")
        return items
    flow = flow_or_none(what)
    if flow is not None:
        return [flow]
    if hasattr(what, "_input_count"):
        raise ArgumentTypeError("source: an operator with inputs is no source")
    return list(places_of(what))


def _label(item: Flow | Place) -> str:
    return item.label if isinstance(item, Place) else "source"


def _device(device: Any) -> Device | None:
    """None for the CPU."""
    if device is None:
        return None
    found = Device(device)
    if found == "cpu":
        return None
    if _core.device_count() == 0:
        raise DeviceError(f"source: device={str(device)!r}, but there is no GPU here; leave device= out")
    return found


def _file(wanted: Wanted, label: str, words: dict[str, Any]) -> Flow:
    frames = flow_of(
        read_file(path=wanted.place, max_pixels=wanted.max_pixels, native=wanted.native, **words), "source"
    )
    frames._node.kind = label
    return frames


def _live(wanted: Wanted, label: str, words: dict[str, Any]) -> Flow:
    maker = LiveMaker(wanted)
    return Flow(Node(label, maker, [], [{"name": "out"}], {**words, "ready": maker.ready}, form="compute"))


def _to_device(frames: Flow, device: Device, label: str) -> Flow:
    @operator
    def upload(planes: Any) -> Any:
        return tuple(plane.to(device) for plane in planes) if isinstance(planes, tuple) else planes.to(device)

    uploaded: Flow = upload(frames)
    uploaded._node.kind = f"{label}_upload"
    return uploaded


def _to_rgb(frames: Flow, label: str) -> Flow:
    native = partial(_core._cvt_color_node, "", "RGB", None, None)
    rgb: Flow = Operation("rgb", lambda src: src, native, {})(frames)
    rgb._node.kind = f"{label}_rgb"
    return rgb


def _with_policy(flow: Flow, policy: str, edge: str) -> Flow:
    if policy == "latest":
        flow._node.outputs[0].update(policy=edge, capacity=1)
    return flow
