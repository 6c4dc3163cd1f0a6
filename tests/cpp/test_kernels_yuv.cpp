#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels_test_yuv.hpp"

using namespace penstock::kernels;

namespace {

struct Rgb {
  double channel[3];
};

Rgb exact_rgb(const Standard& standard, int y, int u, int v) {
  const bool limited = standard.range == YuvRange::limited;
  const double luma = limited ? (y - 16) * 255.0 / 219.0 : y;
  const double blue_difference = limited ? (u - 128) * 255.0 / 224.0 : u - 128;
  const double red_difference = limited ? (v - 128) * 255.0 / 224.0 : v - 128;
  const double red = luma + 2 * (1 - standard.kr) * red_difference;
  const double blue = luma + 2 * (1 - standard.kb) * blue_difference;
  const double kg = 1 - standard.kr - standard.kb;
  const double green = luma - 2 * (1 - standard.kb) * standard.kb / kg * blue_difference -
                       2 * (1 - standard.kr) * standard.kr / kg * red_difference;
  return {{red, green, blue}};
}

void convert(const Yuv& yuv, bool nv12, TestImage& rgb, const YuvConversion& options,
             std::int64_t begin, std::int64_t end, CpuLevel level) {
  if (nv12) {
    nv12_to_rgb(yuv.y.plane(), yuv.uv.plane(), rgb.mutable_plane(), options, begin, end, level);
  } else {
    i420_to_rgb(yuv.y.plane(), yuv.u.plane(), yuv.v.plane(), rgb.mutable_plane(), options, begin,
                end, level);
  }
}

int wrong_values(const Yuv& yuv, const TestImage& rgb, const Standard& standard, ChannelOrder order,
                 std::int64_t width, std::int64_t height) {
  int wrong = 0;
  for (std::int64_t j = 0; j < height; ++j) {
    for (std::int64_t i = 0; i < width; ++i) {
      const Rgb exact = exact_rgb(standard, yuv.y.at(i, j, 0), yuv.u.at(i / 2, j / 2, 0),
                                  yuv.v.at(i / 2, j / 2, 0));
      for (int c = 0; c < 3; ++c) {
        const int channel = order == ChannelOrder::bgr ? 2 - c : c;
        wrong += !keeps_contract(rgb.at(i, j, c), exact.channel[channel], kTolerance);
      }
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("yuv to rgb: every Y with a grid of U and V, all standards, against float64") {
  constexpr int kStep = 3;
  constexpr std::int64_t kWidth = 86 * 16, kHeight = 16;  // 86 values of V, each with all 256 Y
  Yuv yuv(kWidth, kHeight);
  TestImage rgb(kWidth, kHeight, 3);
  for (int u = 0; u < 256; u += kStep) {
    CAPTURE(u);
    for (std::int64_t j = 0; j < kHeight; ++j) {
      for (std::int64_t i = 0; i < kWidth; ++i) {
        yuv.y.at(i, j, 0) = std::uint8_t(16 * j + i % 16);
        yuv.u.at(i / 2, j / 2, 0) = std::uint8_t(u);
        yuv.v.at(i / 2, j / 2, 0) = std::uint8_t(i / 16 * kStep);
      }
    }
    for (const Standard& standard : standards()) {
      convert(yuv, false, rgb, {standard.matrix, standard.range, ChannelOrder::rgb}, 0, kHeight / 2,
              best_cpu_level());
      CHECK(wrong_values(yuv, rgb, standard, ChannelOrder::rgb, kWidth, kHeight) == 0);
    }
  }
}

TEST_CASE("yuv to rgb: sizes, forms, orders and row ranges, the same bits at every level") {
  std::mt19937 random(5);
  const Form forms[] = {{0, 0, false}, {5, 0, false}, {2, 0, true}, {0, 2, false}, {1, 1, true}};
  for (std::int64_t width : {2, 4, 14, 16, 18, 30, 32, 34, 62, 66, 98}) {
    for (std::int64_t height : {2, 6}) {
      for (int form = 0; form < 25; ++form) {
        Yuv yuv(width, height, forms[form % 5]);
        for (TestImage* plane : {&yuv.y, &yuv.u, &yuv.v}) plane->fill(random);
        yuv.interleave(width, height);
        const Standard standard = standards()[random() % 6];
        const auto order = random() % 2 == 0 ? ChannelOrder::rgb : ChannelOrder::bgr;
        const YuvConversion options = {standard.matrix, standard.range, order};
        TestImage expected(width, height, 3, forms[form / 5]);
        convert(yuv, false, expected, options, 0, height / 2, CpuLevel::portable);
        CAPTURE(width);
        CAPTURE(form);
        CHECK(wrong_values(yuv, expected, standard, order, width, height) == 0);
        for (CpuLevel level : levels()) {
          CAPTURE(int(level));
          for (bool nv12 : {false, true}) {
            TestImage rgb(width, height, 3, forms[form / 5]);
            const auto cut = std::int64_t(random() % unsigned(height / 2 + 1));
            convert(yuv, nv12, rgb, options, cut, height / 2, level);
            CHECK(rgb.untouched_outside(2 * cut, height));
            convert(yuv, nv12, rgb, options, 0, cut, level);
            CHECK(rgb.same_pixels(expected));
            CHECK(rgb.untouched_outside(0, height));
          }
        }
      }
    }
  }
}

TEST_CASE("yuv to rgb: the exact halves of full-range BT.601 go to the even neighbour") {
  const Standard standard = {YuvMatrix::bt601, YuvRange::full, 0.299, 0.114};
  const int chroma[][2] = {{3, 128}, {253, 128}, {78, 178}, {178, 78}};  // 1.772·125 = 221.5, …
  for (const auto& [u, v] : chroma) {
    for (CpuLevel level : levels()) {
      Yuv yuv(256, 2);
      TestImage rgb(256, 2, 3);
      for (std::int64_t i = 0; i < 512; ++i) yuv.y.at(i / 2, i % 2, 0) = std::uint8_t(i / 2);
      for (std::int64_t i = 0; i < 128; ++i) {
        yuv.u.at(i, 0, 0) = std::uint8_t(u);
        yuv.v.at(i, 0, 0) = std::uint8_t(v);
      }
      convert(yuv, false, rgb, {standard.matrix, standard.range, ChannelOrder::rgb}, 0, 1, level);
      int ties = 0;
      int wrong = 0;
      for (int y = 0; y < 256; ++y) {
        for (int c = 0; c < 3; ++c) {
          const double twice = 2 * exact_rgb(standard, y, u, v).channel[c];
          if (twice < 0 || twice > 510 || !is_near_integer(twice) || is_near_integer(twice / 2)) {
            continue;
          }
          ++ties;
          wrong += rgb.at(y, 0, c) != int(std::nearbyint(std::round(twice) / 2));
        }
      }
      CHECK(ties > 30);
      CHECK(wrong == 0);
    }
  }
}
