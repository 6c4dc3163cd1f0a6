// Size classes: four to a power of two, from 256 bytes, so that a block wastes at most 25 % of what
// was asked for (and at most 255 bytes of small requests).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace penstock::memory {

inline constexpr std::size_t kSmallest = 256;
inline constexpr std::uint32_t kClasses = 4 * 40;

/// The smallest class that holds `bytes`.
[[nodiscard]] constexpr std::uint32_t size_class(std::size_t bytes) {
  if (bytes <= kSmallest) return 0;
  const std::size_t last = bytes - 1;
  const auto power = static_cast<std::uint32_t>(std::bit_width(last)) - 1;  // 2^power <= last
  const auto quarter = static_cast<std::uint32_t>(last >> (power - 2)) & 3;
  return (power - 8) * 4 + quarter + 1;
}

[[nodiscard]] constexpr std::size_t class_bytes(std::uint32_t size_class) {
  const std::size_t power = kSmallest << (size_class / 4);
  return power + power / 4 * (size_class % 4);
}

/// The largest request that has a class.
inline constexpr std::size_t kLargest = class_bytes(kClasses - 1);

}  // namespace penstock::memory
