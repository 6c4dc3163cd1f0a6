#include "kernels/cpu/warp.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define PENSTOCK_SIMD_TARGET __attribute__((target("avx2")))
#define PENSTOCK_SIMD_OP PENSTOCK_SIMD_TARGET __attribute__((always_inline)) static inline

namespace penstock::kernels {
namespace {

constexpr std::int64_t kGroup = 8;
constexpr int kBits = detail::kByteFraction;
constexpr std::int32_t kOne = 1 << kBits;
// Outside of every image that fits, on either side, and still within 32 bits with the fraction.
constexpr double kBefore = -2;
constexpr double kBehind = 65535.5;

// Where the pixels of a group are that is inside of the image as a whole.
struct Inside {
  std::int64_t columns, rows;
};

// Four positions slope · x + start in 32 bits: the nearest pixels, or with fraction bits.
template <bool kIsNearest>
PENSTOCK_SIMD_OP __m128i four_positions(double slope, double start, __m256d x) {
  __m256d at = _mm256_add_pd(_mm256_mul_pd(_mm256_set1_pd(slope), x), _mm256_set1_pd(start));
  at = _mm256_max_pd(at, _mm256_set1_pd(kBefore));  // which is what NaN becomes
  at = _mm256_min_pd(at, _mm256_set1_pd(kBehind));
  if constexpr (kIsNearest) {
    return _mm256_cvtpd_epi32(_mm256_floor_pd(_mm256_add_pd(at, _mm256_set1_pd(0.5))));
  } else {
    return _mm256_cvtpd_epi32(_mm256_mul_pd(at, _mm256_set1_pd(kOne)));
  }
}

// Those of a group from output pixel x on.
template <bool kIsNearest>
PENSTOCK_SIMD_OP __m256i positions_of(double slope, double start, std::int64_t x) {
  const __m256d first =
      _mm256_add_pd(_mm256_set1_pd(static_cast<double>(x)), _mm256_setr_pd(0, 1, 2, 3));
  const __m256d second = _mm256_add_pd(first, _mm256_set1_pd(4));
  return _mm256_setr_m128i(four_positions<kIsNearest>(slope, start, first),
                           four_positions<kIsNearest>(slope, start, second));
}

PENSTOCK_SIMD_OP bool is_inside(__m256i x, __m256i y, Inside inside) {
  const __m256i before = _mm256_set1_epi32(-1);
  const __m256i columns = _mm256_set1_epi32(static_cast<std::int32_t>(inside.columns));
  const __m256i rows = _mm256_set1_epi32(static_cast<std::int32_t>(inside.rows));
  const __m256i in_row =
      _mm256_and_si256(_mm256_cmpgt_epi32(x, before), _mm256_cmpgt_epi32(columns, x));
  const __m256i in_column =
      _mm256_and_si256(_mm256_cmpgt_epi32(y, before), _mm256_cmpgt_epi32(rows, y));
  return _mm256_movemask_epi8(_mm256_and_si256(in_row, in_column)) == -1;
}

// None of them reaches the image: to the pixels `reach` before it count, too.
PENSTOCK_SIMD_OP bool is_outside(__m256i x, __m256i y, const Plane& src, int reach) {
  const __m256i before = _mm256_set1_epi32(-reach);
  const __m256i columns = _mm256_set1_epi32(static_cast<std::int32_t>(src.width) - 1);
  const __m256i rows = _mm256_set1_epi32(static_cast<std::int32_t>(src.height) - 1);
  const __m256i beside =
      _mm256_or_si256(_mm256_cmpgt_epi32(before, x), _mm256_cmpgt_epi32(x, columns));
  const __m256i above = _mm256_or_si256(_mm256_cmpgt_epi32(before, y), _mm256_cmpgt_epi32(y, rows));
  return _mm256_movemask_epi8(_mm256_or_si256(beside, above)) == -1;
}

template <int kChannels>
PENSTOCK_SIMD_OP void write_border(const WarpJob& job, std::uint8_t* out) {
  for (std::int64_t i = 0; i < kGroup; ++i) {
    std::memcpy(out + i * kChannels, job.border_pixel.data(), kChannels);
  }
}

PENSTOCK_SIMD_OP __m256i offsets_of(__m256i x, __m256i y, const Plane& src) {
  return _mm256_add_epi32(
      _mm256_mullo_epi32(y, _mm256_set1_epi32(static_cast<std::int32_t>(src.pitch_bytes))),
      _mm256_mullo_epi32(x, _mm256_set1_epi32(static_cast<std::int32_t>(src.pixel_stride_bytes))));
}

// 32768 − w and w as 16-bit pairs, negated so that they fit: the sums come out negated, too.
PENSTOCK_SIMD_OP __m256i negated_weights(__m256i fraction) {
  const __m256i left = _mm256_sub_epi32(fraction, _mm256_set1_epi32(kOne));
  const __m256i right = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), fraction), 16);
  return _mm256_or_si256(_mm256_and_si256(left, _mm256_set1_epi32(0xffff)), right);
}

