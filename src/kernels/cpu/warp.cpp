#include "kernels/cpu/warp.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace penstock::kernels {
namespace {

using detail::kWarpRun;

double clamped(double position) {
  // NaN, from infinity less infinity, goes far out as well.
  const double far = detail::kFarthest;
  return position > -far ? std::min(position, far) : -far;
}

std::int64_t nearest_integer(double value) {
  return std::bit_cast<std::int64_t>(value + detail::kRoundingBias) -
         std::bit_cast<std::int64_t>(detail::kRoundingBias);
}

void find_positions(const std::array<double, 6>& m, int fraction_bits, std::int64_t first_x,
                    std::int64_t y, std::int64_t count, std::int64_t* positions) {
  const auto one = static_cast<double>(std::int64_t{1} << fraction_bits);
  const auto at_y = static_cast<double>(y);
  const double row_x = m[1] * at_y + m[2];
  const double row_y = m[4] * at_y + m[5];
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at_x = static_cast<double>(first_x + i);
    const double across = clamped(m[0] * at_x + row_x);
    const double down = clamped(m[3] * at_x + row_y);
    const bool is_whole = fraction_bits == 0;
    positions[2 * i] = nearest_integer(is_whole ? std::floor(across + 0.5) : across * one);
    positions[2 * i + 1] = nearest_integer(is_whole ? std::floor(down + 0.5) : down * one);
  }
}

// Position as the pixel before it and the fraction behind that. Where the fraction is 0 the pixel
// after it is that pixel, too: what it is doesn't count, be it NaN.
struct Side {
  std::int64_t low, high;
  std::int32_t fraction;

  Side(BorderMode mode, std::int64_t position, int fraction_bits, std::int64_t n)
      : low(border_index(mode, position >> fraction_bits, n)),
        high(low),
        fraction(static_cast<std::int32_t>(position & ((std::int64_t{1} << fraction_bits) - 1))) {
    if (fraction != 0) high = border_index(mode, (position >> fraction_bits) + 1, n);
  }
};

const std::uint8_t* pixel_at(const WarpJob& job, const Plane& src, std::int64_t x, std::int64_t y) {
  if (x < 0 || y < 0) return job.border_pixel.data();
  return src.row(y) + x * src.pixel_stride_bytes;
}

struct Corners {
  Corners(const WarpJob& job, const Plane& src, const Side& x, const Side& y)
      : top_left(pixel_at(job, src, x.low, y.low)),
        top_right(pixel_at(job, src, x.high, y.low)),
        bottom_left(pixel_at(job, src, x.low, y.high)),
        bottom_right(pixel_at(job, src, x.high, y.high)) {}
  const std::uint8_t *top_left, *top_right, *bottom_left, *bottom_right;
};

// Nothing of the image is in reach, and what is around it is constant.
bool is_far_out(const WarpJob& job, const Plane& src, std::int64_t x, std::int64_t y, int bits) {
  const std::int64_t left = x >> bits;
  const std::int64_t top = y >> bits;
  return job.border == BorderMode::constant &&
         (left < -1 || left >= src.width || top < -1 || top >= src.height);
}

double float_at(const std::uint8_t* pixel, std::int64_t channel) {
  float value;
  std::memcpy(&value, pixel + channel * 4, 4);
  return value;
}

double between(double a, double b, double weight) { return weight == 0 ? a : a + (b - a) * weight; }

void linear_f32_pixel(const WarpJob& job, const Plane& src, std::int64_t x, std::int64_t y,
                      std::uint8_t* out) {
  constexpr int bits = detail::kFineFraction;
  if (is_far_out(job, src, x, y, bits)) {
    std::memcpy(out, job.border_pixel.data(), static_cast<std::size_t>(src.channels) * 4);
    return;
  }
  const Side across(job.border, x, bits, src.width);
  const Side down(job.border, y, bits, src.height);
  const Corners at(job, src, across, down);
  const double wx = across.fraction * (1.0 / (1 << bits));
  const double wy = down.fraction * (1.0 / (1 << bits));
  for (std::int64_t c = 0; c < src.channels; ++c) {
    const double top = between(float_at(at.top_left, c), float_at(at.top_right, c), wx);
    const double bottom = between(float_at(at.bottom_left, c), float_at(at.bottom_right, c), wx);
    const auto value = static_cast<float>(between(top, bottom, wy));
    std::memcpy(out + c * 4, &value, 4);
  }
}

// `kBytes` of each pixel, from the pixel nearest to its position.
template <std::size_t kBytes>
void nearest_run_of(const WarpJob& job, const Plane& src, const detail::WarpRun& run,
                    std::int64_t out_stride) {
  for (std::int64_t i = 0; i < run.count; ++i) {
    std::int64_t x = run.positions[2 * i];
    std::int64_t y = run.positions[2 * i + 1];
    if (x < 0 || x >= src.width) x = border_index(job.border, x, src.width);
    if (y < 0 || y >= src.height) y = border_index(job.border, y, src.height);
    std::memcpy(run.out + i * out_stride, pixel_at(job, src, x, y), kBytes);
  }
}

using NearestRun = void (*)(const WarpJob&, const Plane&, const detail::WarpRun&, std::int64_t);

NearestRun nearest_run_for(std::int64_t pixel_bytes) {
  switch (pixel_bytes) {
    case 1:
      return nearest_run_of<1>;
    case 2:
      return nearest_run_of<2>;
    case 3:
      return nearest_run_of<3>;
    case 4:
      return nearest_run_of<4>;
    case 8:
      return nearest_run_of<8>;
    case 12:
      return nearest_run_of<12>;
    default:
      return nearest_run_of<16>;
  }
}

