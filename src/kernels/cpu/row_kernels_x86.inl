// The SIMD row kernels, written once over the type `Simd` (128 or 256 bits wide) that the including
// file defines, together with PENSTOCK_SIMD_TARGET. Included inside an unnamed namespace.
// 256-bit unpack and pack work inside each half; here they always come in matching pairs, so
// pixels leave in the order in which they came. Arithmetic: resize.hpp and cvt_color.hpp.

using Reg = Simd::Reg;
constexpr std::int64_t kHalves = Simd::kBytes / 16;

PENSTOCK_SIMD_TARGET void horizontal(const std::uint8_t* src, const TapGroups& groups,
                                     std::int16_t* out) {
  // maddubs multiplies by signed bytes: 64 * (right - left) and -128 * left are as far as it goes.
  const Reg difference = Simd::set1_16(0x40C0);
  const Reg minus_left = Simd::set1_16(0x0080);
  const TapGroups taps = groups;  // a copy, since vector stores may alias anything
  for (std::int64_t g = 0; g < taps.count; g += kHalves) {
    const Reg window =
        Simd::load_halves(src + taps.window_offsets[g], src + taps.window_offsets[g + kHalves - 1]);
    const Reg pairs = Simd::shuffle8(window, Simd::load(taps.shuffles + g));
    const Reg half_step = Simd::maddubs(pairs, difference);
    const Reg step = Simd::mulhrs(Simd::add16(half_step, half_step), Simd::load(taps.weights + g));
    const Reg lanes = Simd::sub16(step, Simd::maddubs(pairs, minus_left));
    Simd::store_halves(out, out + taps.lanes_per_group, lanes);
    out += kHalves * taps.lanes_per_group;
  }
}

PENSTOCK_SIMD_TARGET inline Reg vertical_lanes(const std::int16_t* top, const std::int16_t* bottom,
                                               Reg weight) {
  const Reg first = Simd::load(top);
  const Reg step = Simd::mulhrs(Simd::sub16(Simd::load(bottom), first), weight);
  const Reg value = Simd::add16(first, step);
  // Half up by mulhrs, then one less where a half was above an even number.
  const Reg tie = Simd::equal16(Simd::and_bits(value, Simd::set1_16(255)), Simd::set1_16(64));
  return Simd::add16(Simd::mulhrs(value, Simd::set1_16(256)), tie);
}

PENSTOCK_SIMD_TARGET inline void vertical_block(const std::int16_t* top, const std::int16_t* bottom,
                                                Reg weight, std::uint8_t* out) {
  constexpr std::int64_t kLanes = Simd::kBytes / 2;
  Simd::store(out, Simd::pack_in_order(vertical_lanes(top, bottom, weight),
                                       vertical_lanes(top + kLanes, bottom + kLanes, weight)));
}

PENSTOCK_SIMD_TARGET void vertical(const std::int16_t* top, const std::int16_t* bottom,
                                   std::int16_t weight, std::int64_t lanes, std::uint8_t* out) {
  const Reg weights = Simd::set1_16(weight);
  std::int64_t i = 0;
  for (; i + Simd::kBytes <= lanes; i += Simd::kBytes) {
    vertical_block(top + i, bottom + i, weights, out + i);
  }
  if (i < lanes) {
    std::uint8_t rest[Simd::kBytes];
    vertical_block(top + i, bottom + i, weights, rest);
    std::memcpy(out + i, rest, static_cast<std::size_t>(lanes - i));
  }
}

// How one 16-byte load is split into horizontal neighbours: byte pairs first, then, after packing,
// the gaps that three channels leave behind every six results are squeezed out.
struct HalveLayout {
  std::int64_t load_step;
  GroupShuffle pairs, squeeze;
};

constexpr GroupShuffle kAllBytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr HalveLayout kHalveLayouts[4] = {
    {16, kAllBytes, kAllBytes},
    {16, {0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15}, kAllBytes},
    {12,
     {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, 0x80, 0x80, 0x80, 0x80},
     {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 0x80, 0x80, 0x80, 0x80}},
    {16, {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}, kAllBytes},
};

PENSTOCK_SIMD_TARGET inline Reg halve_lanes(const std::uint8_t* top, const std::uint8_t* bottom,
                                            std::int64_t other_half, Reg pairs) {
  const Reg ones = Simd::set1_16(0x0101);
  const Reg a = Simd::shuffle8(Simd::load_halves(top, top + other_half), pairs);
  const Reg b = Simd::shuffle8(Simd::load_halves(bottom, bottom + other_half), pairs);
  const Reg sum = Simd::add16(Simd::maddubs(a, ones), Simd::maddubs(b, ones));
  const Reg tie = Simd::equal16(Simd::and_bits(sum, Simd::set1_16(7)), Simd::set1_16(2));
  return Simd::add16(Simd::mulhrs(sum, Simd::set1_16(8192)), tie);
}

