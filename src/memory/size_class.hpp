// Size classes: multiples of 256 bytes, four to a power of two from 1 KiB on, so that a block
// wastes at most 25 % of what was asked for (and at most 255 bytes of small requests), and every
// block begins at a multiple of 256 bytes, as CUDA's own allocations do.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace penstock::memory {

inline constexpr std::size_t kAlignment = 256;
inline constexpr std::size_t kSmallest = kAlignment;
inline constexpr std::uint32_t kClasses = 4 * 40;

/// The smallest class that holds `bytes`.
[[nodiscard]] constexpr std::uint32_t size_class(std::size_t bytes) {
  if (bytes == 0) return 0;
  const std::size_t last = bytes - 1;
  if (last < 4 * kAlignment) return static_cast<std::uint32_t>(last / kAlignment);
  const auto power = static_cast<std::uint32_t>(std::bit_width(last)) - 1;  // 2^power <= last
  const auto quarter = static_cast<std::uint32_t>(last >> (power - 2)) & 3;
  return (power - 9) * 4 + quarter;
}

[[nodiscard]] constexpr std::size_t class_bytes(std::uint32_t size_class) {
  if (size_class < 4) return kAlignment * (size_class + 1);
  const std::size_t quarter = kAlignment << (size_class / 4 - 1);
  return quarter * (4 + size_class % 4 + 1);
}

/// The largest request that has a class.
inline constexpr std::size_t kLargest = class_bytes(kClasses - 1);

}  // namespace penstock::memory
