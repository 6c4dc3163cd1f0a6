"""``penstock demo``: what moves in four videos at once is found, followed and framed, on one wall."""

from __future__ import annotations

from ._main import add_arguments, demo

__all__ = ["add_arguments", "demo"]
