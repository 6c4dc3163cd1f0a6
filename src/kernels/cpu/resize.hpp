// Linear resize of 8-bit images on the CPU: half-pixel centres, replicated edges, no antialiasing.
// Source coordinate of output x is (2x+1)·src/(2·dst) − 1/2, taken exactly; weights in 1/32768.
//   h(row) = 128·left + (((right − left)·wx + 128) >> 8)
//   v = h(top) + (((h(bottom) − h(top))·wy + 16384) >> 15)
//   result = (v + 63 + ((v >> 7) & 1)) >> 7, half to even
// That is within 0.516 of the exact value. A plan is immutable: share it freely.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/cpu_level.hpp"
#include "kernels/cpu/planes.hpp"
#include "kernels/cpu/row_kernels.hpp"

namespace penstock::kernels {

struct ImageSize {
  std::int64_t width, height;
};

/// The tap of output position `x`, 0 <= x < dst; exact integers, so a GPU finds the same one.
[[nodiscard]] LinearTap linear_tap(std::int64_t x, std::int64_t src, std::int64_t dst);

/// All of a linear resize that depends on sizes only; build once, use for every image.
class LinearResizePlan {
 public:
  /// Sides from 1 to 2^30, source rows shorter than 2^31 bytes, 1 to 4 channels.
  LinearResizePlan(ImageSize src, ImageSize dst, std::int64_t channels,
                   std::int64_t src_pixel_stride_bytes);

  [[nodiscard]] ImageSize src() const { return src_; }
  [[nodiscard]] ImageSize dst() const { return dst_; }
  [[nodiscard]] std::int64_t channels() const { return channels_; }
  [[nodiscard]] std::int64_t src_pixel_stride_bytes() const { return src_pixel_stride_bytes_; }
  [[nodiscard]] const LinearTap& column(std::int64_t x) const { return columns_[std::size_t(x)]; }
  [[nodiscard]] const LinearTap& row(std::int64_t y) const { return rows_[std::size_t(y)]; }
  /// Output pixels that one group of taps holds, and that a stripe is a multiple of.
  [[nodiscard]] std::int64_t pixels_per_group() const { return pixels_per_group_; }
  /// False where the taps of a pixel do not fit a 16-byte window: then only plain C++ works.
  [[nodiscard]] bool has_groups() const { return !window_offsets_.empty(); }
  /// The groups for output pixels [first_pixel, first_pixel + pixels), a whole number of groups
  /// but for the end of the row.
  [[nodiscard]] TapGroups groups(std::int64_t first_pixel, std::int64_t pixels) const;

 private:
  void build_groups();
  [[nodiscard]] bool windows_fit(std::int64_t pixels_per_group) const;
  [[nodiscard]] std::int64_t last_index(std::int64_t x) const;

  ImageSize src_, dst_;
  std::int64_t channels_;
  std::int64_t src_pixel_stride_bytes_;
  std::int64_t pixels_per_group_;
  std::vector<LinearTap> columns_, rows_;
  std::vector<std::int32_t> window_offsets_;
  std::vector<GroupShuffle> shuffles_;
  std::vector<GroupWeights> weights_;
};

/// Writes output rows [row_begin, row_end) of `dst`; ranges may run on different threads.
/// Both planes must match the plan and must not overlap. No allocation; about 20 KiB of stack.
void resize_linear(const LinearResizePlan& plan, const Plane& src, const MutablePlane& dst,
                   std::int64_t row_begin, std::int64_t row_end, CpuLevel level = best_cpu_level());

}  // namespace penstock::kernels