// Reads (2 * kHalves - 1) * load_step + 16 bytes of each row; of its result, kHalves * load_step
// bytes count, and up to 4 more are written.
PENSTOCK_SIMD_TARGET inline void halve_block(const std::uint8_t* top, const std::uint8_t* bottom,
                                             const HalveLayout& layout, std::uint8_t* out) {
  const std::int64_t step = layout.load_step;
  const std::int64_t other_half = (kHalves - 1) * 2 * step;
  const Reg pairs = Simd::repeat_16_bytes(layout.pairs.data());
  const Reg low = halve_lanes(top, bottom, other_half, pairs);
  const Reg high = halve_lanes(top + step, bottom + step, other_half, pairs);
  const Reg squeezed =
      Simd::shuffle8(Simd::packus16(low, high), Simd::repeat_16_bytes(layout.squeeze.data()));
  Simd::store_halves(out, out + step, squeezed);
}

PENSTOCK_SIMD_TARGET void halve(const std::uint8_t* top, const std::uint8_t* bottom,
                                std::int64_t channels, std::int64_t out_bytes, std::uint8_t* out) {
  const HalveLayout& layout = kHalveLayouts[channels - 1];
  const std::int64_t block_bytes = kHalves * layout.load_step;
  const std::int64_t written_bytes = block_bytes - layout.load_step + 16;
  std::int64_t i = 0;
  for (; i + written_bytes <= out_bytes; i += block_bytes) {
    halve_block(top + 2 * i, bottom + 2 * i, layout, out + i);
  }
  for (; i < out_bytes; i += block_bytes) {
    std::uint8_t in[128];
    std::uint8_t rest[32];
    for (std::int64_t j = 0; j < 128; j += Simd::kBytes) Simd::store(in + j, Simd::zero());
    const auto count = static_cast<std::size_t>(std::min(block_bytes, out_bytes - i));
    std::memcpy(in, top + 2 * i, 2 * count);
    std::memcpy(in + 64, bottom + 2 * i, 2 * count);
    halve_block(in, in + 64, layout, rest);
    std::memcpy(out + i, rest, count);
  }
}

// What the chroma of a block adds to one output channel, in 1/64, for the pixels that
// unpack_low8 and unpack_high8 select: every sample twice.
struct ChannelOffset {
  Reg low, high;
};

PENSTOCK_SIMD_TARGET inline ChannelOffset doubled(Reg low32, Reg high32) {
  const Reg samples = Simd::packs32(Simd::srai32<9>(low32), Simd::srai32<9>(high32));
  return {Simd::unpack_low16(samples, samples), Simd::unpack_high16(samples, samples)};
}

struct BlockOffsets {
  ChannelOffset red, green, blue;
};

// The constants in registers: vector stores may alias anything, so they would be loaded each time.
struct YuvRegisters {
  Reg luma, bias, to_red, to_green, to_blue;
};

PENSTOCK_SIMD_TARGET inline Reg set1_pair(std::int16_t u, std::int16_t v) {
  return Simd::set1_32((static_cast<std::int32_t>(v) << 16) | static_cast<std::uint16_t>(u));
}

PENSTOCK_SIMD_TARGET inline YuvRegisters yuv_registers(const YuvCoefficients& k) {
  return {Simd::set1_16(static_cast<std::int16_t>(k.luma)), Simd::set1_32(k.bias),
          set1_pair(0, k.v_red_minus_2), set1_pair(k.u_green, k.v_green),
          set1_pair(k.u_blue_minus_2, 0)};
}

PENSTOCK_SIMD_TARGET inline BlockOffsets block_offsets(Reg uv_bytes, const YuvRegisters& k) {
  const Reg high_word = Simd::set1_32(-65536);
  const Reg centred = Simd::xor_bits(uv_bytes, Simd::set1_16(static_cast<std::int16_t>(0x8080)));
  Reg red[2], green[2], blue[2];
  for (int i = 0; i < 2; ++i) {
    const Reg words = i == 0 ? Simd::unpack_low8(Simd::zero(), centred)
                             : Simd::unpack_high8(Simd::zero(), centred);
    const Reg uv = Simd::srai16<8>(words);
    const Reg twice_v = Simd::and_bits(uv, high_word);
    const Reg twice_u = Simd::slli32<16>(uv);
    red[i] = Simd::add32(Simd::add32(Simd::madd16(uv, k.to_red), twice_v), k.bias);
    green[i] = Simd::add32(Simd::madd16(uv, k.to_green), k.bias);
    blue[i] = Simd::add32(Simd::add32(Simd::madd16(uv, k.to_blue), twice_u), k.bias);
  }
  return {doubled(red[0], red[1]), doubled(green[0], green[1]), doubled(blue[0], blue[1])};
}

