// For each slot the newest mark that a stream's work is ordered behind, directly or through others.
// Raised under the stream's lock, after the wait is enqueued; read without it: an entry that is
// seen was true already.
#pragma once

#include "order/point.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace penstock::order {

class Clock {
 public:
  [[nodiscard]] bool covers(Point point) const {
    return point.slot < kClockSlots &&
           entries_[point.slot].load(std::memory_order_acquire) >= point.mark;
  }
  void raise(Point point) {
    if (point.slot >= kClockSlots) return;
    auto& entry = entries_[point.slot];
    if (entry.load(std::memory_order_relaxed) < point.mark) {
      entry.store(point.mark, std::memory_order_release);
    }
  }
  void raise(std::span<const std::uint64_t> snapshot) {
    for (std::uint32_t slot = 0; slot < snapshot.size(); ++slot) raise({slot, snapshot[slot]});
  }
  void copy_to(std::span<std::uint64_t> snapshot) const {
    for (std::uint32_t slot = 0; slot < snapshot.size(); ++slot) {
      snapshot[slot] = entries_[slot].load(std::memory_order_relaxed);
    }
  }
  void clear() {
    for (auto& entry : entries_) entry.store(0, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kClockSlots> entries_{};
};

}  // namespace penstock::order
