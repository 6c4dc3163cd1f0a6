// The matrices of affine warps: checked and inverted in float64. Pure functions.
#pragma once

#include <array>

namespace penstock::kernels {

/// The largest condition number (of the 2x2 part) with which a matrix is not taken for singular.
inline constexpr double kWorstCondition = 1e12;

/// The map from results to sources: the inverse of `xform`, or with `inverse` xform itself.
/// TensorError for NaN, infinity and a singular matrix; `op` begins the message.
[[nodiscard]] std::array<double, 6> source_map(const char* op, const std::array<double, 6>& xform,
                                               bool inverse);

}  // namespace penstock::kernels
