// The memory cache: limits and statistics for each device. Thread-safe.
#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::memory {

/// What a device's cache did and holds. Bytes are those of size classes.
struct Stats {
  std::int64_t hits = 0;
  std::int64_t misses = 0;
  std::int64_t bytes_live = 0;
  std::int64_t bytes_idle = 0;
  /// The most that live and idle were together.
  std::int64_t bytes_peak = 0;
  std::int64_t blocks = 0;
  /// Allocations that waited for work in flight.
  std::int64_t waits = 0;
  /// Blocks that one stream took over from another.
  std::int64_t steals = 0;
  std::int64_t evictions = 0;
};

/// One block of the cache, for snapshot().
struct BlockInfo {
  std::int64_t bytes = 0;
  bool is_live = false;
  std::uintptr_t address = 0;
};

/// Bound on live + idle bytes: by default the smaller of a quarter of the RAM (half the memory of a
/// GPU) and 90 % of what was free at first use.
[[nodiscard]] PENSTOCK_API std::int64_t limit(Device device);
/// Sets the bound; idle blocks beyond it are evicted. 0 keeps nothing. Throws Error if negative.
PENSTOCK_API void set_limit(std::int64_t bytes, Device device);
[[nodiscard]] PENSTOCK_API Stats stats(Device device);
/// Drops idle blocks; live ones leave the count and are freed when dropped.
PENSTOCK_API void clear(Device device);
/// Evicts idle blocks until at most `bytes` are idle.
PENSTOCK_API void trim(std::int64_t bytes, Device device);
PENSTOCK_API void reset_peak(Device device);
[[nodiscard]] PENSTOCK_API std::vector<BlockInfo> snapshot(Device device);

}  // namespace penstock::memory
