"""Device names."""

from __future__ import annotations

from ._core import _device_name, device_count


class Device(str):
    """A device: "cpu" or "cuda:N". Equal to "cuda" for any GPU; its hash is the full string's."""

    __slots__ = ()

    def __new__(cls, name: str = "cpu") -> Device:
        return str.__new__(cls, _device_name(name))

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or (other == "cuda" and self.startswith("cuda"))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def devices() -> list[Device]:
    """All devices: the CPU, then each GPU."""
    return [Device("cpu"), *(Device(f"cuda:{index}") for index in range(device_count()))]
