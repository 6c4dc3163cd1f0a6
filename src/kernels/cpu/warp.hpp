// Affine warps of images on the CPU. Output pixel (x, y) is taken at M·(x, y, 1) in the source,
// computed in float64 for each pixel; integer pixel centres.
// Nearest takes the pixel at floor(x + 1/2). Linear positions are rounded to 1/2^15 pixel for 8
// bits, else to 1/2^20, so that what is a whole or half position in exact arithmetic is one here.
// Linear, 8 bits, weights in 1/32768:
//   h(row) = left·(32768 − wx) + right·wx, an integer
//   result = (h(top) + (h(bottom) − h(top))·wy) / 32768 in float32, half to even
// That is within 0.508 of the exact value. Every CPU level gives the same bits. A job is a value.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/cpu/cpu_level.hpp"
#include "kernels/cpu/planes.hpp"

namespace penstock::kernels {

enum class Interpolation : std::uint8_t { nearest, linear };
enum class BorderMode : std::uint8_t { constant, replicate, reflect, reflect_101, wrap };
enum class Element : std::uint8_t { u8, f32 };

/// A pixel's bytes: up to four channels of up to four bytes.
using PixelBytes = std::array<std::uint8_t, 16>;

struct WarpJob {
  /// Rows of the map from the result to the source; finite.
  std::array<double, 6> matrix{};
  Interpolation interpolation = Interpolation::linear;
  BorderMode border = BorderMode::constant;
  Element element = Element::u8;
  PixelBytes border_pixel{};
};

/// Writes output rows [row_begin, row_end) of `dst`; ranges may run on different threads. The
/// planes have the same channels, sides from 1 to 2^30, and must not overlap. No allocation.
void warp_affine(const WarpJob& job, const Plane& src, const MutablePlane& dst,
                 std::int64_t row_begin, std::int64_t row_end, CpuLevel level = best_cpu_level());

/// Index in [0, n) of position i, or -1 for "constant" outside.
[[nodiscard]] std::int64_t border_index(BorderMode mode, std::int64_t i, std::int64_t n);

namespace detail {

inline constexpr int kByteFraction = 15;
inline constexpr int kFineFraction = 20;
/// Positions are clamped to ± this: beyond any image, and small enough for any fraction.
inline constexpr double kFarthest = 2147483647.0;
/// Added to a double below 2^51, the integer nearest to it is in the low bits.
inline constexpr double kRoundingBias = 6755399441055744.0;  // 1.5 · 2^52

/// Pixels that are done at a time.
inline constexpr std::int64_t kWarpRun = 128;
/// x and y of each pixel, with fraction bits; without any, the pixel nearest to it.
using Positions = std::array<std::int64_t, 2 * kWarpRun>;

/// One row's run: positions of `count` pixels, and where they go.
struct WarpRun {
  const std::int64_t* positions;
  std::int64_t count;
  std::uint8_t* out;
};

/// Nearest, any type, anywhere. `positions` are whole.
void nearest_run(const WarpJob& job, const Plane& src, const WarpRun& run, std::int64_t out_stride);
/// Linear, 8-bit, anywhere: one pixel's channels.
void linear_u8_pixel(const WarpJob& job, const Plane& src, std::int64_t x, std::int64_t y,
                     std::uint8_t* out);

#if defined(__x86_64__)
/// The same for a run. The planes' pixels fit fits_sse41().
void linear_u8_run_sse41(const WarpJob& job, const Plane& src, const WarpRun& run);
void find_positions_sse41(const std::array<double, 6>& matrix, int fraction_bits,
                          std::int64_t first_x, std::int64_t y, std::int64_t count,
                          std::int64_t* positions);
/// `count` output pixels of row y from `first_x` on, 8 bits, packed; the plane fits_avx2().
void warp_u8_row_avx2(const WarpJob& job, const Plane& src, std::int64_t first_x, std::int64_t y,
                      std::int64_t count, std::uint8_t* out);
/// Two pixels side by side lie in 8 bytes.
[[nodiscard]] inline bool fits_sse41(const Plane& src) {
  return src.pixel_stride_bytes + src.channels <= 8;
}
/// Besides, one of one or two channels in 4 bytes; positions with fraction bits, and offsets, fit
/// 32 bits.
[[nodiscard]] inline bool fits_avx2(const Plane& src) {
  constexpr std::int64_t longest = 65536;
  constexpr std::int64_t far = std::int64_t{1} << 31;
  const std::int64_t pitch = src.pitch_bytes < 0 ? -src.pitch_bytes : src.pitch_bytes;
  const std::int64_t window = src.pixel_stride_bytes + src.channels;
  return window <= (src.channels <= 2 ? 4 : 8) && src.width <= longest && src.height <= longest &&
         pitch < far && pitch * src.height + src.width * 8 < far;
}
#endif

}  // namespace detail

}  // namespace penstock::kernels
