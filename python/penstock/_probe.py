"""``ps.probe``: what passes, printed."""

from __future__ import annotations

import builtins
import reprlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ._core import as_tensor, message
from ._flow import Flow, fed
from ._node import Node
from ._words import check_words
from .errors import ArgumentTypeError, Error, GraphError

if TYPE_CHECKING:
    from ._core import Context, Inputs, Outputs

_ARRAYS = ("__dlpack__", "__array_interface__", "__cuda_array_interface__")
_MANY = 8  # of a container that are described

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def probe(
    flow: Any,
    *,
    values: int = 4,
    first: int | None = None,
    print: Callable[[str], Any] | None = None,
    name: str | None = None,
) -> Flow:
    """Prints a line for each message, or for the ``first`` so many, and passes all of them on as they are.

    A line has the origin, then shape, dtype, layout, device, the stream it came on, and the first ``values`` elements::

        probe cam #0: (480, 640, 3) uint8 HWC cpu [12, 14, 13, 12, ...]

    ``print`` takes the line instead of stdout. A message is printed when its work is complete; what is behind waits.
    """
    for word, value in (("values", values), ("first", first)):
        if word == "first" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise GraphError(f"probe: {word}={value!r} does not fit: an int of at least 0")
    if print is not None and not callable(print):
        raise ArgumentTypeError(f"probe: print is a function of a line, found {type(print).__name__}")
    words = {"name": name}
    check_words("probe", words)

    def make(instance: int) -> _Probe:
        return _Probe(name or "probe", values, first, print or builtins.print)

    node = Node("probe", make, [{"name": "in", "host": True}], [{"name": "out"}], words, form="compute")
    return fed(node, flow, "print")


class _Probe:
    """The explicit form: it says the stream of a message, and passes it on untouched."""

    context: Any = None

    def __init__(self, label: str, values: int, first: int | None, print: Callable[[str], Any]) -> None:
        self._label = label
        self._values = values
        self._left = first
        self._print = print

    def start(self) -> None:
        self._label = self.context.name

    def compute(self, inputs: Inputs, outputs: Outputs, context: Context) -> None:
        (stream,) = inputs.streams("in")
        value = inputs.receive("in")
        if self._left != 0:
            self._left = None if self._left is None else self._left - 1
            source, number, sub = message().origin
            at = f"#{number}" if sub is None else f"#{number}.{sub}"
            self._print(f"{self._label} {source} {at}: {describe(value, self._values, stream)}")
        outputs.emit(value, "out")

    def stop(self) -> None:
        """Nothing is held."""


def describe(value: Any, values: int, stream: Any = None) -> str:
    """One line that says what a message is; its work is complete, or waited for."""
    if any(hasattr(type(value), protocol) for protocol in _ARRAYS):
        return _array(value, values, stream)
    on = "" if stream is None else f" stream {stream.id}"
    if isinstance(value, Mapping):
        parts = [f"{key!r}: {describe(one, values)}" for key, one in list(value.items())[:_MANY]]
        return "{" + _listed(parts, len(value)) + "}" + on
    if isinstance(value, (tuple, list)):
        parts = [describe(one, values) for one in value[:_MANY]]
        ends = "()" if isinstance(value, tuple) else "[]"
        return ends[0] + _listed(parts, len(value)) + ends[1] + on
    return _short.repr(value).replace("\n", " ") + on


def _listed(parts: list[str], count: int) -> str:
    return ", ".join(parts) + (f", ... ({count} in all)" if count > len(parts) else "")


def _array(value: Any, values: int, stream: Any) -> str:
    try:
        tensor = as_tensor(value)
    except (Error, TypeError, ValueError, BufferError) as error:
        return f"{type(value).__name__} that can't be read: {error}"
    shape = ", ".join(map(str, tensor.shape)) + ("," if tensor.ndim == 1 else "")
    words = [f"({shape})", str(tensor.dtype), tensor.layout or "", str(tensor.device)]
    if stream is not None:
        words.append(f"stream {stream.id}")
    words.append(_first(tensor, values))
    return " ".join(filter(None, words))


def _first(tensor: Any, count: int) -> str:
    """The first elements in order; only what they need is copied off a GPU."""
    if count == 0 or tensor.size == 0:
        return "[...]" if tensor.size else "[]"
    head = tensor
    if tensor.device != "cpu" and tensor.ndim:
        # A dimension is cut only where one row of it is enough, so the first elements are those of the whole.
        head = tensor[tuple(slice(0, count) for _ in tensor.shape)].cpu()
    try:
        flat = head.numpy().flat[:count].tolist()
    except (Error, TypeError, ValueError):  # no dtype of NumPy's
        return ""
    text = ", ".join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in flat)
    return f"[{text}{', ...' if tensor.size > len(flat) else ''}]"
