# What nanobind's stub generator can't say by itself.

_core.Tensor.__dlpack__:
    \from typing_extensions import CapsuleType
    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None, dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> CapsuleType: ...

_core.Tensor.__dlpack_c_exchange_api__:
    __dlpack_c_exchange_api__: CapsuleType

_core.__suffix__:
    __version__: str
