#include <algorithm>

#include "kernels/cpu/row_kernels.hpp"

namespace penstock::kernels {
namespace {

template <int kChannels>
void horizontal_channels(const std::uint8_t* src, const LinearTap* taps, std::int64_t pixels,
                         std::int64_t stride, std::int16_t* out) {
  for (std::int64_t x = 0; x < pixels; ++x) {
    const LinearTap tap = taps[x];
    const std::uint8_t* left = src + tap.index * stride;
    const std::uint8_t* right = tap.weight != 0 ? left + stride : left;
    for (int c = 0; c < kChannels; ++c) {
      const int step = ((right[c] - left[c]) * tap.weight + 128) >> 8;
      *out++ = static_cast<std::int16_t>(left[c] * 128 + step);
    }
  }
}

void vertical(const std::int16_t* top, const std::int16_t* bottom, std::int16_t weight,
              std::int64_t lanes, std::uint8_t* out) {
  for (std::int64_t i = 0; i < lanes; ++i) {
    const int value = top[i] + (((bottom[i] - top[i]) * weight + 16384) >> 15);
    out[i] = static_cast<std::uint8_t>((value + 63 + ((value >> 7) & 1)) >> 7);
  }
}

void halve(const std::uint8_t* top, const std::uint8_t* bottom, std::int64_t channels,
           std::int64_t out_bytes, std::uint8_t* out) {
  for (std::int64_t i = 0; i < out_bytes; i += channels) {
    const std::uint8_t* a = top + 2 * i;
    const std::uint8_t* b = bottom + 2 * i;
    for (std::int64_t c = 0; c < channels; ++c) {
      const int sum = a[c] + a[c + channels] + b[c] + b[c + channels];
      out[i + c] = static_cast<std::uint8_t>((sum + 1 + ((sum >> 2) & 1)) >> 2);
    }
  }
}

std::uint8_t from_64ths(int sum, int tie_parity) {
  return static_cast<std::uint8_t>(std::clamp((sum + ((sum >> 6) & tie_parity)) >> 6, 0, 255));
}

void yuv_to_rgb(const YuvRowPair& rows, const YuvCoefficients& coefficients) {
  const std::int64_t chroma = rows.v == nullptr ? 2 : 1;
  yuv_to_rgb_portable(rows, {1, chroma, chroma, 3}, coefficients);
}

void rgb_to_yuv(const RgbRowPair& rows, const RgbCoefficients& coefficients) {
  const std::int64_t chroma = rows.v == nullptr ? 2 : 1;
  rgb_to_yuv_portable(rows, {1, chroma, chroma, 3}, coefficients);
}

// Half to even. `zero` is what black or grey is, with `shift` fraction bits.
std::uint8_t weighted(const int (&rgb)[3], const std::int16_t (&weights)[3], int zero, int shift) {
  const int sum = rgb[0] * weights[0] + rgb[1] * weights[1] + rgb[2] * weights[2] + zero;
  const int below_half = (1 << (shift - 1)) - 1;
  const int rounded = (sum + below_half + ((sum >> shift) & 1)) >> shift;
  return static_cast<std::uint8_t>(std::clamp(rounded, 0, 255));
}

}  // namespace

void horizontal_portable(const std::uint8_t* src, const LinearTap* taps, std::int64_t pixels,
                         std::int64_t channels, std::int64_t stride, std::int16_t* out) {
  switch (channels) {
    case 1:
      return horizontal_channels<1>(src, taps, pixels, stride, out);
    case 2:
      return horizontal_channels<2>(src, taps, pixels, stride, out);
    case 3:
      return horizontal_channels<3>(src, taps, pixels, stride, out);
    default:
      return horizontal_channels<4>(src, taps, pixels, stride, out);
  }
}

void yuv_to_rgb_portable(const YuvRowPair& rows, const YuvStrides& strides,
                         const YuvCoefficients& k) {
  const std::uint8_t* v_plane = rows.v != nullptr ? rows.v : rows.u + 1;
  const int red_at = rows.bgr ? 2 : 0;
  for (std::int64_t x = 0; x < rows.width; x += 2) {
    const int u = rows.u[x / 2 * strides.u] - 128;
    const int v = v_plane[x / 2 * strides.v] - 128;
    const int red = ((65536 + k.v_red_minus_2) * v + k.bias) >> 9;
    const int green = (k.u_green * u + k.v_green * v + k.bias) >> 9;
    const int blue = ((65536 + k.u_blue_minus_2) * u + k.bias) >> 9;
    for (int i = 0; i < 4; ++i) {
      const std::int64_t column = x + i % 2;
      const std::uint32_t luma = rows.y[i / 2][column * strides.y];
      const int scaled = static_cast<int>((luma * 257 * k.luma) >> 16);
      std::uint8_t* pixel = rows.rgb[i / 2] + column * strides.rgb;
      pixel[red_at] = from_64ths(scaled + red, k.tie_parity);
      pixel[1] = from_64ths(scaled + green, k.tie_parity);
      pixel[2 - red_at] = from_64ths(scaled + blue, k.tie_parity);
    }
  }
}

void rgb_to_yuv_portable(const RgbRowPair& rows, const YuvStrides& strides,
                         const RgbCoefficients& k) {
  std::uint8_t* v_plane = rows.v != nullptr ? rows.v : rows.u + 1;
  const int red_at = rows.bgr ? 2 : 0;
  for (std::int64_t x = 0; x < rows.width; x += 2) {
    int sums[3] = {0, 0, 0};
    for (int i = 0; i < 4; ++i) {
      const std::int64_t column = x + i % 2;
      const std::uint8_t* pixel = rows.rgb[i / 2] + column * strides.rgb;
      const int rgb[3] = {pixel[red_at], pixel[1], pixel[2 - red_at]};
      for (int c = 0; c < 3; ++c) sums[c] += rgb[c];
      rows.y[i / 2][column * strides.y] = weighted(rgb, k.luma, k.black, 15);
    }
    rows.u[x / 2 * strides.u] = weighted(sums, k.u, kGrey, 17);
    v_plane[x / 2 * strides.v] = weighted(sums, k.v, kGrey, 17);
  }
}

const RowKernels detail::kPortableRowKernels = {nullptr, vertical, halve, yuv_to_rgb, rgb_to_yuv};

}  // namespace penstock::kernels
