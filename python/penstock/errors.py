"""The errors of Penstock. Each is also the standard exception that a caller would expect."""

from __future__ import annotations


class Error(Exception):
    """Root of all errors of this library."""


class TensorError(Error, ValueError):
    """A tensor that can't be wrapped, viewed or exported as asked."""


class ExchangeError(TensorError, BufferError):
    """A refusal that the DLPack and buffer protocols call BufferError."""


class ArgumentTypeError(Error, TypeError):
    """An argument of a type that is not accepted."""


class StreamError(Error, RuntimeError):
    """A stream, an event or an order that can't be had; a race found by the checker."""


class OutOfMemory(Error, MemoryError):  # noqa: N818 - the word that users search for
    """Memory that can't be had, with sizes and holders."""


class DeviceError(Error, RuntimeError):
    """A device that is not there, does not do what is asked, or was lost."""


class GraphError(Error, ValueError):
    """A graph that can't run: an unknown port or setting, an input that is not connected, types that don't fit."""


class DeadlockError(Error, RuntimeError):
    """A graph in which nothing can run any more, with who waits for whom."""


class ServeError(Error, ValueError):
    """A request that can't be served."""


class Overloaded(ServeError):  # noqa: N818 - the word that users search for
    """The queue of a server is full."""


class RequestTimeout(Error, TimeoutError):  # noqa: N818 - the word that users search for
    """A request that was not served in time."""


class MediaError(Error, OSError):
    """A file or stream that can't be read or written as media."""
