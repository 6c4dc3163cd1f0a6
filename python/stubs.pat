# What nanobind's stub generator can't say by itself.

_core.Tensor.__dlpack_c_exchange_api__:
    \from typing_extensions import CapsuleType
    __dlpack_c_exchange_api__: CapsuleType
