"""What a callable says of itself by its parameters: inputs and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

_Parameter = inspect.Parameter
_POSITIONAL = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)


class Signature(NamedTuple):
    """Positional parameters with no default are inputs; keyword-only ones and those with one are settings."""

    full: inspect.Signature
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    required: tuple[str, ...]  # settings with no default
    variadic: str | None = None  # *name: as many inputs as are given
    takes_any: bool = False  # **name: any setting

    @property
    def names(self) -> tuple[str, ...]:
        return self.inputs + self.settings


def read(target: Callable[..., Any], *, is_method: bool = False) -> Signature:
    """Of a function, or of a method without its self. What can't be read has one input."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        parameters = [_Parameter("in_", _Parameter.POSITIONAL_ONLY)]
    if is_method and parameters and parameters[0].kind in _POSITIONAL:
        parameters = parameters[1:]
    inputs, settings, required = [], [], []
    for parameter in parameters:
        has_default = parameter.default is not _Parameter.empty
        if parameter.kind in _POSITIONAL and not has_default:
            inputs.append(parameter.name)
        elif parameter.kind in _POSITIONAL or parameter.kind is _Parameter.KEYWORD_ONLY:
            settings.append(parameter.name)
            if not has_default:
                required.append(parameter.name)
    kinds = {parameter.kind: parameter.name for parameter in parameters}
    return Signature(
        inspect.Signature(parameters),
        tuple(inputs),
        tuple(settings),
        tuple(required),
        kinds.get(_Parameter.VAR_POSITIONAL),
        _Parameter.VAR_KEYWORD in kinds,
    )


def plain(target: Callable[..., Any]) -> Signature:
    """Of any callable that stands where an operator may: it takes one input, called as the function calls it."""
    name = "in_"
    if inspect.isfunction(target):
        name = next(iter(read(target).inputs), name)
    parameter = _Parameter(name, _Parameter.POSITIONAL_ONLY)
    return Signature(inspect.Signature([parameter]), (name.rstrip("_"),), (), ())
