#include "kernels/cpu/cvt_color.hpp"

#include <cassert>
#include <cmath>

namespace penstock::kernels {
namespace {

constexpr double kQ15 = 32768.0;

struct LumaWeights {
  double red, blue;
};

LumaWeights luma_weights(YuvMatrix matrix) {
  switch (matrix) {
    case YuvMatrix::bt709:
      return {0.2126, 0.0722};
    case YuvMatrix::bt2020:
      return {0.2627, 0.0593};
    case YuvMatrix::bt601:
      break;
  }
  return {0.299, 0.114};
}

std::int16_t to_q15(double value) { return static_cast<std::int16_t>(std::lround(value * kQ15)); }

template <class AnyPlane>
[[maybe_unused]] bool matches(const AnyPlane& plane, std::int64_t width, std::int64_t height,
                              std::int64_t channels) {
  return plane.width == width && plane.height == height && plane.channels == channels &&
         plane.pixel_stride_bytes >= channels;
}

template <class YuvPlane, class RgbPlane>
YuvStrides strides_of(const YuvPlane& y, const YuvPlane& u, const YuvPlane* v,
                      const RgbPlane& rgb) {
  return {y.pixel_stride_bytes, u.pixel_stride_bytes,
          v != nullptr ? v->pixel_stride_bytes : u.pixel_stride_bytes, rgb.pixel_stride_bytes};
}

bool is_packed(const YuvStrides& strides, std::int64_t chroma_channels) {
  return strides.y == 1 && strides.u == chroma_channels && strides.v == strides.u &&
         strides.rgb == 3;
}

// `v` is null when `u` has both channels.
void convert(const Plane& y, const Plane& u, const Plane* v, const MutablePlane& rgb,
             const YuvConversion& options, std::int64_t row_pair_begin, std::int64_t row_pair_end,
             CpuLevel level) {
  assert(y.width % 2 == 0 && y.height % 2 == 0 && matches(y, rgb.width, rgb.height, 1));
  assert(rgb.channels == 3 && rgb.pixel_stride_bytes >= 3);
  assert(row_pair_begin >= 0 && 2 * row_pair_end <= y.height);
  const RowKernels& kernels = row_kernels(level);
  const YuvCoefficients coefficients = yuv_coefficients(options.matrix, options.range);
  const YuvStrides strides = strides_of(y, u, v, rgb);
  const bool packed = is_packed(strides, u.channels);
  for (std::int64_t pair = row_pair_begin; pair < row_pair_end; ++pair) {
    const YuvRowPair rows = {{y.row(2 * pair), y.row(2 * pair + 1)},
                             u.row(pair),
                             v != nullptr ? v->row(pair) : nullptr,
                             {rgb.row(2 * pair), rgb.row(2 * pair + 1)},
                             y.width,
                             options.order == ChannelOrder::bgr};
    if (packed) {
      kernels.yuv_to_rgb(rows, coefficients);
    } else {
      yuv_to_rgb_portable(rows, strides, coefficients);
    }
  }
}

void convert_back(const Plane& rgb, const MutablePlane& y, const MutablePlane& u,
                  const MutablePlane* v, const YuvConversion& options, std::int64_t row_pair_begin,
                  std::int64_t row_pair_end, CpuLevel level) {
  assert(y.width % 2 == 0 && y.height % 2 == 0 && matches(y, rgb.width, rgb.height, 1));
  assert(rgb.channels == 3 && rgb.pixel_stride_bytes >= 3);
  assert(row_pair_begin >= 0 && 2 * row_pair_end <= y.height);
  const RowKernels& kernels = row_kernels(level);
  const RgbCoefficients coefficients = rgb_coefficients(options.matrix, options.range);
  const YuvStrides strides = strides_of(y, u, v, rgb);
  const bool packed = is_packed(strides, u.channels);
  for (std::int64_t pair = row_pair_begin; pair < row_pair_end; ++pair) {
    const RgbRowPair rows = {{rgb.row(2 * pair), rgb.row(2 * pair + 1)},
                             {y.row(2 * pair), y.row(2 * pair + 1)},
                             u.row(pair),
                             v != nullptr ? v->row(pair) : nullptr,
                             y.width,
                             options.order == ChannelOrder::bgr};
    if (packed) {
      kernels.rgb_to_yuv(rows, coefficients);
    } else {
      rgb_to_yuv_portable(rows, strides, coefficients);
    }
  }
}

}  // namespace

YuvCoefficients yuv_coefficients(YuvMatrix matrix, YuvRange range) {
  const LumaWeights weight = luma_weights(matrix);
  const double green = 1.0 - weight.red - weight.blue;
  const double v_to_red = 2.0 * (1.0 - weight.red);
  const double u_to_blue = 2.0 * (1.0 - weight.blue);
  const bool limited = range == YuvRange::limited;
  const double chroma_scale = limited ? 255.0 / 224.0 : 1.0;
  const double luma_64ths = limited ? 64.0 * 255.0 / 219.0 : 64.0;

  YuvCoefficients k{};
  // Limited: nearest; the floor's mean error of half a unit and the half unit by which rounding
  // half up leans cancel. Full: rounded up, so that the floor is exactly 64·Y and ties stay.
  k.luma = static_cast<std::uint16_t>(limited ? std::lround(luma_64ths * 65536.0 / 257.0)
                                              : std::lround(std::ceil(64.0 * 65536.0 / 257.0)));
  k.u_green = to_q15(-u_to_blue * weight.blue / green * chroma_scale);
  k.v_green = to_q15(-v_to_red * weight.red / green * chroma_scale);
  k.u_blue_minus_2 = to_q15(u_to_blue * chroma_scale - 2.0);
  k.v_red_minus_2 = to_q15(v_to_red * chroma_scale - 2.0);
  // Exact results half-way between integers exist in full range only. There 31/64 and the parity of
  // the integer part round half to even; in limited range 32/64 does.
  k.tie_parity = limited ? 0 : 1;
  // In 1/32768: the last rounding, black, and 256 for the shift by 9.
  const double offset_64ths = limited ? 32.0 - 16.0 * luma_64ths : 31.0;
  k.bias = static_cast<std::int32_t>(std::lround(offset_64ths * 512.0)) + 256;
  return k;
}

RgbCoefficients rgb_coefficients(YuvMatrix matrix, YuvRange range) {
  const LumaWeights weight = luma_weights(matrix);
  const bool limited = range == YuvRange::limited;
  const double luma_scale = limited ? 219.0 / 255.0 : 1.0;
  const double chroma_scale = limited ? 224.0 / 255.0 : 1.0;

  RgbCoefficients k{};
  k.luma[0] = to_q15(weight.red * luma_scale);
  k.luma[2] = to_q15(weight.blue * luma_scale);
  // Greens make the sums exact: white is white, and greys have no colour.
  k.luma[1] = static_cast<std::int16_t>(std::lround(luma_scale * kQ15) - k.luma[0] - k.luma[2]);
  k.u[0] = to_q15(-weight.red / (2.0 * (1.0 - weight.blue)) * chroma_scale);
  k.u[2] = to_q15(0.5 * chroma_scale);
  k.u[1] = static_cast<std::int16_t>(-k.u[0] - k.u[2]);
  k.v[0] = k.u[2];
  k.v[2] = to_q15(-weight.blue / (2.0 * (1.0 - weight.red)) * chroma_scale);
  k.v[1] = static_cast<std::int16_t>(-k.v[0] - k.v[2]);
  k.black = limited ? 16 << 15 : 0;
  return k;
}

void i420_to_rgb(const Plane& y, const Plane& u, const Plane& v, const MutablePlane& rgb,
                 const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level) {
  assert(matches(u, y.width / 2, y.height / 2, 1) && matches(v, y.width / 2, y.height / 2, 1));
  convert(y, u, &v, rgb, options, row_pair_begin, row_pair_end, level);
}

void nv12_to_rgb(const Plane& y, const Plane& uv, const MutablePlane& rgb,
                 const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level) {
  assert(matches(uv, y.width / 2, y.height / 2, 2));
  convert(y, uv, nullptr, rgb, options, row_pair_begin, row_pair_end, level);
}

void rgb_to_i420(const Plane& rgb, const MutablePlane& y, const MutablePlane& u,
                 const MutablePlane& v, const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level) {
  assert(matches(u, y.width / 2, y.height / 2, 1) && matches(v, y.width / 2, y.height / 2, 1));
  convert_back(rgb, y, u, &v, options, row_pair_begin, row_pair_end, level);
}

void rgb_to_nv12(const Plane& rgb, const MutablePlane& y, const MutablePlane& uv,
                 const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level) {
  assert(matches(uv, y.width / 2, y.height / 2, 2));
  convert_back(rgb, y, uv, nullptr, options, row_pair_begin, row_pair_end, level);
}

}  // namespace penstock::kernels
