"""The words of Holoscan 4.x. What differs: docs/compat_holoscan.md."""

from . import conditions, core, operators, resources
from .core import Tensor, as_tensor

__all__ = ["Tensor", "as_tensor", "conditions", "core", "operators", "resources"]
