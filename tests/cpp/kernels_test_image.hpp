// What the tests of the CPU kernels share: images in many memory layouts and the accuracy contract.
// A TestImage owns its bytes; planes point into it and die with it. For one thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_level.hpp"
#include "kernels/cpu/planes.hpp"

namespace penstock::kernels {

inline constexpr std::uint8_t kCanary = 0xA5;

inline std::vector<CpuLevel> levels() {
  std::vector<CpuLevel> all;
  for (CpuLevel level : {CpuLevel::portable, CpuLevel::sse41, CpuLevel::avx2}) {
    if (level <= best_cpu_level()) all.push_back(level);
  }
  return all;
}

struct Form {
  std::int64_t row_padding = 0;
  std::int64_t pixel_padding = 0;
  bool bottom_up = false;
};

// An image in a buffer that ends with its last byte, so that a sanitizer sees any step outside.
class TestImage {
 public:
  TestImage(std::int64_t width, std::int64_t height, std::int64_t channels, Form form = {})
      : width_(width),
        height_(height),
        channels_(channels),
        stride_(channels + form.pixel_padding) {
    const std::int64_t pitch = width * stride_ + form.row_padding;
    bytes_.assign(std::size_t((height - 1) * pitch + (width - 1) * stride_ + channels), kCanary);
    first_ = form.bottom_up ? (height - 1) * pitch : 0;
    pitch_ = form.bottom_up ? -pitch : pitch;
  }

  Plane plane() const {
    return {bytes_.data() + first_, pitch_, width_, height_, channels_, stride_};
  }
  MutablePlane mutable_plane() {
    return {bytes_.data() + first_, pitch_, width_, height_, channels_, stride_};
  }
  std::uint8_t& at(std::int64_t x, std::int64_t y, std::int64_t c) {
    return bytes_[std::size_t(first_ + y * pitch_ + x * stride_ + c)];
  }
  int at(std::int64_t x, std::int64_t y, std::int64_t c) const {
    return bytes_[std::size_t(first_ + y * pitch_ + x * stride_ + c)];
  }
  void fill(std::mt19937& random) {
    for (std::uint8_t& byte : bytes_) {
      // Extremes often: they are where overflow and saturation would show.
      const unsigned bits = random();
      byte = bits % 4 == 0 ? std::uint8_t(bits % 8 == 0 ? 0 : 255) : std::uint8_t(bits >> 8);
    }
  }
  /// True when every byte outside rows [begin, end) and between pixels is as it was made.
  bool untouched_outside(std::int64_t begin, std::int64_t end) const {
    std::vector<std::uint8_t> left = bytes_;
    for (std::int64_t y = begin; y < end; ++y) {
      for (std::int64_t x = 0; x < width_; ++x) {
        const auto pixel = left.begin() + (first_ + y * pitch_ + x * stride_);
        std::fill(pixel, pixel + channels_, kCanary);
      }
    }
    return std::all_of(left.begin(), left.end(), [](std::uint8_t b) { return b == kCanary; });
  }
  bool same_pixels(const TestImage& other) const {
    for (std::int64_t y = 0; y < height_; ++y) {
      for (std::int64_t x = 0; x < width_; ++x) {
        for (std::int64_t c = 0; c < channels_; ++c) {
          if (at(x, y, c) != other.at(x, y, c)) return false;
        }
      }
    }
    return true;
  }

 private:
  std::int64_t width_, height_, channels_, stride_;
  std::int64_t first_ = 0, pitch_ = 0;
  std::vector<std::uint8_t> bytes_;
};

inline bool is_near_integer(double value) { return std::abs(value - std::round(value)) < 1e-9; }

// The contract for one value: near enough, and exact where that is possible.
inline bool keeps_contract(int got, double exact, double tolerance) {
  const double saturated = std::clamp(exact, 0.0, 255.0);
  if (is_near_integer(saturated)) return got == int(std::round(saturated));
  return std::abs(got - saturated) <= tolerance;
}

}  // namespace penstock::kernels
