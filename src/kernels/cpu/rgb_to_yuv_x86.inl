// rgb_to_yuv in SIMD: row_kernels_x86.inl continued, on the same terms.

struct Channels {
  Reg red, green, blue;
};

// The way back of store_interleaved: blends gather the bytes of a channel, which lie at places
// that differ modulo 16, and a shuffle brings them into order.
PENSTOCK_SIMD_TARGET inline Channels load_interleaved_channels(const std::uint8_t* in) {
  alignas(16) constexpr GroupShuffle kFirst = {0, 3,  6,  9, 12, 15, 2,  5,
                                               8, 11, 14, 1, 4,  7,  10, 13};
  alignas(16) constexpr GroupShuffle kSecond = {1, 4,  7,  10, 13, 0, 3,  6,
                                                9, 12, 15, 2,  5,  8, 11, 14};
  alignas(16) constexpr GroupShuffle kThird = {2,  5,  8, 11, 14, 1, 4,  7,
                                               10, 13, 0, 3,  6,  9, 12, 15};
  alignas(16) constexpr GroupShuffle kOneMod3 = {0, 255, 0,   0, 255, 0,   0, 255,
                                                 0, 0,   255, 0, 0,   255, 0, 0};
  alignas(16) constexpr GroupShuffle kTwoMod3 = {0,   0, 255, 0,   0, 255, 0,   0,
                                                 255, 0, 0,   255, 0, 0,   255, 0};
  const Reg one = Simd::repeat_16_bytes(kOneMod3.data());
  const Reg two = Simd::repeat_16_bytes(kTwoMod3.data());
  Reg a, b, c;
  Simd::load_triple(in, a, b, c);
  return {Simd::shuffle8(Simd::blend8(Simd::blend8(a, c, one), b, two),
                         Simd::repeat_16_bytes(kFirst.data())),
          Simd::shuffle8(Simd::blend8(Simd::blend8(b, a, one), c, two),
                         Simd::repeat_16_bytes(kSecond.data())),
          Simd::shuffle8(Simd::blend8(Simd::blend8(c, b, one), a, two),
                         Simd::repeat_16_bytes(kThird.data()))};
}

// Pairs of weights, as madd16 takes them, with kShift fraction bits.
template <int kShift>
struct Weights {
  Reg red_green, blue, zero;
};

template <int kShift>
PENSTOCK_SIMD_TARGET inline Weights<kShift> weights_of(const std::int16_t (&weights)[3],
                                                       std::int32_t zero, bool bgr) {
  return {set1_pair(weights[bgr ? 2 : 0], weights[1]), set1_pair(weights[bgr ? 0 : 2], 0),
          Simd::set1_32(zero)};
}

template <int kShift>
PENSTOCK_SIMD_TARGET inline Reg weighted_half(Reg red_green, Reg blue, const Weights<kShift>& k) {
  const Reg sum = Simd::add32(
      Simd::add32(Simd::madd16(red_green, k.red_green), Simd::madd16(blue, k.blue)), k.zero);
  const Reg parity = Simd::and_bits(Simd::srai32<kShift>(sum), Simd::set1_32(1));
  const Reg below_half = Simd::set1_32((1 << (kShift - 1)) - 1);
  return Simd::srai32<kShift>(Simd::add32(Simd::add32(sum, below_half), parity));
}

// Of 16-bit lanes, to 16-bit lanes.
template <int kShift>
PENSTOCK_SIMD_TARGET inline Reg weighted(const Channels& lanes, const Weights<kShift>& k) {
  return Simd::packs32(weighted_half(Simd::unpack_low16(lanes.red, lanes.green),
                                     Simd::unpack_low16(lanes.blue, Simd::zero()), k),
                       weighted_half(Simd::unpack_high16(lanes.red, lanes.green),
                                     Simd::unpack_high16(lanes.blue, Simd::zero()), k));
}

PENSTOCK_SIMD_TARGET inline Reg luma_bytes(const Channels& bytes, const Weights<15>& k) {
  const Reg zero = Simd::zero();
  const Channels low = {Simd::unpack_low8(bytes.red, zero), Simd::unpack_low8(bytes.green, zero),
                        Simd::unpack_low8(bytes.blue, zero)};
  const Channels high = {Simd::unpack_high8(bytes.red, zero), Simd::unpack_high8(bytes.green, zero),
                         Simd::unpack_high8(bytes.blue, zero)};
  return Simd::packus16(weighted(low, k), weighted(high, k));
}

// Sums of two neighbours in each of two rows.
PENSTOCK_SIMD_TARGET inline Reg block_sums(Reg top, Reg bottom) {
  const Reg ones = Simd::set1_16(0x0101);
  return Simd::add16(Simd::maddubs(top, ones), Simd::maddubs(bottom, ones));
}

PENSTOCK_SIMD_TARGET void rgb_blocks(const RgbRowPair rows, const RgbCoefficients& k) {
  alignas(16) constexpr GroupShuffle kPairs = {0, 8,  1, 9,  2, 10, 3, 11,
                                               4, 12, 5, 13, 6, 14, 7, 15};
  const auto luma = weights_of<15>(k.luma, k.black, rows.bgr);
  const auto to_u = weights_of<17>(k.u, kGrey, rows.bgr);
  const auto to_v = weights_of<17>(k.v, kGrey, rows.bgr);
  const Reg pairs = Simd::repeat_16_bytes(kPairs.data());
  for (std::int64_t start = 0; start < rows.width; start += Simd::kBytes) {
    const std::int64_t x = std::min(start, rows.width - Simd::kBytes);
    const Channels top = load_interleaved_channels(rows.rgb[0] + 3 * x);
    const Channels bottom = load_interleaved_channels(rows.rgb[1] + 3 * x);
    Simd::store(rows.y[0] + x, luma_bytes(top, luma));
    Simd::store(rows.y[1] + x, luma_bytes(bottom, luma));
    const Channels sums = {block_sums(top.red, bottom.red), block_sums(top.green, bottom.green),
                           block_sums(top.blue, bottom.blue)};
    const Reg u = weighted(sums, to_u);
    const Reg v = weighted(sums, to_v);
    if (rows.v == nullptr) {
      Simd::store(rows.u + x, Simd::shuffle8(Simd::packus16(u, v), pairs));
    } else {
      Simd::store_parts(rows.u + x / 2, rows.v + x / 2, Simd::pack_in_order(u, v));
    }
  }
}

PENSTOCK_SIMD_TARGET void rgb_to_yuv(const RgbRowPair& rows, const RgbCoefficients& coefficients) {
  if (rows.width < Simd::kBytes) {
    detail::kPortableRowKernels.rgb_to_yuv(rows, coefficients);
  } else {
    rgb_blocks(rows, coefficients);
  }
}
