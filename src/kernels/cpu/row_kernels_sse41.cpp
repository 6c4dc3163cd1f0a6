#include "kernels/cpu/row_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#define PENSTOCK_SIMD_TARGET __attribute__((target("sse4.1")))
#define PENSTOCK_SIMD_OP PENSTOCK_SIMD_TARGET __attribute__((always_inline)) static inline

namespace penstock::kernels {
namespace {

struct Simd {
  using Reg = __m128i;
  static constexpr std::int64_t kBytes = 16;

  PENSTOCK_SIMD_OP Reg load(const void* p) { return _mm_loadu_si128(static_cast<const Reg*>(p)); }
  PENSTOCK_SIMD_OP void store(void* p, Reg a) { _mm_storeu_si128(static_cast<Reg*>(p), a); }
  PENSTOCK_SIMD_OP Reg load_halves(const void* only, const void*) { return load(only); }
  PENSTOCK_SIMD_OP void store_halves(void* only, void*, Reg a) { store(only, a); }
  PENSTOCK_SIMD_OP Reg repeat_16_bytes(const void* p) { return load(p); }
  PENSTOCK_SIMD_OP Reg load_interleaved(const void* even, const void* odd) {
    return _mm_unpacklo_epi8(_mm_loadl_epi64(static_cast<const Reg*>(even)),
                             _mm_loadl_epi64(static_cast<const Reg*>(odd)));
  }
  PENSTOCK_SIMD_OP void store_triple(std::uint8_t* out, Reg a, Reg b, Reg c) {
    store(out, a);
    store(out + 16, b);
    store(out + 32, c);
  }
  PENSTOCK_SIMD_OP void load_triple(const std::uint8_t* in, Reg& a, Reg& b, Reg& c) {
    a = load(in);
    b = load(in + 16);
    c = load(in + 32);
  }
  PENSTOCK_SIMD_OP void store_parts(void* first, void* second, Reg a) {
    _mm_storel_epi64(static_cast<Reg*>(first), a);
    _mm_storel_epi64(static_cast<Reg*>(second), _mm_unpackhi_epi64(a, a));
  }
  PENSTOCK_SIMD_OP Reg pack_in_order(Reg a, Reg b) { return _mm_packus_epi16(a, b); }

  PENSTOCK_SIMD_OP Reg zero() { return _mm_setzero_si128(); }
  PENSTOCK_SIMD_OP Reg set1_16(std::int16_t a) { return _mm_set1_epi16(a); }
  PENSTOCK_SIMD_OP Reg set1_32(std::int32_t a) { return _mm_set1_epi32(a); }
  PENSTOCK_SIMD_OP Reg and_bits(Reg a, Reg b) { return _mm_and_si128(a, b); }
  PENSTOCK_SIMD_OP Reg xor_bits(Reg a, Reg b) { return _mm_xor_si128(a, b); }
  PENSTOCK_SIMD_OP Reg add16(Reg a, Reg b) { return _mm_add_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg adds16(Reg a, Reg b) { return _mm_adds_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg add32(Reg a, Reg b) { return _mm_add_epi32(a, b); }
  PENSTOCK_SIMD_OP Reg sub16(Reg a, Reg b) { return _mm_sub_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg equal16(Reg a, Reg b) { return _mm_cmpeq_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg mulhrs(Reg a, Reg b) { return _mm_mulhrs_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg mulhi_unsigned16(Reg a, Reg b) { return _mm_mulhi_epu16(a, b); }
  PENSTOCK_SIMD_OP Reg madd16(Reg a, Reg b) { return _mm_madd_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg maddubs(Reg a, Reg b) { return _mm_maddubs_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg shuffle8(Reg a, Reg b) { return _mm_shuffle_epi8(a, b); }
  PENSTOCK_SIMD_OP Reg blend8(Reg a, Reg b, Reg c) { return _mm_blendv_epi8(a, b, c); }
  PENSTOCK_SIMD_OP Reg packus16(Reg a, Reg b) { return _mm_packus_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg packs32(Reg a, Reg b) { return _mm_packs_epi32(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_low8(Reg a, Reg b) { return _mm_unpacklo_epi8(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_high8(Reg a, Reg b) { return _mm_unpackhi_epi8(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_low16(Reg a, Reg b) { return _mm_unpacklo_epi16(a, b); }
  PENSTOCK_SIMD_OP Reg unpack_high16(Reg a, Reg b) { return _mm_unpackhi_epi16(a, b); }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg srli16(Reg a) {
    return _mm_srli_epi16(a, kBits);
  }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg srai16(Reg a) {
    return _mm_srai_epi16(a, kBits);
  }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg srai32(Reg a) {
    return _mm_srai_epi32(a, kBits);
  }
  template <int kBits>
  PENSTOCK_SIMD_OP Reg slli32(Reg a) {
    return _mm_slli_epi32(a, kBits);
  }
};

#include "kernels/cpu/row_kernels_x86.inl"

}  // namespace

const RowKernels detail::kSse41RowKernels = {horizontal, vertical, halve, yuv_to_rgb, rgb_to_yuv};

}  // namespace penstock::kernels

#endif
