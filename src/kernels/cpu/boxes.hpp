// Outlines and areas of rectangles in images of any element type, on the CPU. Plain values and pure
// functions; row ranges may run on different threads.
#pragma once

#include "kernels/cpu/planes.hpp"
#include "kernels/cpu/warp.hpp"

#include <cstdint>
#include <span>

namespace penstock::kernels {

/// Pixels left <= x < right, top <= y < bottom, anywhere; sides below 2^32.
struct PixelBox {
  std::int64_t left, top, right, bottom;
};

/// What is drawn: pixels of so many bytes, from the edge inwards; negative: the whole box.
struct BoxPen {
  PixelBytes pixel{};
  std::int64_t pixel_bytes = 0;
  std::int64_t thickness = 1;
};

/// Draws on rows [row_begin, row_end), later boxes over earlier ones. No allocation.
void draw_boxes(const MutablePlane& image, std::span<const PixelBox> boxes, const BoxPen& pen,
                std::int64_t row_begin, std::int64_t row_end);

/// Copies rows [row_begin, row_end) of pixels of so many bytes; both planes have one size.
void copy_pixels(const Plane& src, const MutablePlane& dst, std::int64_t pixel_bytes,
                 std::int64_t row_begin, std::int64_t row_end);

}  // namespace penstock::kernels
