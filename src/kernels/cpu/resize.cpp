#include "kernels/cpu/resize.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace penstock::kernels {
namespace {

// Images are done in vertical stripes so that the two rows kept between output rows fit the stack
// and the first-level cache. An even number of groups, as TapGroups wants, and eight lanes for
// each, which is room for all that the row kernels read and write behind the last lane.
constexpr std::int64_t kStripeGroups = 512;
constexpr std::int64_t kStripeLanes = kStripeGroups * 8;

// The last two horizontally interpolated source rows of one stripe. Consecutive output rows mostly
// need rows that are here already.
class StripeRows {
 public:
  StripeRows(const LinearResizePlan& plan, const RowKernels& kernels, const Plane& src)
      : plan_(plan), kernels_(kernels), src_(src) {}

  void start(std::int64_t first_pixel, std::int64_t pixels) {
    first_pixel_ = first_pixel;
    pixels_ = pixels;
    row_of_[0] = row_of_[1] = -1;
  }

  void write(const LinearTap& tap, std::uint8_t* out) {
    if (row_of_[0] != tap.index && row_of_[1] == tap.index) {
      std::swap(lanes_[0], lanes_[1]);
      std::swap(row_of_[0], row_of_[1]);
    }
    fetch(0, tap.index);
    if (tap.weight != 0) fetch(1, tap.index + 1);
    const std::int16_t* bottom = tap.weight != 0 ? lanes_[1] : lanes_[0];
    kernels_.vertical(lanes_[0], bottom, tap.weight, pixels_ * plan_.channels(), out);
  }

 private:
  void fetch(int slot, std::int64_t row) {
    if (row_of_[slot] == row) return;
    row_of_[slot] = row;
    if (kernels_.horizontal != nullptr && plan_.has_groups()) {
      kernels_.horizontal(src_.row(row), plan_.groups(first_pixel_, pixels_), lanes_[slot]);
    } else {
      horizontal_portable(src_.row(row), &plan_.column(first_pixel_), pixels_, plan_.channels(),
                          src_.pixel_stride_bytes, lanes_[slot]);
    }
  }

  const LinearResizePlan& plan_;
  const RowKernels& kernels_;
  const Plane& src_;
  std::int64_t first_pixel_ = 0, pixels_ = 0;
  std::int64_t row_of_[2] = {-1, -1};
  alignas(64) std::int16_t storage_[2][kStripeLanes] = {};
  std::int16_t* lanes_[2] = {storage_[0], storage_[1]};
};

void scatter_pixels(const std::uint8_t* packed, std::int64_t pixels, std::int64_t channels,
                    std::int64_t stride, std::uint8_t* out) {
  for (std::int64_t x = 0; x < pixels; ++x) {
    std::copy_n(packed + x * channels, channels, out + x * stride);
  }
}

bool is_packed(const Plane& plane) { return plane.pixel_stride_bytes == plane.channels; }
bool is_packed(const MutablePlane& plane) { return plane.pixel_stride_bytes == plane.channels; }

[[maybe_unused]] bool matches(const LinearResizePlan& plan, const Plane& src,
                              const MutablePlane& dst) {
  return src.width == plan.src().width && src.height == plan.src().height &&
         dst.width == plan.dst().width && dst.height == plan.dst().height &&
         src.channels == plan.channels() && dst.channels == plan.channels() &&
         src.pixel_stride_bytes == plan.src_pixel_stride_bytes() &&
         dst.pixel_stride_bytes >= dst.channels;
}

void resize_stripes(const LinearResizePlan& plan, const RowKernels& kernels, const Plane& src,
                    const MutablePlane& dst, std::int64_t row_begin, std::int64_t row_end) {
  StripeRows rows(plan, kernels, src);
  const std::int64_t stripe = kStripeGroups * plan.pixels_per_group();
  for (std::int64_t x = 0; x < dst.width; x += stripe) {
    const std::int64_t pixels = std::min(stripe, dst.width - x);
    rows.start(x, pixels);
    for (std::int64_t y = row_begin; y < row_end; ++y) {
      std::uint8_t* out = dst.row(y) + x * dst.pixel_stride_bytes;
      if (is_packed(dst)) {
        rows.write(plan.row(y), out);
      } else {
        std::uint8_t packed[kStripeLanes];
        rows.write(plan.row(y), packed);
        scatter_pixels(packed, pixels, dst.channels, dst.pixel_stride_bytes, out);
      }
    }
  }
}

}  // namespace

void resize_linear(const LinearResizePlan& plan, const Plane& src, const MutablePlane& dst,
                   std::int64_t row_begin, std::int64_t row_end, CpuLevel level) {
  assert(matches(plan, src, dst) && row_begin >= 0 && row_end <= dst.height);
  const RowKernels& kernels = row_kernels(level);
  const bool packed = is_packed(src) && is_packed(dst);
  const std::int64_t dst_row_bytes = dst.width * dst.channels;
  if (packed && src.width == dst.width && src.height == dst.height) {
    for (std::int64_t y = row_begin; y < row_end; ++y) {
      std::memcpy(dst.row(y), src.row(y), static_cast<std::size_t>(dst_row_bytes));
    }
  } else if (packed && src.width == 2 * dst.width && src.height == 2 * dst.height) {
    for (std::int64_t y = row_begin; y < row_end; ++y) {
      kernels.halve(src.row(2 * y), src.row(2 * y + 1), src.channels, dst_row_bytes, dst.row(y));
    }
  } else {
    resize_stripes(plan, kernels, src, dst, row_begin, row_end);
  }
}

}  // namespace penstock::kernels
