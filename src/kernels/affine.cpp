#include "kernels/affine.hpp"

#include "base/throw.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace penstock::kernels {
namespace {

// Ratio of the singular values of (a b; c d), whatever their size. Both follow from the sum and the
// product of their squares.
double condition(double a, double b, double c, double d) {
  const double largest = std::max({std::abs(a), std::abs(b), std::abs(c), std::abs(d)});
  if (largest == 0) return std::numeric_limits<double>::infinity();
  // In two steps: 1 / largest may be infinite.
  a /= largest;
  b /= largest;
  c /= largest;
  d /= largest;
  const double squares = a * a + b * b + c * c + d * d;
  const double product = std::abs(a * d - b * c);
  if (product == 0) return std::numeric_limits<double>::infinity();
  const double ratio = squares / (2 * product);  // (k + 1/k) / 2 of the condition number k
  return ratio + std::sqrt(std::max(0.0, ratio * ratio - 1));
}

}  // namespace

std::array<double, 6> source_map(const char* op, const std::array<double, 6>& m, bool inverse) {
  if (!std::ranges::all_of(m, [](double value) { return std::isfinite(value); })) {
    throw_error<TensorError>("{}: xform ({}) is not finite", op, fmt::join(m, ", "));
  }
  const double number = condition(m[0], m[1], m[3], m[4]);
  if (!(number <= kWorstCondition)) {
    throw_error<TensorError>(
        "{}: xform ({}) is singular: its condition number is {:.3g}, expected at most {:.0e}", op,
        fmt::join(m, ", "), number, kWorstCondition);
  }
  if (inverse) return m;
  // Each row by a power of two of its own size: exact, and no product of two entries overflows.
  const int top = -std::ilogb(std::max(std::abs(m[0]), std::abs(m[1])));
  const int low = -std::ilogb(std::max(std::abs(m[3]), std::abs(m[4])));
  const double a = std::scalbn(m[0], top);
  const double b = std::scalbn(m[1], top);
  const double c = std::scalbn(m[3], low);
  const double d = std::scalbn(m[4], low);
  const double x = std::scalbn(m[2], top);
  const double y = std::scalbn(m[5], low);
  const double determinant = a * d - b * c;
  const std::array<double, 6> back{
      std::scalbn(d / determinant, top), std::scalbn(-b / determinant, low),
      (b * y - d * x) / determinant,     std::scalbn(-c / determinant, top),
      std::scalbn(a / determinant, low), (c * x - a * y) / determinant};
  if (!std::ranges::all_of(back, [](double value) { return std::isfinite(value); })) {
    throw_error<TensorError>("{}: the inverse of xform ({}) is not finite", op, fmt::join(m, ", "));
  }
  return back;
}

}  // namespace penstock::kernels
