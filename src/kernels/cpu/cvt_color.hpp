// YUV 4:2:0 to interleaved RGB on the CPU and back; each chroma sample serves its 2x2 pixels, and
// is made of their mean. With Q15 integers k of the exact matrix (limited range scaled by 255/219
// and 255/224):
//   luma = (Y·257·k_y) >> 16;  chroma = (k_u·(U − 128) + k_v·(V − 128) + bias) >> 9, in 1/64;
//   t = luma + chroma;  result = clamp((t + ((t >> 6) & tie_parity)) >> 6, 0, 255), half to even.
// That is within 0.511 of the exact value. Back, with Q15 weights whose sum is exact for greys:
//   Y = round(black + Σ k_y·rgb);  U, V = round(128 + Σ k·(sum of four pixels) / 4), half to even.
// That is within 0.511, too. Functions are reentrant and keep nothing.
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_level.hpp"
#include "kernels/cpu/planes.hpp"
#include "kernels/cpu/row_kernels.hpp"

namespace penstock::kernels {

enum class YuvMatrix { bt601, bt709, bt2020 };
enum class YuvRange { limited, full };
enum class ChannelOrder { rgb, bgr };

struct YuvConversion {
  YuvMatrix matrix = YuvMatrix::bt601;
  YuvRange range = YuvRange::limited;
  ChannelOrder order = ChannelOrder::rgb;
};

/// The integer constants of a standard, the same for every device.
[[nodiscard]] YuvCoefficients yuv_coefficients(YuvMatrix matrix, YuvRange range);
[[nodiscard]] RgbCoefficients rgb_coefficients(YuvMatrix matrix, YuvRange range);

/// Converts rows [2 * row_pair_begin, 2 * row_pair_end) of an image with even sides; ranges may run
/// on different threads. `y` and `rgb` have the full size, `u` and `v` half of it each way;
/// `rgb` has 3 channels and overlaps nothing else. No allocation.
void i420_to_rgb(const Plane& y, const Plane& u, const Plane& v, const MutablePlane& rgb,
                 const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level = best_cpu_level());

/// As i420_to_rgb, with U and V as the two channels of one plane.
void nv12_to_rgb(const Plane& y, const Plane& uv, const MutablePlane& rgb,
                 const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level = best_cpu_level());

/// Back, on the same terms.
void rgb_to_i420(const Plane& rgb, const MutablePlane& y, const MutablePlane& u,
                 const MutablePlane& v, const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level = best_cpu_level());
void rgb_to_nv12(const Plane& rgb, const MutablePlane& y, const MutablePlane& uv,
                 const YuvConversion& options, std::int64_t row_pair_begin,
                 std::int64_t row_pair_end, CpuLevel level = best_cpu_level());

}  // namespace penstock::kernels
