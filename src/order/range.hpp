// The bytes that a strided view covers, without a list of them, and whether two views share one.
// A plain value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock::order::check {

/// One dimension: so many places, so many bytes apart.
struct Level {
  std::int64_t stride = 0;
  std::int64_t count = 1;

  friend bool operator==(const Level&, const Level&) = default;
};

/// Addresses: runs of `run` bytes, at `begin` and at all sums of its levels' places from there.
struct Range {
  static constexpr std::size_t kLevels = 16;

  Range() = default;
  /// The elements of `item` bytes of a view whose first one is at `first`; at most kLevels
  /// dimensions, strides of any sign.
  Range(std::int64_t first, std::int64_t item, std::span<const Level> dims);

  [[nodiscard]] std::span<const Level> levels() const { return {levels_.data(), count_}; }
  /// One past the last byte.
  [[nodiscard]] std::int64_t end() const;
  friend bool operator==(const Range& a, const Range& b);

  std::int64_t begin = 0;
  std::int64_t run = 0;  // 0: no byte at all

 private:
  std::size_t count_ = 0;
  std::array<Level, kLevels> levels_;  // strides rise and are longer than the run
};

/// True if they share a byte. Exact, but for views with strides so odd that finding out takes too
/// long: those are taken to overlap where their ends do.
[[nodiscard]] bool overlaps(const Range& a, const Range& b);

}  // namespace penstock::order::check
