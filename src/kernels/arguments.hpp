// Checks that the imaging operations share. Each message begins with the operation's name.
#pragma once

#include <penstock/ops.hpp>
#include <penstock/tensor.hpp>

#include "kernels/cpu/planes.hpp"
#include "tensor/tensor_data.hpp"
#include "tensor/work.hpp"

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace penstock::kernels {

/// The element types that an operation takes.
inline constexpr std::array kBytesOnly{u8};
inline constexpr std::array kBytesAndFloats{u8, f32};

/// A stack of interleaved images in one tensor: (H, W), (H, W, C) or (N, H, W, C).
struct Images {
  std::int64_t count = 1;
  std::int64_t batch_stride = 0;
  Plane first{};

  [[nodiscard]] Plane at(std::int64_t index) const {
    Plane plane = first;
    plane.data += index * batch_stride;
    return plane;
  }
};

/// The tensor as images. TensorError naming layout, dtype, strides or channels otherwise.
[[nodiscard]] Images as_images(const char* op, const char* name, const Tensor& tensor,
                               std::span<const Dtype> dtypes = kBytesOnly);
/// A plane that may be written.
[[nodiscard]] MutablePlane writable(const Plane& plane);
/// The shape of `src` with another height and width.
[[nodiscard]] Shape resized_shape(const Tensor& src, Size size);
/// `out` if it is given and fits, else a new packed tensor for the stream.
[[nodiscard]] Tensor output(const char* op, const std::optional<Tensor>& out, const Shape& shape,
                            const Layout& layout, Device device, order::Stream* stream,
                            Dtype dtype = u8);
/// TensorError if the two share memory.
void refuse_overlap(const char* op, const Tensor& src, const Tensor& out);
/// The stream to work on: the one given, the current one, or nullptr.
[[nodiscard]] order::Stream* working_stream(const char* op, const std::optional<Stream>& stream,
                                            Device device);

}  // namespace penstock::kernels
