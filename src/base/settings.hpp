// What the environment sets, read once at first use. Wrong values are an Error that names them.
#pragma once

#include <cstdint>
#include <optional>

namespace penstock {

enum class OrderCheck : std::uint8_t { off, report, raise };

struct Settings {
  /// PENSTOCK_WORKERS: C++ threads of the pool; by default one for each core.
  int workers = 0;
  /// PENSTOCK_SEED: the seeded schedule, with delays.
  std::optional<std::uint64_t> seed;
  /// PENSTOCK_CHECK: "order" or "order:raise".
  OrderCheck check = OrderCheck::off;
  /// PENSTOCK_FAULT=block_once: every step blocks once before it runs.
  bool block_once = false;
};

[[nodiscard]] const Settings& settings();

}  // namespace penstock
