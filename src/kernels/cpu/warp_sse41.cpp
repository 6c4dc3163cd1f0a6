#include "kernels/cpu/warp.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define PENSTOCK_SIMD_TARGET __attribute__((target("sse4.1")))
#define PENSTOCK_SIMD_OP PENSTOCK_SIMD_TARGET __attribute__((always_inline)) static inline

namespace penstock::kernels {
namespace {

constexpr int kBits = detail::kByteFraction;
constexpr std::int32_t kOne = 1 << kBits;

// Where the two bytes of each channel lie in a window that begins with the left pixel: spread to
// 16-bit lanes left, right, left, right …; 0x80 gives zero.
PENSTOCK_SIMD_OP __m128i spread(std::int64_t channels, std::int64_t pixel_stride) {
  alignas(16) std::uint8_t from[16];
  std::fill_n(from, 16, std::uint8_t{0x80});
  for (std::int64_t c = 0; c < channels; ++c) {
    from[4 * c] = static_cast<std::uint8_t>(c);
    from[4 * c + 2] = static_cast<std::uint8_t>(pixel_stride + c);
  }
  return _mm_load_si128(reinterpret_cast<const __m128i*>(from));
}

// 8, 4 or 2 bytes, no more than the two pixels have.
template <int kBytes>
PENSTOCK_SIMD_OP __m128i load_window(const std::uint8_t* p) {
  if constexpr (kBytes == 8) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  } else if constexpr (kBytes == 4) {
    std::int32_t four;
    std::memcpy(&four, p, 4);
    return _mm_cvtsi32_si128(four);
  } else {
    std::uint16_t two;
    std::memcpy(&two, p, 2);
    return _mm_cvtsi32_si128(two);
  }
}

// Weights 32768 − w and w, negated so that they fit 16 bits: the sums come out negated, too, and so
// does the factor of the end.
PENSTOCK_SIMD_OP __m128i negated_weights(std::int64_t fraction) {
  const auto w = static_cast<std::int32_t>(fraction);
  return _mm_set1_epi32(((w - kOne) & 0xffff) |
                        static_cast<std::int32_t>(0U - (static_cast<std::uint32_t>(w) << 16)));
}

PENSTOCK_SIMD_OP std::int32_t blend(__m128i top, __m128i bottom, __m128i weights,
                                    std::int64_t down) {
  const __m128 wy = _mm_set1_ps(static_cast<float>(down) * (1.0F / kOne));
  const __m128 above = _mm_cvtepi32_ps(_mm_madd_epi16(top, weights));
  const __m128 below = _mm_cvtepi32_ps(_mm_madd_epi16(bottom, weights));
  const __m128 sum = _mm_add_ps(above, _mm_mul_ps(_mm_sub_ps(below, above), wy));
  const __m128i value = _mm_cvtps_epi32(_mm_mul_ps(sum, _mm_set1_ps(-1.0F / kOne)));
  const __m128i words = _mm_packs_epi32(value, value);
  return _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
}

template <int kWindow, int kChannels>
PENSTOCK_SIMD_TARGET void run_of(const WarpJob& job, const Plane& src, const detail::WarpRun& run) {
  const __m128i spreading = spread(kChannels, src.pixel_stride_bytes);
  // Where the window still lies in the row: the pixel after it does, too.
  const std::int64_t row_bytes = (src.width - 1) * src.pixel_stride_bytes + kChannels;
  const std::int64_t columns =
      row_bytes < kWindow ? 0 : (row_bytes - kWindow) / src.pixel_stride_bytes + 1;
  const std::int64_t rows = src.height - 1;
  std::uint8_t* out = run.out;
  for (std::int64_t i = 0; i < run.count; ++i, out += kChannels) {
    const std::int64_t at_x = run.positions[2 * i];
    const std::int64_t at_y = run.positions[2 * i + 1];
    const std::int64_t x = at_x >> kBits;
    const std::int64_t y = at_y >> kBits;
    if (static_cast<std::uint64_t>(x) >= static_cast<std::uint64_t>(columns) ||
        static_cast<std::uint64_t>(y) >= static_cast<std::uint64_t>(rows)) {
      detail::linear_u8_pixel(job, src, at_x, at_y, out);
      continue;
    }
    const std::uint8_t* top = src.row(y) + x * src.pixel_stride_bytes;
    const std::int32_t pixel =
        blend(_mm_shuffle_epi8(load_window<kWindow>(top), spreading),
              _mm_shuffle_epi8(load_window<kWindow>(top + src.pitch_bytes), spreading),
              negated_weights(at_x & (kOne - 1)), at_y & (kOne - 1));
    std::memcpy(out, &pixel, kChannels);
  }
}

}  // namespace

PENSTOCK_SIMD_TARGET void detail::linear_u8_run_sse41(const WarpJob& job, const Plane& src,
                                                      const WarpRun& run) {
  switch (src.channels) {
    case 1:
      return src.pixel_stride_bytes == 1 ? run_of<2, 1>(job, src, run)
                                         : run_of<8, 1>(job, src, run);
    case 2:
      return src.pixel_stride_bytes == 2 ? run_of<4, 2>(job, src, run)
                                         : run_of<8, 2>(job, src, run);
    case 3:
      return run_of<8, 3>(job, src, run);
    default:
      return run_of<8, 4>(job, src, run);
  }
}

PENSTOCK_SIMD_TARGET void detail::find_positions_sse41(const std::array<double, 6>& m,
                                                       int fraction_bits, std::int64_t first_x,
                                                       std::int64_t y, std::int64_t count,
                                                       std::int64_t* positions) {
  const auto at_y = static_cast<double>(y);
  const __m128d column = _mm_setr_pd(m[0], m[3]);
  const __m128d row = _mm_setr_pd(m[1] * at_y + m[2], m[4] * at_y + m[5]);
  const __m128d one = _mm_set1_pd(static_cast<double>(std::int64_t{1} << fraction_bits));
  const __m128d bias = _mm_set1_pd(kRoundingBias);
  for (std::int64_t i = 0; i < count; ++i) {
    const __m128d x = _mm_set1_pd(static_cast<double>(first_x + i));
    __m128d at = _mm_add_pd(_mm_mul_pd(column, x), row);
    at = _mm_max_pd(at, _mm_set1_pd(-kFarthest));  // which is what NaN becomes
    at = _mm_min_pd(at, _mm_set1_pd(kFarthest));
    at = fraction_bits == 0 ? _mm_floor_pd(_mm_add_pd(at, _mm_set1_pd(0.5))) : _mm_mul_pd(at, one);
    at = _mm_add_pd(at, bias);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(positions + 2 * i),
                     _mm_sub_epi64(_mm_castpd_si128(at), _mm_castpd_si128(bias)));
  }
}

}  // namespace penstock::kernels

#endif