template <bool kHasTies>
PENSTOCK_SIMD_TARGET inline Reg from_64ths(Reg luma, Reg offset) {
  Reg sum = Simd::adds16(luma, offset);
  if constexpr (kHasTies) {
    sum = Simd::adds16(sum, Simd::and_bits(Simd::srli16<6>(sum), Simd::set1_16(1)));
  }
  return Simd::srai16<6>(sum);
}

template <bool kHasTies>
PENSTOCK_SIMD_TARGET inline Reg channel(Reg low, Reg high, const ChannelOffset& offset) {
  return Simd::packus16(from_64ths<kHasTies>(low, offset.low),
                        from_64ths<kHasTies>(high, offset.high));
}

// 16 is 1 mod 3, so one shuffle puts each byte of a channel at its place modulo 16 in the three
// output registers at once; blends then pick which channel a place belongs to.
PENSTOCK_SIMD_TARGET inline void store_interleaved(std::uint8_t* out, Reg first, Reg second,
                                                   Reg third) {
  alignas(16) constexpr GroupShuffle kFirst = {0, 11, 6,  1, 12, 7,  2,  13,
                                               8, 3,  14, 9, 4,  15, 10, 5};
  alignas(16) constexpr GroupShuffle kSecond = {5,  0, 11, 6,  1, 12, 7,  2,
                                                13, 8, 3,  14, 9, 4,  15, 10};
  alignas(16) constexpr GroupShuffle kThird = {10, 5,  0, 11, 6,  1, 12, 7,
                                               2,  13, 8, 3,  14, 9, 4,  15};
  alignas(16) constexpr GroupShuffle kOneMod3 = {0, 255, 0,   0, 255, 0,   0, 255,
                                                 0, 0,   255, 0, 0,   255, 0, 0};
  alignas(16) constexpr GroupShuffle kTwoMod3 = {0,   0, 255, 0,   0, 255, 0,   0,
                                                 255, 0, 0,   255, 0, 0,   255, 0};
  const Reg one = Simd::repeat_16_bytes(kOneMod3.data());
  const Reg two = Simd::repeat_16_bytes(kTwoMod3.data());
  const Reg a = Simd::shuffle8(first, Simd::repeat_16_bytes(kFirst.data()));
  const Reg b = Simd::shuffle8(second, Simd::repeat_16_bytes(kSecond.data()));
  const Reg c = Simd::shuffle8(third, Simd::repeat_16_bytes(kThird.data()));
  Simd::store_triple(out, Simd::blend8(Simd::blend8(a, b, one), c, two),
                     Simd::blend8(Simd::blend8(b, c, one), a, two),
                     Simd::blend8(Simd::blend8(c, a, one), b, two));
}

template <bool kHasTies>
PENSTOCK_SIMD_TARGET void yuv_blocks(const YuvRowPair rows, const YuvCoefficients& coefficients) {
  const YuvRegisters k = yuv_registers(coefficients);
  for (std::int64_t start = 0; start < rows.width; start += Simd::kBytes) {
    const std::int64_t x = std::min(start, rows.width - Simd::kBytes);
    const Reg uv = rows.v == nullptr ? Simd::load(rows.u + x)
                                     : Simd::load_interleaved(rows.u + x / 2, rows.v + x / 2);
    BlockOffsets offsets = block_offsets(uv, k);
    if (rows.bgr) std::swap(offsets.red, offsets.blue);
    for (int i = 0; i < 2; ++i) {
      const Reg luma = Simd::load(rows.y[i] + x);
      const Reg low = Simd::mulhi_unsigned16(Simd::unpack_low8(luma, luma), k.luma);
      const Reg high = Simd::mulhi_unsigned16(Simd::unpack_high8(luma, luma), k.luma);
      store_interleaved(rows.rgb[i] + 3 * x, channel<kHasTies>(low, high, offsets.red),
                        channel<kHasTies>(low, high, offsets.green),
                        channel<kHasTies>(low, high, offsets.blue));
    }
  }
}

PENSTOCK_SIMD_TARGET void yuv_to_rgb(const YuvRowPair& rows, const YuvCoefficients& coefficients) {
  if (rows.width < Simd::kBytes) {
    detail::kPortableRowKernels.yuv_to_rgb(rows, coefficients);
  } else if (coefficients.tie_parity != 0) {
    yuv_blocks<true>(rows, coefficients);
  } else {
    yuv_blocks<false>(rows, coefficients);
  }
}

#include "kernels/cpu/rgb_to_yuv_x86.inl"
