"""Imaging operations."""

from __future__ import annotations

from ._core import cvt_color, resize

__all__ = ["cvt_color", "resize"]
