// What the tests of the YUV conversions share: the standards, and images in planes.
#pragma once

#include "kernels/cpu/cvt_color.hpp"
#include "kernels_test_image.hpp"

#include <cstdint>
#include <vector>

namespace penstock::kernels {

inline constexpr double kTolerance = 0.511;

struct Standard {
  YuvMatrix matrix;
  YuvRange range;
  double kr, kb;
};

inline std::vector<Standard> standards() {
  std::vector<Standard> all;
  for (YuvRange range : {YuvRange::limited, YuvRange::full}) {
    all.push_back({YuvMatrix::bt601, range, 0.299, 0.114});
    all.push_back({YuvMatrix::bt709, range, 0.2126, 0.0722});
    all.push_back({YuvMatrix::bt2020, range, 0.2627, 0.0593});
  }
  return all;
}

struct Yuv {
  TestImage y, u, v, uv;
  Yuv(std::int64_t width, std::int64_t height, Form form = {})
      : y(width, height, 1, form),
        u(width / 2, height / 2, 1, form),
        v(width / 2, height / 2, 1, form),
        uv(width / 2, height / 2, 2, form) {}
  void interleave(std::int64_t width, std::int64_t height) {
    for (std::int64_t j = 0; j < height / 2; ++j) {
      for (std::int64_t i = 0; i < width / 2; ++i) {
        uv.at(i, j, 0) = u.at(i, j, 0);
        uv.at(i, j, 1) = v.at(i, j, 0);
      }
    }
  }
};

}  // namespace penstock::kernels
