// A named count that many threads raise: a few nanoseconds, no shared cache line between threads in
// general. Static objects: a counter registers itself and is never gone.
// Thread-safe. A reader sees every add that came before; adds under way may be missing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace penstock::trace {

class Counter {
 public:
  /// `name` lives as long as the program.
  explicit Counter(std::string_view name);
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void add(std::int64_t amount = 1) {
    shards_[shard()].value.fetch_add(amount, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t value() const;
  [[nodiscard]] std::string_view name() const { return name_; }

 private:
  static constexpr std::size_t kShards = 16;
  struct alignas(64) Shard {
    std::atomic<std::int64_t> value{0};
  };
  /// Threads take shards in turn.
  [[nodiscard]] static std::size_t shard() {
    static std::atomic<std::size_t> threads{0};
    thread_local const std::size_t own = threads.fetch_add(1, std::memory_order_relaxed) % kShards;
    return own;
  }

  std::string_view name_;
  std::array<Shard, kShards> shards_;
};

/// Every counter of the program, in the order of their making.
[[nodiscard]] std::vector<const Counter*> counters();

}  // namespace penstock::trace
