#include "kernels/cpu/row_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#define PENSTOCK_SIMD_TARGET __attribute__((target("avx2")))
#define PENSTOCK_SIMD_OP PENSTOCK_SIMD_TARGET __attribute__((always_inline)) static inline

namespace penstock::kernels {
namespace {

struct Simd {
  using Reg = __m256i;
  static constexpr std::int64_t kBytes = 32;

  PENSTOCK_SIMD_OP __m128i load_half(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  PENSTOCK_SIMD_OP void store_half(void* p, __m128i a) {
    _mm_storeu_si128(static_cast<__m128i*>(p), a);
  }
  PENSTOCK_SIMD_OP Reg load(const void* p) {
    return _mm256_loadu_si256(static_cast<const Reg*>(p));
  }
  PENSTOCK_SIMD_OP void store(void* p, Reg a) { _mm256_storeu_si256(static_cast<Reg*>(p), a); }
  PENSTOCK_SIMD_OP Reg load_halves(const void* low, const void* high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(low)), load_half(high), 1);
  }
  PENSTOCK_SIMD_OP void store_halves(void* low, void* high, Reg a) {
    store_half(low, _mm256_castsi256_si128(a));
    store_half(high, _mm256_extracti128_si256(a, 1));
  }
  PENSTOCK_SIMD_OP Reg repeat_16_bytes(const void* p) {
    return _mm256_broadcastsi128_si256(load_half(p));
  }
  PENSTOCK_SIMD_OP Reg load_interleaved(const void* even, const void* odd) {
    const Reg a = _mm256_permute4x64_epi64(_mm256_castsi128_si256(load_half(even)), 0xD8);
    const Reg b = _mm256_permute4x64_epi64(_mm256_castsi128_si256(load_half(odd)), 0xD8);
    return _mm256_unpacklo_epi8(a, b);
  }
  PENSTOCK_SIMD_OP void store_triple(std::uint8_t* out, Reg a, Reg b, Reg c) {
    store(out, _mm256_permute2x128_si256(a, b, 0x20));
    store(out + 32, _mm256_permute2x128_si256(c, a, 0x30));
    store(out + 64, _mm256_permute2x128_si256(b, c, 0x31));
  }
  PENSTOCK_SIMD_OP void load_triple(const std::uint8_t* in, Reg& a, Reg& b, Reg& c) {
    const Reg first = load(in), second = load(in + 32), third = load(in + 64);
    a = _mm256_permute2x128_si256(first, second, 0x30);
    b = _mm256_permute2x128_si256(first, third, 0x21);
    c = _mm256_permute2x128_si256(second, third, 0x30);
  }
  PENSTOCK_SIMD_OP void store_parts(void* first, void* second, Reg a) {
    store_halves(first, second, a);
  }
  PENSTOCK_SIMD_OP Reg pack_in_order(Reg a, Reg b) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8);
  }

  PENSTOCK_SIMD_OP Reg zero() { return _mm256_setzero_si256(); }
  PENSTOCK_SIMD_OP Reg set1_16(std::int16_t a) { return _mm256_set1_epi16(a); }
  PENSTOCK_SIMD_OP Reg set1_32(std::int32_t a) { return _mm256_set1_epi32(a); }
  PENSTOCK_SIMD_OP Reg and_bits(Reg a, Reg b) { return _mm256_and_si256(a, b); }
  PENSTOCK_SIMD_OP Reg xor_bits(Reg a, Reg b) { return _mm256_xor_si256(a, b); }
  PENSTOCK_SIMD_OP Reg add16(Reg a, Reg b) { return _mm256_add_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg adds16(Reg a, Reg b) { return _mm256_adds_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg add32(Reg a, Reg b) { return _mm256_add_epi32(a, b); }
  PENSTOCK_SIMD_OP Reg sub16(Reg a, Reg b) { return _mm256_sub_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg equal16(Reg a, Reg b) { return _mm256_cmpeq_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg mulhrs(Reg a, Reg b) { return _mm256_mulhrs_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg mulhi_unsigned16(Reg a, Reg b) { return _mm256_mulhi_epu16(a, b); }
  PENSTOCK_SIMD_OP Reg madd16(Reg a, Reg b) { return _mm256_madd_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg maddubs(Reg a, Reg b) { return _mm256_maddubs_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg shuffle8(Reg a, Reg b) { return _mm256_shuffle_epi8(a, b); }
  PENSTOCK_SIMD_OP Reg blend8(Reg a, Reg b, Reg c) { return _mm256_blendv_epi8(a, b, c); }
  PENSTOCK_SIMD_OP Reg packus16(Reg a, Reg b) { return _mm256_packus_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg packs32(Reg a, Reg b) { return _mm256_packs_epi32(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_low8(Reg a, Reg b) { return _mm256_unpacklo_epi8(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_high8(Reg a, Reg b) { return _mm256_unpackhi_epi8(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_low16(Reg a, Reg b) { return _mm256_unpacklo_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_high16(Reg a, Reg b) { return _mm256_unpackhi_epi16(a, b); }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg srli16(Reg a) {
    return _mm256_srli_epi16(a, kBits);
  }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg srai16(Reg a) {
    return _mm256_srai_epi16(a, kBits);
  }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg srai32(Reg a) {
    return _mm256_srai_epi32(a, kBits);
  }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg slli32(Reg a) {
    return _mm256_slli_epi32(a, kBits);
  }
};

#include "kernels/cpu/row_kernels_x86.inl"

}  // namespace

const RowKernels detail::kAvx2RowKernels = {horizontal, vertical, halve, yuv_to_rgb, rgb_to_yuv};

}  // namespace penstock::kernels

#endif
