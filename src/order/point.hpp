// Where and when something is ready: a stream's slot and the number of a mark on it.
// A plain value. Any later mark of the same slot covers the point.
#pragma once

#include <cstdint>

namespace penstock::order {

/// Past this many slots there are no clocks, only waits.
inline constexpr std::uint32_t kClockSlots = 128;
inline constexpr std::uint32_t kNoSlot = UINT32_MAX;
/// In the mark of a use that goes on, beside the number that was next when it began: "all that is
/// on the stream whenever somebody asks".
inline constexpr std::uint64_t kOpenBit = std::uint64_t{1} << 63;

struct Point {
  std::uint32_t slot = kNoSlot;
  std::uint64_t mark = 0;

  [[nodiscard]] bool is_open() const { return (mark & kOpenBit) != 0; }
  friend bool operator==(const Point&, const Point&) = default;
};

}  // namespace penstock::order