PENSTOCK_SIMD_OP __m256i blend(__m256i top, __m256i bottom, __m256i weights, __m256 down) {
  const __m256 above = _mm256_cvtepi32_ps(_mm256_madd_epi16(top, weights));
  const __m256 below = _mm256_cvtepi32_ps(_mm256_madd_epi16(bottom, weights));
  const __m256 sum = _mm256_add_ps(above, _mm256_mul_ps(_mm256_sub_ps(below, above), down));
  return _mm256_cvtps_epi32(_mm256_mul_ps(sum, _mm256_set1_ps(-1.0F / kOne)));
}

// A group's taps.
struct Taps {
  __m256i offsets, weights;
  __m256 down;
};

// Bytes a and b of each 32 bits as 16-bit lanes.
PENSTOCK_SIMD_OP __m256i spread_pairs(int a, int b) {
  const int lane = a | 0x8000 | (b << 16) | static_cast<int>(0x80000000U);
  const __m256i first = _mm256_set1_epi32(lane);
  const __m256i base = _mm256_setr_epi32(0, 0x00040004, 0x00080008, 0x000c000c, 0, 0x00040004,
                                         0x00080008, 0x000c000c);
  return _mm256_add_epi32(first, base);
}

template <int kChannels>
PENSTOCK_SIMD_OP void write_narrow(const Plane& src, const Taps& taps, std::uint8_t* out) {
  const auto* base = reinterpret_cast<const int*>(src.data);
  const auto* below = reinterpret_cast<const int*>(src.data + src.pitch_bytes);
  const __m256i top = _mm256_i32gather_epi32(base, taps.offsets, 1);
  const __m256i bottom = _mm256_i32gather_epi32(below, taps.offsets, 1);
  const int stride = static_cast<int>(src.pixel_stride_bytes);
  const __m256i first = spread_pairs(0, stride);
  __m256i value = blend(_mm256_shuffle_epi8(top, first), _mm256_shuffle_epi8(bottom, first),
                        taps.weights, taps.down);
  if constexpr (kChannels == 2) {
    const __m256i second = spread_pairs(1, stride + 1);
    const __m256i other = blend(_mm256_shuffle_epi8(top, second),
                                _mm256_shuffle_epi8(bottom, second), taps.weights, taps.down);
    value = _mm256_or_si256(value, _mm256_slli_epi32(other, 8));
  }
  const __m256i words = _mm256_packus_epi32(value, value);
  const __m128i all = _mm256_castsi256_si128(_mm256_permute4x64_epi64(words, 0x08));
  if constexpr (kChannels == 2) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), all);
  } else {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(all, all));
  }
}

// Two windows of 8 bytes, one in each half.
PENSTOCK_SIMD_OP __m256i load_two(const std::uint8_t* a, const std::uint8_t* b) {
  const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a));
  const __m128i high = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b));
  return _mm256_permute4x64_epi64(_mm256_castsi128_si256(_mm_unpacklo_epi64(low, high)), 0x50);
}

