// Numbers that a caller gives for a pixel (a border's value, a colour), as the pixel's bytes; and
// words, as what they stand for. Each message begins with the operation's name.
#pragma once

#include <penstock/dtype.hpp>

#include "base/nearest.hpp"
#include "base/throw.hpp"
#include "kernels/cpu/warp.hpp"

#include <fmt/ranges.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace penstock::kernels {

/// A pixel of u8 (half to even, saturated) or f32 channels from one value for each. TensorError for
/// a NaN that the type can't hold.
[[nodiscard]] PixelBytes pixel_of(const char* op, const char* name, std::span<const double> values,
                                  Dtype dtype);

/// What the word stands for; TensorError with the nearest right one for another.
template <class Value, std::size_t N>
Value choose(const char* op, const char* argument, std::string_view word,
             const std::array<std::pair<std::string_view, Value>, N>& values) {
  std::array<std::string_view, N> names;
  for (std::size_t i = 0; i < N; ++i) {
    if (values[i].first == word) return values[i].second;
    names[i] = values[i].first;
  }
  throw_error<TensorError>("{}: {} \"{}\" is not supported; did you mean \"{}\"? Supported: {}", op,
                           argument, word, penstock::nearest(word, names), fmt::join(names, ", "));
}

}  // namespace penstock::kernels
