#include "order/range.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace penstock::order::check {
namespace {

using Wide = __int128;  // sums of two spans

constexpr int kMostSteps = 1 << 16;

// Sorts by stride and takes dimensions as one that continue one another, or overlap without a gap.
std::size_t merge(std::span<Level> levels) {
  std::ranges::sort(levels, {}, &Level::stride);
  std::size_t count = 0;
  for (const Level& level : levels) {
    if (count > 0) {
      Level& inner = levels[count - 1];
      const std::int64_t ratio = level.stride / inner.stride;
      if (level.stride % inner.stride == 0 && ratio <= inner.count) {
        inner.count += ratio * (level.count - 1);
        continue;
      }
    }
    levels[count++] = level;
  }
  return count;
}

// Is there a sum of one multiple (0 to count - 1) of each stride, within bounds? Strides fall, so
// that few multiples of one are left to try once the smaller ones can't make up for more.
class Sums {
 public:
  explicit Sums(std::span<Level> levels) {
    count_ = merge(levels);
    for (std::size_t i = count_; i-- > 0;) {
      const Rest& inner = rest_[i + 1];
      const Level level = levels[count_ - 1 - i];
      const bool fits = i + 1 == count_ || (level.stride % inner.divisor == 0 &&
                                            level.stride <= inner.reach + inner.divisor);
      rest_[i] = {level, inner.reach + Wide{level.stride} * (level.count - 1),
                  std::gcd(level.stride, inner.divisor), inner.is_dense && fits};
    }
  }

  [[nodiscard]] bool has_one_in(Wide low, Wide high) {
    steps_ = kMostSteps;
    return search(0, low, high);
  }

 private:
  // This level and the smaller ones.
  struct Rest {
    Level level;
    Wide reach = 0;            // the largest sum
    std::int64_t divisor = 0;  // of all strides, and so of all sums
    bool is_dense = true;      // every multiple of the divisor up to reach is a sum
  };

  [[nodiscard]] bool search(std::size_t at, Wide low, Wide high) {
    const Rest& rest = rest_[at];
    low = std::max<Wide>(low, 0);
    high = std::min(high, rest.reach);
    if (low > high) return false;
    if (at == count_) return true;
    if (high - high % rest.divisor < low) return false;
    if (rest.is_dense) return true;
    const Wide stride = rest.level.stride;
    const Wide missing = low - rest_[at + 1].reach;
    const Wide last = std::min<Wide>(high / stride, rest.level.count - 1);
    for (Wide i = missing <= 0 ? 0 : (missing + stride - 1) / stride; i <= last; ++i) {
      if (--steps_ < 0 || search(at + 1, low - i * stride, high - i * stride)) return true;
    }
    return false;
  }

  std::size_t count_ = 0;
  int steps_ = 0;
  std::array<Rest, 2 * Range::kLevels + 1> rest_;
};

}  // namespace

Range::Range(std::int64_t first, std::int64_t item, std::span<const Level> dims)
    : begin(first), run(item) {
  for (const Level& dim : dims) {
    if (dim.count == 0) run = 0;
  }
  if (run == 0) return;
  for (const Level& dim : dims) {
    if (dim.count == 1 || dim.stride == 0) continue;
    if (dim.stride < 0) begin += dim.stride * (dim.count - 1);
    levels_[count_++] = {std::abs(dim.stride), dim.count};
  }
  count_ = merge({levels_.data(), count_});
  if (count_ == 0 || levels_[0].stride > run) return;
  run += levels_[0].stride * (levels_[0].count - 1);
  // What was too far for the first level to reach may not be for the run.
  std::size_t joined = 1;
  while (joined < count_ && levels_[joined].stride <= run) {
    run += levels_[joined].stride * (levels_[joined].count - 1);
    ++joined;
  }
  std::move(levels_.begin() + static_cast<std::ptrdiff_t>(joined),
            levels_.begin() + static_cast<std::ptrdiff_t>(count_), levels_.begin());
  count_ -= joined;
}

std::int64_t Range::end() const {
  std::int64_t last = begin;
  for (const Level& level : levels()) last += level.stride * (level.count - 1);
  return last + run;
}

bool operator==(const Range& a, const Range& b) {
  return a.begin == b.begin && a.run == b.run && std::ranges::equal(a.levels(), b.levels());
}

bool overlaps(const Range& a, const Range& b) {
  if (a.run <= 0 || b.run <= 0 || a.begin >= b.end() || b.begin >= a.end()) return false;
  if (a.levels().empty() && b.levels().empty()) return true;
  // A byte of both: a's places less b's places are what b begins later, give or take the runs. b's
  // are counted from its last one, so that they add too.
  Wide low = Wide{b.begin} - a.begin - a.run + 1;
  Wide high = Wide{b.begin} - a.begin + b.run - 1;
  const Wide back = Wide{b.end()} - b.begin - b.run;
  std::array<Level, 2 * Range::kLevels> all;
  const auto middle = std::ranges::copy(a.levels(), all.begin()).out;
  const auto last = std::ranges::copy(b.levels(), middle).out;
  return Sums({all.begin(), last}).has_one_in(low + back, high + back);
}

}  // namespace penstock::order::check