// Left and right byte of up to four channels as 16-bit lanes.
PENSTOCK_SIMD_OP __m256i spread_window(int channels, int stride) {
  alignas(16) std::uint8_t from[16];
  std::fill_n(from, 16, std::uint8_t{0x80});
  for (int c = 0; c < channels; ++c) {
    from[4 * c] = static_cast<std::uint8_t>(c);
    from[4 * c + 2] = static_cast<std::uint8_t>(stride + c);
  }
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(from)));
}

template <int kPair>
PENSTOCK_SIMD_OP __m256i blend_two(const Plane& src, const Taps& taps, const std::int32_t* offsets,
                                   __m256i spreading) {
  constexpr int a = 2 * kPair;
  const __m256i lanes = _mm256_setr_epi32(a, a, a, a, a + 1, a + 1, a + 1, a + 1);
  const std::uint8_t* first = src.data + offsets[a];
  const std::uint8_t* second = src.data + offsets[a + 1];
  const __m256i top = load_two(first, second);
  const __m256i bottom = load_two(first + src.pitch_bytes, second + src.pitch_bytes);
  return blend(_mm256_shuffle_epi8(top, spreading), _mm256_shuffle_epi8(bottom, spreading),
               _mm256_permutevar8x32_epi32(taps.weights, lanes),
               _mm256_permutevar8x32_ps(taps.down, lanes));
}

template <int kChannels>
PENSTOCK_SIMD_OP void write_wide(const Plane& src, const Taps& taps, __m256i spreading,
                                 std::uint8_t* out) {
  alignas(32) std::int32_t offsets[kGroup];
  _mm256_store_si256(reinterpret_cast<__m256i*>(offsets), taps.offsets);
  const __m256i low = _mm256_packs_epi32(blend_two<0>(src, taps, offsets, spreading),
                                         blend_two<1>(src, taps, offsets, spreading));
  const __m256i high = _mm256_packs_epi32(blend_two<2>(src, taps, offsets, spreading),
                                          blend_two<3>(src, taps, offsets, spreading));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i pixels = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
  if constexpr (kChannels == 4) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), pixels);
  } else {
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i front = _mm_shuffle_epi8(_mm256_castsi256_si128(pixels), squeeze);
    const __m128i back = _mm_shuffle_epi8(_mm256_extracti128_si256(pixels, 1), squeeze);
    // The first store's last four bytes are the second's first; no byte behind the group.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), front);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 12), back);
    const std::int32_t last = _mm_extract_epi32(back, 2);
    std::memcpy(out + 20, &last, 4);
  }
}

// What is not inside as a whole, and what is left of a row.
void write_rest(const WarpJob& job, const Plane& src, std::int64_t x, std::int64_t y,
                std::int64_t count, std::uint8_t* out) {
  detail::WarpRun run{nullptr, count, out};
  std::array<std::int64_t, 2 * kGroup> positions;
  run.positions = positions.data();
  const bool is_nearest = job.interpolation == Interpolation::nearest;
  detail::find_positions_sse41(job.matrix, is_nearest ? 0 : kBits, x, y, count, positions.data());
  if (is_nearest) {
    detail::nearest_run(job, src, run, src.channels);
  } else {
    detail::linear_u8_run_sse41(job, src, run);
  }
}

// A group that is not inside as a whole.
template <int kChannels>
PENSTOCK_SIMD_TARGET void write_edge(const WarpJob& job, const Plane& src, std::int64_t x,
                                     std::int64_t y, std::int64_t count, bool is_outside,
                                     std::uint8_t* out) {
  if (count >= kGroup && job.border == BorderMode::constant && is_outside) {
    write_border<kChannels>(job, out);
  } else {
    write_rest(job, src, x, y, std::min(count, kGroup), out);
  }
}

