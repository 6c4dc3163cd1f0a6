// The one time source: monotonic nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>

namespace penstock {

[[nodiscard]] inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// A cheap counter that only grows (on one core at least); its unit means nothing.
[[nodiscard]] inline std::uint64_t ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(now_ns());
#endif
}

inline constexpr std::int64_t kNever = INT64_MAX;

}  // namespace penstock
