// Plain views of interleaved images, the currency of the CPU kernels.
// A view owns nothing; the memory must outlive the call that uses it. Rows may lie at any pitch,
// also a negative one (an image stored bottom up); `data` is the first byte of row 0.
// Views are values and may be copied between threads freely.
#pragma once

#include <cstdint>

namespace penstock::kernels {

/// Read-only image: pixel (x, y) starts at data + y * pitch_bytes + x * pixel_stride_bytes.
struct Plane {
  const std::uint8_t* data;
  std::int64_t pitch_bytes;
  std::int64_t width, height;
  std::int64_t channels;
  std::int64_t pixel_stride_bytes;  ///< at least `channels`

  [[nodiscard]] const std::uint8_t* row(std::int64_t y) const { return data + y * pitch_bytes; }
};

/// Writable image with the layout of Plane; bytes between pixels and rows are never written.
struct MutablePlane {
  std::uint8_t* data;
  std::int64_t pitch_bytes;
  std::int64_t width, height;
  std::int64_t channels;
  std::int64_t pixel_stride_bytes;  ///< at least `channels`

  [[nodiscard]] std::uint8_t* row(std::int64_t y) const { return data + y * pitch_bytes; }
};

}  // namespace penstock::kernels