template <int kChannels>
PENSTOCK_SIMD_TARGET void linear_row(const WarpJob& job, const Plane& src, std::int64_t x,
                                     std::int64_t y, std::int64_t count, std::uint8_t* out) {
  const auto& m = job.matrix;
  const auto at_y = static_cast<double>(y);
  const double start_x = m[1] * at_y + m[2];
  const double start_y = m[4] * at_y + m[5];
  constexpr std::int64_t window = kChannels <= 2 ? 4 : 8;
  const std::int64_t row_bytes = (src.width - 1) * src.pixel_stride_bytes + kChannels;
  // Where the window still lies in the row: the pixel after it does, too.
  const std::int64_t columns =
      row_bytes < window ? 0 : (row_bytes - window) / src.pixel_stride_bytes + 1;
  const Inside inside{columns, src.height - 1};
  const __m256i spreading = spread_window(kChannels, static_cast<int>(src.pixel_stride_bytes));
  const __m256i fraction = _mm256_set1_epi32(kOne - 1);
  for (; count > 0; count -= kGroup, x += kGroup, out += kGroup * kChannels) {
    const __m256i at_columns = positions_of<false>(m[0], start_x, x);
    const __m256i at_rows = positions_of<false>(m[3], start_y, x);
    const __m256i column = _mm256_srai_epi32(at_columns, kBits);
    const __m256i row = _mm256_srai_epi32(at_rows, kBits);
    if (count < kGroup || !is_inside(column, row, inside)) {
      write_edge<kChannels>(job, src, x, y, count, is_outside(column, row, src, 1), out);
      continue;
    }
    const __m256 down = _mm256_cvtepi32_ps(_mm256_and_si256(at_rows, fraction));
    const Taps taps{offsets_of(column, row, src),
                    negated_weights(_mm256_and_si256(at_columns, fraction)),
                    _mm256_mul_ps(down, _mm256_set1_ps(1.0F / kOne))};
    if constexpr (kChannels <= 2) {
      write_narrow<kChannels>(src, taps, out);
    } else {
      write_wide<kChannels>(src, taps, spreading, out);
    }
  }
}

template <int kChannels>
PENSTOCK_SIMD_TARGET void nearest_row(const WarpJob& job, const Plane& src, std::int64_t x,
                                      std::int64_t y, std::int64_t count, std::uint8_t* out) {
  const auto& m = job.matrix;
  const auto at_y = static_cast<double>(y);
  const double start_x = m[1] * at_y + m[2];
  const double start_y = m[4] * at_y + m[5];
  const Inside inside{src.width, src.height};
  for (; count > 0; count -= kGroup, x += kGroup, out += kGroup * kChannels) {
    const __m256i column = positions_of<true>(m[0], start_x, x);
    const __m256i row = positions_of<true>(m[3], start_y, x);
    if (count < kGroup || !is_inside(column, row, inside)) {
      write_edge<kChannels>(job, src, x, y, count, is_outside(column, row, src, 0), out);
      continue;
    }
    alignas(32) std::int32_t offsets[kGroup];
    _mm256_store_si256(reinterpret_cast<__m256i*>(offsets), offsets_of(column, row, src));
    for (std::int64_t i = 0; i < kGroup; ++i) {
      std::memcpy(out + i * kChannels, src.data + offsets[i], kChannels);
    }
  }
}

}  // namespace

PENSTOCK_SIMD_TARGET void detail::warp_u8_row_avx2(const WarpJob& job, const Plane& src,
                                                   std::int64_t first_x, std::int64_t y,
                                                   std::int64_t count, std::uint8_t* out) {
  using Row = void (*)(const WarpJob&, const Plane&, std::int64_t, std::int64_t, std::int64_t,
                       std::uint8_t*);
  static constexpr Row linear[] = {linear_row<1>, linear_row<2>, linear_row<3>, linear_row<4>};
  static constexpr Row nearest[] = {nearest_row<1>, nearest_row<2>, nearest_row<3>, nearest_row<4>};
  const auto& rows = job.interpolation == Interpolation::nearest ? nearest : linear;
  rows[src.channels - 1](job, src, first_x, y, count, out);
}

}  // namespace penstock::kernels

#endif
