// Boxes as callers have them, as whole pixels. Pure functions; the tensor's memory is read at once.
#pragma once

#include <penstock/ops.hpp>

#include "kernels/cpu/boxes.hpp"

#include <span>
#include <vector>

namespace penstock::kernels {

/// Edges rounded, ties to even. TensorError that names the box with a NaN.
[[nodiscard]] std::vector<PixelBox> pixel_boxes(std::span<const Box> boxes);
/// TensorError if it is no (N, 4) of integers, f32 or f64 on the CPU; anything empty is no box.
void check_boxes(const Tensor& boxes);
/// The boxes of a checked tensor whose work is complete.
[[nodiscard]] std::vector<PixelBox> read_boxes(const Tensor& boxes);

}  // namespace penstock::kernels
