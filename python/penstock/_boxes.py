"""``ps.draw_boxes`` in a graph: frames and their boxes, each from a flow of its own."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import _core
from ._flow import Flow, flow_or_none, flows_of
from ._node import Node
from ._operation import NOTHING, Operation
from ._words import check_words
from .errors import ArgumentTypeError


class DrawBoxes(Operation):
    """Configured: for ``(frames, boxes) >> draw``, or with ``boxes`` said already for ``frames >> draw``."""

    def __init__(self, boxes: Any, settings: dict[str, Any], words: dict[str, Any]) -> None:
        check_words("draw_boxes", words, settings)
        self._boxes = boxes
        self._settings = settings
        self._input_count = 2 if boxes is NOTHING else 1
        # The same for every frame; None where they come from a flow.
        self._constant = None if boxes is NOTHING or is_flow(boxes) else [] if boxes is None else boxes
        self._draw: Any = partial(_core.draw_boxes, **settings)
        super().__init__("draw_boxes", self._draw, self._make, words)
        self._make()  # says what is wrong with the settings

    def _make(self) -> _core._NodeSpec:
        return _core._draw_boxes_node(self._constant, **self._settings)

    def __call__(self, src: Any, boxes: Any = NOTHING, **words: Any) -> Any:
        if boxes is NOTHING:
            boxes = self._boxes
        if boxes is NOTHING:
            raise ArgumentTypeError("draw_boxes: boxes is missing, expected (x1, y1, x2, y2) of each")
        if is_flow(src):
            if not is_flow(boxes) and boxes is not self._boxes:
                return DrawBoxes(boxes, self._settings, {**self._words, **words})(src)
            return self._connect(flows_of(src), flows_of(boxes) if is_flow(boxes) else [], words)
        if is_flow(boxes):
            raise ArgumentTypeError("draw_boxes: boxes is a flow, so src has to be one, too")
        return self._draw(src, boxes)

    def _connect(self, frames: list[Flow], boxes: list[Flow], words: dict[str, Any]) -> Flow:
        check_words(self._kind, words)
        # A frame for which nothing comes goes on without boxes.
        inputs: list[dict[str, Any]] = [{"name": "src"}]
        if boxes:
            inputs.append({"name": "boxes", "optional": True})
        node = Node(
            self._kind, None, inputs, [{"name": "out"}], {**self._words, **words}, native=lambda _: self._make()
        )
        for flow in frames:
            node.connect("src", flow._node, flow._output)
        if boxes:
            # Lists and arrays become tensors in Python, where they are; what draws is C++.
            tensors = Node("boxes", lambda _: (_core._boxes_as_tensor, None), [{"name": "in"}], [{"name": "out"}], {})
            for flow in boxes:
                tensors.connect("in", flow._node, flow._output)
            node.connect("boxes", tensors, "out")
        return Flow(node)


def is_flow(value: Any) -> bool:
    """A flow, or several in a tuple or a list."""
    if isinstance(value, (tuple, list)):
        return bool(value) and all(isinstance(one, Flow) for one in value)
    return flow_or_none(value) is not None
