#include <algorithm>
#include <cassert>

#include "kernels/cpu/resize.hpp"

namespace penstock::kernels {
namespace {

constexpr std::int64_t kWindowBytes = 16;
constexpr std::int64_t kGroupLanes = 8;
constexpr std::int64_t kWeightOne = 32768;
constexpr std::uint8_t kUnusedLane = 0x80;

std::vector<LinearTap> linear_taps(std::int64_t src, std::int64_t dst) {
  std::vector<LinearTap> taps(static_cast<std::size_t>(dst));
  for (std::int64_t x = 0; x < dst; ++x)
    taps[static_cast<std::size_t>(x)] = linear_tap(x, src, dst);
  return taps;
}

}  // namespace

LinearTap linear_tap(std::int64_t x, std::int64_t src, std::int64_t dst) {
  const std::int64_t numerator = (2 * x + 1) * src - dst;
  const std::int64_t denominator = 2 * dst;
  if (numerator <= 0) return {0, 0};
  std::int64_t index = numerator / denominator;
  std::int64_t weight = (numerator % denominator * kWeightOne + dst) / denominator;
  if (weight == kWeightOne) {
    ++index;
    weight = 0;
  }
  if (index >= src - 1) return {static_cast<std::int32_t>(src - 1), 0};
  return {static_cast<std::int32_t>(index), static_cast<std::int16_t>(weight)};
}

LinearResizePlan::LinearResizePlan(ImageSize src, ImageSize dst, std::int64_t channels,
                                   std::int64_t src_pixel_stride_bytes)
    : src_(src),
      dst_(dst),
      channels_(channels),
      src_pixel_stride_bytes_(src_pixel_stride_bytes),
      pixels_per_group_(kGroupLanes / channels),
      columns_(linear_taps(src.width, dst.width)),
      rows_(linear_taps(src.height, dst.height)) {
  assert(channels >= 1 && channels <= 4 && src_pixel_stride_bytes >= channels);
  assert(src.width * src_pixel_stride_bytes < (std::int64_t{1} << 31));
  build_groups();
}

std::int64_t LinearResizePlan::last_index(std::int64_t x) const {
  return column(x).index + (column(x).weight != 0 ? 1 : 0);
}

bool LinearResizePlan::windows_fit(std::int64_t pixels) const {
  for (std::int64_t x = 0; x < dst_.width; x += pixels) {
    const std::int64_t span = last_index(std::min(x + pixels, dst_.width) - 1) - column(x).index;
    if (span * src_pixel_stride_bytes_ + channels_ > kWindowBytes) return false;
  }
  return true;
}

void LinearResizePlan::build_groups() {
  const std::int64_t row_bytes = (src_.width - 1) * src_pixel_stride_bytes_ + channels_;
  if (row_bytes < kWindowBytes) return;
  std::int64_t pixels = kGroupLanes / channels_;
  while (pixels > 0 && !windows_fit(pixels)) --pixels;
  if (pixels == 0) return;
  pixels_per_group_ = pixels;

  // An even number of groups, for kernels that do two at a time; a spare one yields zeros.
  const std::int64_t groups = ((dst_.width + pixels - 1) / pixels + 1) / 2 * 2;
  GroupShuffle unused;
  unused.fill(kUnusedLane);
  window_offsets_.assign(static_cast<std::size_t>(groups), 0);
  shuffles_.assign(static_cast<std::size_t>(groups), unused);
  weights_.assign(static_cast<std::size_t>(groups), GroupWeights{});
  for (std::int64_t x = 0; x < dst_.width; ++x) {
    const auto group = static_cast<std::size_t>(x / pixels);
    const std::int64_t first_byte = column(x / pixels * pixels).index * src_pixel_stride_bytes_;
    const std::int64_t window = std::min(first_byte, row_bytes - kWindowBytes);
    window_offsets_[group] = static_cast<std::int32_t>(window);
    for (std::int64_t c = 0; c < channels_; ++c) {
      const auto lane = static_cast<std::size_t>(x % pixels * channels_ + c);
      shuffles_[group][2 * lane] =
          static_cast<std::uint8_t>(column(x).index * src_pixel_stride_bytes_ + c - window);
      shuffles_[group][2 * lane + 1] =
          static_cast<std::uint8_t>(last_index(x) * src_pixel_stride_bytes_ + c - window);
      weights_[group][lane] = column(x).weight;
    }
  }
}

TapGroups LinearResizePlan::groups(std::int64_t first_pixel, std::int64_t pixels) const {
  assert(has_groups() && first_pixel % pixels_per_group_ == 0);
  const auto first = static_cast<std::size_t>(first_pixel / pixels_per_group_);
  const std::int64_t count = (pixels + pixels_per_group_ - 1) / pixels_per_group_;
  return {window_offsets_.data() + first, shuffles_.data() + first, weights_.data() + first,
          (count + 1) / 2 * 2, pixels_per_group_ * channels_};
}

}  // namespace penstock::kernels