using LinearPixel = void (*)(const WarpJob&, const Plane&, std::int64_t, std::int64_t,
                             std::uint8_t*);

void linear_run(LinearPixel pixel, const WarpJob& job, const Plane& src, const detail::WarpRun& run,
                std::int64_t out_stride) {
  for (std::int64_t i = 0; i < run.count; ++i) {
    pixel(job, src, run.positions[2 * i], run.positions[2 * i + 1], run.out + i * out_stride);
  }
}

// Pixels of a whole row.
bool warp_row(const WarpJob& job, const Plane& src, const MutablePlane& dst, std::int64_t y,
              CpuLevel level) {
#if defined(__x86_64__)
  if (level >= CpuLevel::avx2 && job.element == Element::u8 && detail::fits_avx2(src) &&
      dst.pixel_stride_bytes == dst.channels) {
    detail::warp_u8_row_avx2(job, src, 0, y, dst.width, dst.row(y));
    return true;
  }
#else
  static_cast<void>(job), static_cast<void>(src), static_cast<void>(dst);
  static_cast<void>(y), static_cast<void>(level);
#endif
  return false;
}

void warp_run(const WarpJob& job, const Plane& src, const detail::WarpRun& run,
              const MutablePlane& dst, CpuLevel level) {
  const std::int64_t stride = dst.pixel_stride_bytes;
  if (job.interpolation == Interpolation::nearest) {
    detail::nearest_run(job, src, run, stride);
    return;
  }
  if (job.element == Element::f32) {
    linear_run(linear_f32_pixel, job, src, run, stride);
    return;
  }
#if defined(__x86_64__)
  if (level >= CpuLevel::sse41 && detail::fits_sse41(src) && stride == dst.channels) {
    detail::linear_u8_run_sse41(job, src, run);
    return;
  }
#else
  static_cast<void>(level);
#endif
  linear_run(detail::linear_u8_pixel, job, src, run, stride);
}

}  // namespace

std::int64_t border_index(BorderMode mode, std::int64_t i, std::int64_t n) {
  if (i >= 0 && i < n) return i;
  switch (mode) {
    case BorderMode::constant:
      return -1;
    case BorderMode::replicate:
      return i < 0 ? 0 : n - 1;
    case BorderMode::wrap:
      return i % n + (i % n < 0 ? n : 0);
    case BorderMode::reflect: {
      const std::int64_t at = i % (2 * n) + (i % (2 * n) < 0 ? 2 * n : 0);
      return at < n ? at : 2 * n - 1 - at;
    }
    case BorderMode::reflect_101: {
      if (n == 1) return 0;
      const std::int64_t period = 2 * n - 2;
      const std::int64_t at = i % period + (i % period < 0 ? period : 0);
      return at < n ? at : period - at;
    }
  }
  return -1;
}

void detail::nearest_run(const WarpJob& job, const Plane& src, const WarpRun& run,
                         std::int64_t out_stride) {
  const std::int64_t bytes = src.channels * (job.element == Element::f32 ? 4 : 1);
  nearest_run_for(bytes)(job, src, run, out_stride);
}

void detail::linear_u8_pixel(const WarpJob& job, const Plane& src, std::int64_t x, std::int64_t y,
                             std::uint8_t* out) {
  constexpr std::int32_t one = 1 << kByteFraction;
  if (is_far_out(job, src, x, y, kByteFraction)) {
    for (std::int64_t c = 0; c < src.channels; ++c)
      out[c] = job.border_pixel[static_cast<std::size_t>(c)];
    return;
  }
  const Side across(job.border, x, kByteFraction, src.width);
  const Side down(job.border, y, kByteFraction, src.height);
  const Corners at(job, src, across, down);
  const std::int32_t right = across.fraction;
  const std::int32_t left = one - right;
  const float wy = static_cast<float>(down.fraction) * (1.0F / one);
  for (std::int64_t c = 0; c < src.channels; ++c) {
    const auto top = static_cast<float>(at.top_left[c] * left + at.top_right[c] * right);
    const auto bottom = static_cast<float>(at.bottom_left[c] * left + at.bottom_right[c] * right);
    const float value = (top + (bottom - top) * wy) * (1.0F / one);
    // Half to even, by adding what leaves no room for a fraction: 1.5 · 2^23.
    const auto rounded = std::bit_cast<std::uint32_t>(value + 12582912.0F);
    out[c] = static_cast<std::uint8_t>(rounded);
  }
}

void warp_affine(const WarpJob& job, const Plane& src, const MutablePlane& dst,
                 std::int64_t row_begin, std::int64_t row_end, CpuLevel level) {
  assert(src.channels == dst.channels && row_begin >= 0 && row_end <= dst.height);
  const int bits = job.interpolation == Interpolation::nearest ? 0
                   : job.element == Element::u8                ? detail::kByteFraction
                                                               : detail::kFineFraction;
  auto* find = find_positions;
#if defined(__x86_64__)
  if (level >= CpuLevel::sse41) find = detail::find_positions_sse41;
#endif
  detail::Positions positions;
  for (std::int64_t y = row_begin; y < row_end; ++y) {
    if (warp_row(job, src, dst, y, level)) continue;
    for (std::int64_t x = 0; x < dst.width; x += kWarpRun) {
      const std::int64_t count = std::min(kWarpRun, dst.width - x);
      find(job.matrix, bits, x, y, count, positions.data());
      warp_run(job, src, {positions.data(), count, dst.row(y) + x * dst.pixel_stride_bytes}, dst,
               level);
    }
  }
}

}  // namespace penstock::kernels
