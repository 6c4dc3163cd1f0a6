#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/cpu/resize.hpp"
#include "kernels_test_image.hpp"

using namespace penstock::kernels;

namespace {

constexpr double kTolerance = 0.516;

// Edge-replicated sample positions and weight of output position x.
struct Position {
  std::int64_t low, high;
  double fraction;
};
Position position(std::int64_t x, std::int64_t src, std::int64_t dst) {
  const double at = (double(x) + 0.5) * double(src) / double(dst) - 0.5;
  const double below = std::floor(at);
  return {std::clamp<std::int64_t>(std::int64_t(below), 0, src - 1),
          std::clamp<std::int64_t>(std::int64_t(below) + 1, 0, src - 1), at - below};
}

double exact_resize(const TestImage& src, Position x, Position y, std::int64_t c) {
  const double top =
      src.at(x.low, y.low, c) * (1 - x.fraction) + src.at(x.high, y.low, c) * x.fraction;
  const double bottom =
      src.at(x.low, y.high, c) * (1 - x.fraction) + src.at(x.high, y.high, c) * x.fraction;
  return top * (1 - y.fraction) + bottom * y.fraction;
}

struct ResizeCase {
  std::int64_t src_width, src_height, dst_width, dst_height;
};

// How many values of `dst` break the contract, or, with `to_the_bit`, are not the rounded exact
// one.
int wrong_values(const ResizeCase& size, std::int64_t channels, const TestImage& src,
                 const TestImage& dst, bool to_the_bit = false) {
  int wrong = 0;
  for (std::int64_t y = 0; y < size.dst_height; ++y) {
    const Position at_y = position(y, size.src_height, size.dst_height);
    for (std::int64_t x = 0; x < size.dst_width; ++x) {
      const Position at_x = position(x, size.src_width, size.dst_width);
      for (std::int64_t c = 0; c < channels; ++c) {
        const double exact = exact_resize(src, at_x, at_y, c);
        const int got = dst.at(x, y, c);
        wrong += to_the_bit ? got != int(std::nearbyint(exact))
                            : !keeps_contract(got, exact, kTolerance);
      }
    }
  }
  return wrong;
}

void check_resize(const ResizeCase& size, std::int64_t channels, Form src_form, Form dst_form,
                  std::mt19937& random, bool to_the_bit = false) {
  CAPTURE(size.src_width);
  CAPTURE(size.src_height);
  CAPTURE(size.dst_width);
  CAPTURE(size.dst_height);
  CAPTURE(channels);
  TestImage src(size.src_width, size.src_height, channels, src_form);
  src.fill(random);
  const LinearResizePlan plan({size.src_width, size.src_height}, {size.dst_width, size.dst_height},
                              channels, src.plane().pixel_stride_bytes);
  TestImage portable(size.dst_width, size.dst_height, channels, dst_form);
  resize_linear(plan, src.plane(), portable.mutable_plane(), 0, size.dst_height,
                CpuLevel::portable);
  CHECK(wrong_values(size, channels, src, portable, to_the_bit) == 0);
  for (CpuLevel level : levels()) {
    CAPTURE(int(level));
    TestImage whole(size.dst_width, size.dst_height, channels, dst_form);
    resize_linear(plan, src.plane(), whole.mutable_plane(), 0, size.dst_height, level);
    CHECK(whole.same_pixels(portable));
    CHECK(whole.untouched_outside(0, size.dst_height));

    TestImage parts(size.dst_width, size.dst_height, channels, dst_form);
    const auto cut = std::int64_t(random() % unsigned(size.dst_height + 1));
    resize_linear(plan, src.plane(), parts.mutable_plane(), cut, size.dst_height, level);
    CHECK(parts.untouched_outside(cut, size.dst_height));
    resize_linear(plan, src.plane(), parts.mutable_plane(), 0, cut, level);
    CHECK(parts.same_pixels(portable));
  }
}

}  // namespace

