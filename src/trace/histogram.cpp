#include "trace/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace penstock::trace {

std::size_t Histogram::bucket(std::int64_t duration_ns) {
  const auto duration = static_cast<std::uint64_t>(std::max<std::int64_t>(duration_ns, 0));
  if (duration < 8) return duration;
  const int power = std::bit_width(duration) - 1;  // 3 or more
  const std::uint64_t eighth = (duration >> (power - 3)) & 7;
  return 8 + 8 * static_cast<std::size_t>(power - 3) + eighth;
}

std::int64_t Histogram::middle_ns(std::size_t bucket) {
  if (bucket < 8) return static_cast<std::int64_t>(bucket);
  const std::size_t power = (bucket - 8) / 8;  // of the width
  const std::int64_t low = static_cast<std::int64_t>(8 + (bucket - 8) % 8) << power;
  return low + (std::int64_t{1} << power) / 2;
}

std::int64_t Histogram::count() const {
  std::int64_t sum = 0;
  for (const auto& bucket : buckets_) sum += bucket.load(std::memory_order_relaxed);
  return sum;
}

std::int64_t Histogram::quantile_ns(double q) const {
  const std::int64_t all = count();
  if (all == 0) return 0;
  const auto wanted = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(all))));
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen >= wanted) return middle_ns(i);
  }
  return middle_ns(kBuckets - 1);
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const auto count = other.buckets_[i].load(std::memory_order_relaxed);
    if (count != 0) buckets_[i].fetch_add(count, std::memory_order_relaxed);
  }
}

void Histogram::reset() {
  for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
}

}  // namespace penstock::trace
