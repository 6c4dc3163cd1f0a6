// Tensors on a GPU in other libraries' hands: the stream that they work on waits for the tensor's
// point, and what they do there counts as a use until they let go. With the GIL.
#pragma once

#include <penstock/tensor.hpp>

#include "pybridge/python.hpp"

#include <cstdint>

namespace penstock::pybridge {

/// To what works on that stream: a handle, 1 for the legacy stream, 2 for the thread's own.
void lend(const Tensor& tensor, std::uintptr_t handle);
/// To what works on the libraries' current streams, or if there are none on the legacy stream.
void lend_to_current(const Tensor& tensor);
/// To somebody who orders his work himself and does not say where: the whole context counts.
void lend_unordered(const Tensor& tensor);

/// __dlpack__'s argument for a tensor on a GPU. Waits, and notes the use.
void lend_by_dlpack(const Tensor& tensor, nb::handle stream);

/// __cuda_array_interface__ version 3, with the stream on which the tensor is ready.
[[nodiscard]] nb::dict cuda_array_interface(const Tensor& tensor);

}  // namespace penstock::pybridge
