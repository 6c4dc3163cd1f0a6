#include "kernels/cpu/boxes.hpp"

#include <algorithm>
#include <cstring>

namespace penstock::kernels {
namespace {

// Pixels [left, right) of row y, as far as they are in the image.
void draw_span(const MutablePlane& image, const BoxPen& pen, std::int64_t y, std::int64_t left,
               std::int64_t right) {
  left = std::max<std::int64_t>(left, 0);
  right = std::min(right, image.width);
  if (left >= right) return;
  std::uint8_t* const first = image.row(y) + left * image.pixel_stride_bytes;
  const auto pixel_bytes = static_cast<std::size_t>(pen.pixel_bytes);
  if (image.pixel_stride_bytes == pen.pixel_bytes) {
    const std::size_t all = static_cast<std::size_t>(right - left) * pixel_bytes;
    std::memcpy(first, pen.pixel.data(), pixel_bytes);
    for (std::size_t done = pixel_bytes; done < all; done *= 2) {
      std::memcpy(first + done, first, std::min(done, all - done));
    }
    return;
  }
  for (std::int64_t x = 0; x < right - left; ++x) {
    std::memcpy(first + x * image.pixel_stride_bytes, pen.pixel.data(), pixel_bytes);
  }
}

void draw_box(const MutablePlane& image, const PixelBox& box, const BoxPen& pen,
              std::int64_t row_begin, std::int64_t row_end) {
  if (box.left >= box.right || box.top >= box.bottom) return;
  const std::int64_t begin = std::max(row_begin, box.top);
  const std::int64_t end = std::min(row_end, box.bottom);
  const std::int64_t shorter = std::min(box.right - box.left, box.bottom - box.top);
  // From where the sides meet on, compared so that nothing overflows.
  const bool is_full = pen.thickness < 0 || pen.thickness >= shorter - pen.thickness;
  for (std::int64_t y = begin; y < end; ++y) {
    if (is_full || y - box.top < pen.thickness || box.bottom - y <= pen.thickness) {
      draw_span(image, pen, y, box.left, box.right);
    } else {
      draw_span(image, pen, y, box.left, box.left + pen.thickness);
      draw_span(image, pen, y, box.right - pen.thickness, box.right);
    }
  }
}

}  // namespace

void draw_boxes(const MutablePlane& image, std::span<const PixelBox> boxes, const BoxPen& pen,
                std::int64_t row_begin, std::int64_t row_end) {
  for (const PixelBox& box : boxes) draw_box(image, box, pen, row_begin, row_end);
}

void copy_pixels(const Plane& src, const MutablePlane& dst, std::int64_t pixel_bytes,
                 std::int64_t row_begin, std::int64_t row_end) {
  const bool is_packed =
      src.pixel_stride_bytes == pixel_bytes && dst.pixel_stride_bytes == pixel_bytes;
  for (std::int64_t y = row_begin; y < row_end; ++y) {
    const std::uint8_t* from = src.row(y);
    std::uint8_t* to = dst.row(y);
    if (is_packed) {
      std::memcpy(to, from, static_cast<std::size_t>(src.width * pixel_bytes));
      continue;
    }
    for (std::int64_t x = 0; x < src.width; ++x) {
      std::memcpy(to + x * dst.pixel_stride_bytes, from + x * src.pixel_stride_bytes,
                  static_cast<std::size_t>(pixel_bytes));
    }
  }
}

}  // namespace penstock::kernels
