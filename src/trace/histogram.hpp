// How long things take: counts by duration, eight buckets to a power of two, so that a quantile is
// right within 7 %. Recording is one relaxed add.
// Thread-safe. A reader may miss what is recorded meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace penstock::trace {

class Histogram {
 public:
  Histogram() = default;
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;

  /// Negative durations count as 0.
  void record(std::int64_t duration_ns) {
    buckets_[bucket(duration_ns)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t count() const;
  /// The duration that a share `q` (0 to 1) of all is not longer than: the middle of its bucket. 0
  /// if nothing was recorded.
  [[nodiscard]] std::int64_t quantile_ns(double q) const;
  /// What the other one recorded too.
  void add(const Histogram& other);
  void reset();

  // Durations below 8 ns have a bucket each; then eight for each power of two.
  static constexpr std::size_t kBuckets = 8 + 8 * 60;
  [[nodiscard]] static std::size_t bucket(std::int64_t duration_ns);
  [[nodiscard]] static std::int64_t middle_ns(std::size_t bucket);

 private:
  std::array<std::atomic<std::int64_t>, kBuckets> buckets_{};
};

}  // namespace penstock::trace
