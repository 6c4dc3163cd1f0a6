// Where and when something is ready: a stream's slot and the number of a mark on it.
// A plain value. Any later mark of the same slot covers the point.
#pragma once

#include <cstdint>

namespace penstock::order {

/// Past this many slots there are no clocks, only waits.
inline constexpr std::uint32_t kClockSlots = 128;
inline constexpr std::uint32_t kNoSlot = UINT32_MAX;
/// The mark of a use that goes on: "all that is on the stream whenever somebody asks".
inline constexpr std::uint64_t kOpenMark = UINT64_MAX;

struct Point {
  std::uint32_t slot = kNoSlot;
  std::uint64_t mark = 0;

  [[nodiscard]] bool is_open() const { return mark == kOpenMark; }
  friend bool operator==(const Point&, const Point&) = default;
};

}  // namespace penstock::order
