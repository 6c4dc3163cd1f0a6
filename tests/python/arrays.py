"""Arrays and tensors that several test files look at, and objects that speak an array's protocols."""

from __future__ import annotations

import numpy as np
import raw_dlpack as raw

import penstock as ps

ARRAY = np.arange(24, dtype="float32").reshape(4, 6)


def interface(array=ARRAY, **fields):
    """An array interface; None leaves a field out."""
    whole = {"version": 3, **array.__array_interface__, **fields}
    return {name: value for name, value in whole.items() if value is not None}


def speaking(**attributes):
    """An object with these attributes; ``keep`` is for what has to live as long."""
    return type("Foreign", (), {"keep": ARRAY, **attributes})()


def owned():
    """A tensor over memory of somebody else, and a weak reference that dies when that is let go."""
    producer = raw.Producer()
    return ps.as_tensor(producer), producer.watch()


def numbers(dtype="int32"):
    return ps.as_tensor(np.arange(24).reshape(4, 6).astype(dtype))


def readonly():
    array = np.arange(24, dtype="int32").reshape(4, 6)
    array.flags.writeable = False
    return ps.as_tensor(array)


VIEWS = {
    "whole": lambda t: t,
    "offset": lambda t: t[2:],
    "steps": lambda t: t[::2, 1::3],
    "backwards": lambda t: t[::-1, ::-1],
    "a row": lambda t: t[1],
    "an element": lambda t: t[1, 2],
    "one row": lambda t: t[1:2],
    "a new axis": lambda t: t[:, None, 1:],
    "nothing": lambda t: t[1:1],
}
