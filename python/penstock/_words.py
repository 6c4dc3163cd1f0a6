"""The words that speak of an operator, and how the nearest right one is found for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import GraphError

WORDS = (
    "outputs",
    "batch",
    "max_delay_ms",
    "window",
    "stride",
    "per",
    "instances",
    "order",
    "join",
    "on_error",
    "max_errors",
    "host",
    "writes",
    "optional",
    "capacity",
    "policy",
    "max_age_ms",
    "count",
    "every_ms",
    "ready",
    "name",
    "stream_pool",
    "sync",
    "graph",
    "isolation",
)
# Those that name inputs, and what a port calls them.
INPUT_WORDS = ("host", "writes", "optional")
# Those that the explicit form says in setup() and not in the constructor.
SPEC_WORDS = ("outputs", "host", "writes", "optional")
_NOT_OPTIONS = ("outputs", "ready", "stream_pool", "graph", "isolation", *INPUT_WORDS)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name."""
    names = [str(one) for one in known]
    if not names:
        return "there are none"
    import difflib

    near = difflib.get_close_matches(name, names, 1, 0.0) or [names[0]]
    return f"did you mean {near[0]!r}?"


def check_words(owner: str, words: Mapping[str, Any], others: Iterable[str] = ()) -> None:
    """GraphError for an unknown word; ``others`` are names that would also be right here."""
    for word in words:
        if word not in WORDS:
            raise GraphError(f"{owner}: unknown keyword {word!r}; {nearest(word, [*others, *WORDS])}")
    for word, value in words.items():
        _check_value(owner, word, value)


def _check_value(owner: str, word: str, value: Any) -> None:
    def refuse(expected: str) -> None:
        raise GraphError(f"{owner}: {word}={value!r} does not fit: {expected}")

    if value is None:
        return
    if word == "ready" and not callable(value):
        refuse("a callable that takes nothing")
    if word == "isolation" and value != "thread":
        refuse('"thread"')
    if word == "graph" and not isinstance(value, bool):
        refuse("True or False")
    if word == "stream_pool" and not hasattr(value, "acquire"):
        refuse("a StreamPool")
    if word == "name" and (not isinstance(value, str) or not value):
        refuse("a string that is not empty")


def options_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """What the runtime is told of them."""
    return {word: value for word, value in words.items() if word not in _NOT_OPTIONS and value is not None}


def names_of(owner: str, word: str, value: Any) -> tuple[str, ...]:
    """Names of ports from one string or several."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    names = tuple(value)
    if not all(isinstance(name, str) and name for name in names):
        raise GraphError(f"{owner}: {word}={value!r} does not fit: names of ports")
    if len(set(names)) != len(names):
        raise GraphError(f"{owner}: {word}={value!r} names one port twice")
    return names


def inputs_of(owner: str, names: Iterable[str], words: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inputs with what host=, writes= and optional= say of them."""
    ports: list[dict[str, Any]] = [{"name": name} for name in names]
    known = [port["name"] for port in ports]
    for word in INPUT_WORDS:
        for name in names_of(owner, word, words.get(word)):
            if name not in known:
                raise GraphError(f"{owner}: {word}= names an input {name!r} that it has not; {nearest(name, known)}")
            ports[known.index(name)][word] = True
    return ports
