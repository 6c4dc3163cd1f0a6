// A Penstock tensor as other libraries' protocols have it. With the GIL, which is given up while
// something is waited for.
#pragma once

#include <penstock/tensor.hpp>

#include "pybridge/python.hpp"

namespace penstock::pybridge {

/// `__dlpack__` of the 2024.12 array API standard. ExchangeError (a BufferError) where it says so.
[[nodiscard]] nb::object export_dlpack(const Tensor& tensor, nb::handle stream,
                                       nb::handle max_version, nb::handle dl_device,
                                       nb::handle copy);
[[nodiscard]] nb::tuple dlpack_device(const Tensor& tensor);
/// The capsule for `__dlpack_c_exchange_api__`.
[[nodiscard]] nb::object exchange_api_capsule();
/// What the two array interfaces have in common.
[[nodiscard]] nb::dict interface_of(const Tensor& tensor);
/// `__array_interface__` v3. AttributeError where it does not apply.
[[nodiscard]] nb::dict array_interface(const Tensor& tensor);
/// Slots of the type: the buffer protocol.
extern PyType_Slot buffer_slots[];

/// A NumPy array, a PyTorch tensor over the same memory.
[[nodiscard]] nb::object to_numpy(const Tensor& tensor);
/// NumPy's `__array__`.
[[nodiscard]] nb::object to_numpy(const Tensor& tensor, nb::handle dtype, nb::handle copy);
[[nodiscard]] nb::object to_torch(const Tensor& tensor);

}  // namespace penstock::pybridge
