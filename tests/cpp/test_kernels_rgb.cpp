#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels_test_yuv.hpp"

using namespace penstock::kernels;

namespace {

struct ExactYuv {
  double y, u, v;
};

ExactYuv exact_yuv(const Standard& standard, double red, double green, double blue) {
  const bool limited = standard.range == YuvRange::limited;
  const double luma =
      standard.kr * red + (1 - standard.kr - standard.kb) * green + standard.kb * blue;
  const double chroma = limited ? 224.0 / 255.0 : 1.0;
  return {limited ? 16 + luma * 219.0 / 255.0 : luma,
          128 + (blue - luma) / (2 * (1 - standard.kb)) * chroma,
          128 + (red - luma) / (2 * (1 - standard.kr)) * chroma};
}

void convert(const TestImage& rgb, bool nv12, Yuv& yuv, const YuvConversion& options,
             std::int64_t begin, std::int64_t end, CpuLevel level) {
  if (nv12) {
    rgb_to_nv12(rgb.plane(), yuv.y.mutable_plane(), yuv.uv.mutable_plane(), options, begin, end,
                level);
  } else {
    rgb_to_i420(rgb.plane(), yuv.y.mutable_plane(), yuv.u.mutable_plane(), yuv.v.mutable_plane(),
                options, begin, end, level);
  }
}

int wrong_values(const TestImage& rgb, const Yuv& yuv, const Standard& standard, ChannelOrder order,
                 std::int64_t width, std::int64_t height) {
  const int red_at = order == ChannelOrder::bgr ? 2 : 0;
  int wrong = 0;
  for (std::int64_t j = 0; j < height; j += 2) {
    for (std::int64_t i = 0; i < width; i += 2) {
      double mean[3] = {0, 0, 0};
      for (std::int64_t p = 0; p < 4; ++p) {
        const std::int64_t x = i + p % 2;
        const std::int64_t y = j + p / 2;
        const double red = rgb.at(x, y, red_at);
        const double green = rgb.at(x, y, 1);
        const double blue = rgb.at(x, y, 2 - red_at);
        wrong +=
            !keeps_contract(yuv.y.at(x, y, 0), exact_yuv(standard, red, green, blue).y, kTolerance);
        mean[0] += red / 4;
        mean[1] += green / 4;
        mean[2] += blue / 4;
      }
      const ExactYuv exact = exact_yuv(standard, mean[0], mean[1], mean[2]);
      wrong += !keeps_contract(yuv.u.at(i / 2, j / 2, 0), exact.u, kTolerance);
      wrong += !keeps_contract(yuv.v.at(i / 2, j / 2, 0), exact.v, kTolerance);
    }
  }
  return wrong;
}

bool same_chroma(const Yuv& packed, const Yuv& planar, std::int64_t width, std::int64_t height) {
  for (std::int64_t j = 0; j < height / 2; ++j) {
    for (std::int64_t i = 0; i < width / 2; ++i) {
      if (packed.uv.at(i, j, 0) != planar.u.at(i, j, 0)) return false;
      if (packed.uv.at(i, j, 1) != planar.v.at(i, j, 0)) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("rgb to yuv: a grid of colours, all standards, against float64") {
  constexpr int kStep = 3;
  constexpr std::int64_t kSide = 86;  // 0, 3, … 255
  TestImage rgb(2 * kSide, 2 * kSide, 3);
  Yuv yuv(2 * kSide, 2 * kSide);
  for (int red = 0; red < 256; red += kStep) {
    CAPTURE(red);
    for (std::int64_t j = 0; j < 2 * kSide; ++j) {
      for (std::int64_t i = 0; i < 2 * kSide; ++i) {
        rgb.at(i, j, 0) = std::uint8_t(red);
        rgb.at(i, j, 1) = std::uint8_t(i / 2 * kStep);
        rgb.at(i, j, 2) = std::uint8_t(j / 2 * kStep);
      }
    }
    for (const Standard& standard : standards()) {
      convert(rgb, false, yuv, {standard.matrix, standard.range, ChannelOrder::rgb}, 0, kSide,
              best_cpu_level());
      CHECK(wrong_values(rgb, yuv, standard, ChannelOrder::rgb, 2 * kSide, 2 * kSide) == 0);
    }
  }
}

TEST_CASE("rgb to yuv: sizes, forms, orders and row ranges, the same bits at every level") {
  std::mt19937 random(6);
  const Form forms[] = {{0, 0, false}, {5, 0, false}, {2, 0, true}, {0, 2, false}, {1, 1, true}};
  for (std::int64_t width : {2, 4, 14, 16, 18, 30, 32, 34, 62, 66, 98}) {
    for (std::int64_t height : {2, 6}) {
      for (int form = 0; form < 25; ++form) {
        TestImage rgb(width, height, 3, forms[form % 5]);
        rgb.fill(random);
        const Standard standard = standards()[random() % 6];
        const auto order = random() % 2 == 0 ? ChannelOrder::rgb : ChannelOrder::bgr;
        const YuvConversion options = {standard.matrix, standard.range, order};
        Yuv expected(width, height, forms[form / 5]);
        convert(rgb, false, expected, options, 0, height / 2, CpuLevel::portable);
        CAPTURE(width);
        CAPTURE(form);
        CHECK(wrong_values(rgb, expected, standard, order, width, height) == 0);
        for (CpuLevel level : levels()) {
          CAPTURE(int(level));
          for (bool nv12 : {false, true}) {
            Yuv yuv(width, height, forms[form / 5]);
            const auto cut = std::int64_t(random() % unsigned(height / 2 + 1));
            convert(rgb, nv12, yuv, options, cut, height / 2, level);
            CHECK(yuv.y.untouched_outside(2 * cut, height));
            CHECK((nv12 ? yuv.uv : yuv.u).untouched_outside(cut, height / 2));
            convert(rgb, nv12, yuv, options, 0, cut, level);
            CHECK(yuv.y.same_pixels(expected.y));
            CHECK(yuv.y.untouched_outside(0, height));
            for (const TestImage* chroma : {&yuv.u, &yuv.v, &yuv.uv}) {
              CHECK(chroma->untouched_outside(0, height / 2));
            }
            if (nv12) {
              CHECK(same_chroma(yuv, expected, width, height));
            } else {
              CHECK(yuv.u.same_pixels(expected.u));
              CHECK(yuv.v.same_pixels(expected.v));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("rgb to yuv: greys are exact, and exact halves go to the even neighbour") {
  for (const Standard& standard : standards()) {
    if (standard.range != YuvRange::full) continue;
    for (CpuLevel level : levels()) {
      TestImage grey(512, 2, 3);
      TestImage blue(512, 2, 3);
      for (std::int64_t i = 0; i < 512 * 2; ++i) {
        for (std::int64_t c = 0; c < 3; ++c) {
          grey.at(i / 2, i % 2, c) = std::uint8_t(i / 4);
          blue.at(i / 2, i % 2, c) = c == 2 ? std::uint8_t(i / 4) : std::uint8_t(0);
        }
      }
      const YuvConversion options = {standard.matrix, standard.range, ChannelOrder::rgb};
      Yuv of_grey(512, 2);
      Yuv of_blue(512, 2);
      convert(grey, false, of_grey, options, 0, 1, level);
      convert(blue, false, of_blue, options, 0, 1, level);
      int wrong = 0;
      for (std::int64_t i = 0; i < 256; ++i) {
        wrong += of_grey.y.at(2 * i, 1, 0) != i;
        wrong += of_grey.u.at(i, 0, 0) != 128 || of_grey.v.at(i, 0, 0) != 128;
        const double exact = std::min(255.0, std::nearbyint(128 + double(i) / 2));
        wrong += of_blue.u.at(i, 0, 0) != int(exact);  // blue alone counts one half
      }
      CHECK(wrong == 0);
    }
  }
}