TEST_CASE("resize_linear: any size, 1 to 4 channels, against float64") {
  std::mt19937 random(1);
  const ResizeCase cases[] = {
      {1, 1, 1, 1},    {1, 1, 7, 5},      {7, 5, 1, 1},     {16, 16, 16, 16},  {13, 11, 13, 11},
      {2, 2, 1, 1},    {34, 6, 17, 3},    {66, 8, 33, 4},   {97, 89, 31, 53},  {31, 53, 97, 89},
      {64, 48, 32, 7}, {40, 30, 120, 90}, {101, 7, 13, 60}, {500, 3, 4, 3},    {3, 200, 90, 2},
      {18, 20, 19, 1}, {128, 9, 64, 18},  {5, 1, 333, 1},   {257, 16, 255, 16}};
  for (const ResizeCase& size : cases) {
    for (std::int64_t channels = 1; channels <= 4; ++channels) {
      check_resize(size, channels, {}, {}, random);
    }
  }
  for (int i = 0; i < 300; ++i) {
    const auto side = [&] { return std::int64_t(1 + random() % 70); };
    check_resize({side(), side(), side(), side()}, 1 + i % 4, {}, {}, random);
  }
}

TEST_CASE("resize_linear: rows wider than a stripe") {
  std::mt19937 random(2);
  for (std::int64_t channels = 1; channels <= 4; ++channels) {
    check_resize({5003, 4, 4999, 3}, channels, {}, {}, random);
    check_resize({37, 3, 9001, 4}, channels, {}, {}, random);
    check_resize({9002, 4, 4501, 2}, channels, {}, {}, random);
    check_resize({20000, 3, 5000, 2}, channels, {}, {}, random);
  }
}

TEST_CASE("resize_linear: padded, bottom-up and strided planes") {
  std::mt19937 random(3);
  const Form forms[] = {{5, 0, false}, {0, 0, true}, {3, 0, true},
                        {0, 1, false}, {7, 3, true}, {0, 20, false}};
  for (const Form& src_form : forms) {
    for (const Form& dst_form : forms) {
      for (std::int64_t channels = 1; channels <= 4; ++channels) {
        check_resize({41, 23, 30, 37}, channels, src_form, dst_form, random);
        check_resize({46, 14, 23, 7}, channels, src_form, dst_form, random);
        check_resize({19, 5, 19, 5}, channels, src_form, dst_form, random);
      }
    }
  }
}

TEST_CASE("resize_linear: half to even, to the bit, where the weights are short binary fractions") {
  std::mt19937 random(4);
  for (std::int64_t channels = 1; channels <= 4; ++channels) {
    for (const ResizeCase& size : {ResizeCase{150, 90, 75, 45},
                                   {64, 64, 16, 32},
                                   {60, 20, 120, 40},
                                   {33, 21, 132, 84},
                                   {70, 50, 70, 25}}) {
      check_resize(size, channels, {}, {}, random, true);
      check_resize(size, channels, {}, {0, 1, false}, random, true);
    }
  }
}

TEST_CASE("linear_tap: stays inside the image and near the exact coordinate") {
  const std::int64_t sizes[] = {1, 2, 3, 7, 640, 1280, 32768, 70001};
  int outside = 0;
  int far = 0;
  for (std::int64_t src : sizes) {
    for (std::int64_t dst : sizes) {
      for (std::int64_t x = 0; x < dst; ++x) {
        const LinearTap tap = linear_tap(x, src, dst);
        const double exact = (double(x) + 0.5) * double(src) / double(dst) - 0.5;
        const double got = tap.index + tap.weight / 32768.0;
        outside += tap.index < 0 || tap.weight < 0 || tap.index + (tap.weight != 0) >= src;
        far += std::abs(got - std::clamp(exact, 0.0, double(src - 1))) > 1.0 / 65536 + 1e-9;
      }
    }
  }
  CHECK(outside == 0);
  CHECK(far == 0);
}
