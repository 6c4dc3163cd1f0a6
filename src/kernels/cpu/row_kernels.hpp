// The inner loops of the CPU kernels, one table of functions for each instruction set.
// Each works on one row (or row pair) and knows nothing of images; all tables give the same bits.
// Stateless and reentrant. SIMD versions read at most what each comment allows and write exactly
// the bytes asked for, except the padding that `horizontal` is promised behind its output.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/cpu/cpu_level.hpp"

namespace penstock::kernels {

/// Two neighbouring source pixels and the weight of the second, in 1/32768.
/// Pixel index + 1 exists whenever weight != 0.
struct LinearTap {
  std::int32_t index;
  std::int16_t weight;
};

using GroupShuffle = std::array<std::uint8_t, 16>;
using GroupWeights = std::array<std::int16_t, 8>;

/// Up to eight consecutive output lanes whose taps all lie in one 16-byte window of the source row.
struct TapGroups {
  const std::int32_t* window_offsets;  ///< byte offset of each window in the source row
  const GroupShuffle* shuffles;        ///< left and right byte of each lane; 0x80 for unused lanes
  const GroupWeights* weights;
  std::int64_t count;            ///< even
  std::int64_t lanes_per_group;  ///< groups overlap by 8 - lanes_per_group when stored
};

/// Integer constants of one YUV standard; cvt_color.hpp states the arithmetic.
struct YuvCoefficients {
  std::uint16_t luma;
  std::int16_t u_green, v_green;
  std::int16_t u_blue_minus_2, v_red_minus_2;  // less 2 so that 15 fraction bits fit 16 bits
  std::int32_t bias;
  std::int32_t tie_parity;
};

/// The constants of the way back.
struct RgbCoefficients {
  std::int16_t luma[3], u[3], v[3];  // for red, green, blue, in 1/32768
  std::int32_t black;                // of luma, in 1/32768
};

inline constexpr std::int32_t kGrey = 128 << 17;  // of chroma, for sums of four pixels

/// Two rows that share a row of chroma. `v` is null when `u` points at interleaved UV pairs.
struct YuvRowPair {
  const std::uint8_t* y[2];
  const std::uint8_t* u;
  const std::uint8_t* v;
  std::uint8_t* rgb[2];
  std::int64_t width;  // even
  bool bgr;
};

/// The same the other way.
struct RgbRowPair {
  const std::uint8_t* rgb[2];
  std::uint8_t* y[2];
  std::uint8_t* u;
  std::uint8_t* v;
  std::int64_t width;  // even
  bool bgr;
};

struct RowKernels {
  /// Interpolates along a row into 1/128 units; writes eight lanes for each group.
  /// Null where only horizontal_portable exists.
  void (*horizontal)(const std::uint8_t* src, const TapGroups& groups, std::int16_t* out);
  /// Interpolates between two horizontal results and rounds; reads on to a multiple of 32 lanes.
  void (*vertical)(const std::int16_t* top, const std::int16_t* bottom, std::int16_t weight,
                   std::int64_t lanes, std::uint8_t* out);
  /// Means of 2x2 pixel blocks for packed rows: the same bits as horizontal + vertical.
  void (*halve)(const std::uint8_t* top, const std::uint8_t* bottom, std::int64_t channels,
                std::int64_t out_bytes, std::uint8_t* out);
  /// Converts two packed rows.
  void (*yuv_to_rgb)(const YuvRowPair& rows, const YuvCoefficients& coefficients);
  void (*rgb_to_yuv)(const RgbRowPair& rows, const RgbCoefficients& coefficients);
};

/// The table for `level`, which must not be above best_cpu_level().
[[nodiscard]] const RowKernels& row_kernels(CpuLevel level);

/// `horizontal` for any pixel stride and any row length.
void horizontal_portable(const std::uint8_t* src, const LinearTap* taps, std::int64_t pixels,
                         std::int64_t channels, std::int64_t pixel_stride_bytes, std::int16_t* out);

/// `yuv_to_rgb` and `rgb_to_yuv` for any pixel strides.
struct YuvStrides {
  std::int64_t y, u, v, rgb;
};
void yuv_to_rgb_portable(const YuvRowPair& rows, const YuvStrides& strides,
                         const YuvCoefficients& coefficients);
void rgb_to_yuv_portable(const RgbRowPair& rows, const YuvStrides& strides,
                         const RgbCoefficients& coefficients);

namespace detail {
extern const RowKernels kPortableRowKernels;
extern const RowKernels kSse41RowKernels;
extern const RowKernels kAvx2RowKernels;
}  // namespace detail

}  // namespace penstock::kernels
