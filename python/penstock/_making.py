"""How the objects of an operator's instances are made."""

from __future__ import annotations

import copy
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from ._signature import Signature
from ._words import nearest
from .errors import GraphError

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial, type)


class Maker:
    """Called with the number of an instance, on its thread: gives what is called for each message, and what is called
    at the end (or None).
    """

    def __init__(
        self,
        target: Any,
        init: tuple[tuple[Any, ...], dict[str, Any]] | None,
        signature: Signature,
        constants: dict[str, Any],
        settings: dict[str, Any],
        *,
        iterates: bool = False,
    ) -> None:
        self._target = target
        self._init = init
        self._signature = signature
        self._constants = constants
        self._settings = settings
        self._iterates = iterates

    def __call__(self, instance: int) -> tuple[Any, Callable[[], Any] | None]:
        call, close = self.make_one(instance)
        call = self._bound(call)
        if not self._iterates:
            return call, close
        iterator = iter(call())
        return iterator, _both(getattr(iterator, "close", None), close)

    def set(self, name: str, value: Any) -> None:
        """Another value for a setting, or for an argument of the class. GraphError for an unknown name."""
        known = list(self._signature.settings)
        if name in known or self._signature.takes_any:
            self._settings[name] = value
            return
        if self._init is not None:
            parameters = inspect.signature(self._target).parameters
            if name in parameters:
                self._init = (self._init[0], {**self._init[1], name: value})
                return
            known += parameters
        raise GraphError(
            f"{getattr(self._target, '__name__', 'operator')}: no setting {name!r}; {nearest(name, known)}"
        )

    def make_one(self, instance: int = 0) -> tuple[Any, Callable[[], Any] | None]:
        """The object alone, with no settings."""
        if self._init is None:
            # An object that is no function holds state: each instance has its own.
            shared = instance == 0 or isinstance(self._target, _FUNCTIONS)
            return (self._target if shared else copy.deepcopy(self._target)), None
        args, kwargs = self._init
        made = self._target(*args, **kwargs)
        return made, getattr(made, "close", None)

    def _bound(self, call: Any) -> Any:
        constants, settings = self._constants, self._settings
        if not constants:
            return functools.partial(call, **settings) if settings else call
        places = [constants.get(name, _FROM_FLOW) for name in self._signature.inputs]

        def call_with_constants(*args: Any) -> Any:
            rest = iter(args)
            return call(*(next(rest) if value is _FROM_FLOW else value for value in places), *rest, **settings)

        return call_with_constants


_FROM_FLOW = object()


def _both(first: Callable[[], Any] | None, second: Callable[[], Any] | None) -> Callable[[], Any] | None:
    if first is None or second is None:
        return first or second

    def close() -> None:
        try:
            first()
        finally:
            second()

    return close
