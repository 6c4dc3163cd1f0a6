// as_tensor: wraps, with no copy, any object that speaks one of the protocols. With the GIL.
#pragma once

#include <penstock/tensor.hpp>

#include "pybridge/python.hpp"

namespace penstock::pybridge {

struct TypeTraits;

/// Tried in this order: a Penstock tensor, DLPack's C exchange API, __dlpack__,
/// __cuda_array_interface__, the buffer protocol, __array_interface__, an OpenCV GpuMat. Throws
/// ArgumentTypeError for something else, TensorError for a wrong array; exceptions of the producer
/// come out as they are. `on_release` (may be None) is called once after the last use.
[[nodiscard]] Tensor import_tensor(nb::handle object, Layout layout, nb::handle on_release);

/// The tensor behind a Penstock tensor, nullptr if it is none.
[[nodiscard]] const Tensor* own_tensor(nb::handle object);

/// By the C exchange API that the type has. Empty: it refused by a BufferError, which `refusal`
/// gets.
[[nodiscard]] std::optional<Tensor> import_exchange(nb::handle object, const TypeTraits& type,
                                                    const Layout& layout, nb::handle on_release,
                                                    PyRef& refusal);

/// CuPy's array by its attributes, which say the same as its protocols in a fraction of the time.
[[nodiscard]] Tensor import_cupy(nb::handle object, const Layout& layout, nb::handle on_release);

// One for each other protocol. Empty: the object does not speak it.
/// `refusal` gets the producer's BufferError, after which the next protocol is tried.
[[nodiscard]] std::optional<Tensor> import_dlpack(nb::handle object, const Layout& layout,
                                                  nb::handle on_release, PyRef& refusal);
[[nodiscard]] std::optional<Tensor> import_cuda_array(nb::handle object, const Layout& layout,
                                                      nb::handle on_release);
[[nodiscard]] std::optional<Tensor> import_buffer(nb::handle object, const Layout& layout,
                                                  nb::handle on_release);
[[nodiscard]] std::optional<Tensor> import_array(nb::handle object, const Layout& layout,
                                                 nb::handle on_release);
[[nodiscard]] std::optional<Tensor> import_gpu_mat(nb::handle object, const Layout& layout,
                                                   nb::handle on_release);

}  // namespace penstock::pybridge
