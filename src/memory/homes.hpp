// All home lists of one cache: one for each slot, one for each thread that allocates without a
// stream. Thread-safe; homes are made at first use and never freed.
#pragma once

#include "memory/home.hpp"
#include "order/slot.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace penstock::memory {

class Homes {
 public:
  explicit Homes(std::uint32_t cache_index) : cache_index_(cache_index) {}

  [[nodiscard]] Home& of(const order::Slot& slot);
  /// The calling thread's.
  [[nodiscard]] Home& of_thread();
  /// Every home made so far.
  template <class Body>
  void for_each(Body&& body) {
    const std::uint32_t count = count_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i) body(*all_[i].load(std::memory_order_acquire));
  }

 private:
  static constexpr std::uint32_t kMost = 1 << 16;
  static constexpr std::uint32_t kChunk = 128;
  using Chunk = std::array<std::atomic<Home*>, kChunk>;

  [[nodiscard]] Home& add();
  [[nodiscard]] Home& adopt();

  const std::uint32_t cache_index_;
  std::atomic<std::uint32_t> count_{0};
  std::array<std::atomic<Home*>, kMost> all_{};
  std::array<std::atomic<Chunk*>, kMost / kChunk> by_slot_{};
  std::mutex mutex_;
  std::vector<Home*> of_threads_;
};

}  // namespace penstock::memory
