// Affine warps: against a float64 oracle, every CPU level, memory layouts, borders, matrices.
#include <penstock/penstock.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/affine.hpp"
#include "kernels/cpu/warp.hpp"
#include "kernels_test_image.hpp"

using namespace penstock::kernels;
namespace ps = penstock;
using doctest::Contains;

namespace {

constexpr double kTolerance = 0.51;
constexpr std::uint8_t kBorderValue = 77;
constexpr BorderMode kModes[] = {BorderMode::constant, BorderMode::replicate, BorderMode::reflect,
                                 BorderMode::reflect_101, BorderMode::wrap};

// By walking, not by arithmetic: an index that steps to and fro, or round and round.
std::int64_t walked_index(BorderMode mode, std::int64_t i, std::int64_t n) {
  if (i >= 0 && i < n) return i;
  if (mode == BorderMode::constant) return -1;
  if (mode == BorderMode::replicate) return i < 0 ? 0 : n - 1;
  if (n == 1) return 0;
  std::int64_t at = 0;
  std::int64_t step = i < 0 ? -1 : 1;
  for (std::int64_t left = std::abs(i); left > 0; --left) {
    const std::int64_t next = at + step;
    if (next >= 0 && next < n) {
      at = next;
    } else if (mode == BorderMode::wrap) {
      at = next < 0 ? n - 1 : 0;
    } else {
      step = -step;  // "reflect" sees the edge twice
      if (mode == BorderMode::reflect_101) at += step;
    }
  }
  return at;
}

double sample(const TestImage& src, const WarpJob& job, std::int64_t x, std::int64_t y,
              std::int64_t c) {
  x = walked_index(job.border, x, src.plane().width);
  y = walked_index(job.border, y, src.plane().height);
  return x < 0 || y < 0 ? kBorderValue : src.at(x, y, c);
}

double exact_warp(const TestImage& src, const WarpJob& job, std::int64_t x, std::int64_t y,
                  std::int64_t c) {
  const auto& m = job.matrix;
  const double at_x = m[0] * double(x) + m[1] * double(y) + m[2];
  const double at_y = m[3] * double(x) + m[4] * double(y) + m[5];
  if (job.interpolation == Interpolation::nearest) {
    return sample(src, job, std::int64_t(std::floor(at_x + 0.5)),
                  std::int64_t(std::floor(at_y + 0.5)), c);
  }
  const auto left = std::int64_t(std::floor(at_x));
  const auto top = std::int64_t(std::floor(at_y));
  const double wx = at_x - double(left);
  const double wy = at_y - double(top);
  return (sample(src, job, left, top, c) * (1 - wx) + sample(src, job, left + 1, top, c) * wx) *
             (1 - wy) +
         (sample(src, job, left, top + 1, c) * (1 - wx) +
          sample(src, job, left + 1, top + 1, c) * wx) *
             wy;
}

struct WarpCase {
  std::int64_t src_width, src_height, dst_width, dst_height;
};

void check_warp(const WarpJob& job, const WarpCase& size, std::int64_t channels, Form src_form,
                Form dst_form, std::mt19937& random) {
  CAPTURE(size.src_width);
  CAPTURE(size.src_height);
  CAPTURE(size.dst_width);
  CAPTURE(size.dst_height);
  CAPTURE(channels);
  CAPTURE(int(job.border));
  CAPTURE(int(job.interpolation));
  TestImage src(size.src_width, size.src_height, channels, src_form);
  src.fill(random);
  TestImage portable(size.dst_width, size.dst_height, channels, dst_form);
  warp_affine(job, src.plane(), portable.mutable_plane(), 0, size.dst_height, CpuLevel::portable);
  int wrong = 0;
  for (std::int64_t y = 0; y < size.dst_height; ++y) {
    for (std::int64_t x = 0; x < size.dst_width; ++x) {
      for (std::int64_t c = 0; c < channels; ++c) {
        wrong += std::abs(portable.at(x, y, c) - exact_warp(src, job, x, y, c)) > kTolerance;
      }
    }
  }
  CHECK(wrong == 0);
  for (CpuLevel level : levels()) {
    CAPTURE(int(level));
    TestImage parts(size.dst_width, size.dst_height, channels, dst_form);
    const auto cut = std::int64_t(random() % unsigned(size.dst_height + 1));
    warp_affine(job, src.plane(), parts.mutable_plane(), cut, size.dst_height, level);
    CHECK(parts.untouched_outside(cut, size.dst_height));
    warp_affine(job, src.plane(), parts.mutable_plane(), 0, cut, level);
    CHECK(parts.same_pixels(portable));
    CHECK(parts.untouched_outside(0, size.dst_height));
  }
}

// A map that stays near the image, with no position near half a pixel but by rare chance.
std::array<double, 6> any_map(std::mt19937& random, const WarpCase& size) {
  std::uniform_real_distribution<double> entry(-1.6, 1.6);
  std::uniform_real_distribution<double> shift(-0.5, 1.5);
  return {entry(random), entry(random), shift(random) * double(size.src_width),
          entry(random), entry(random), shift(random) * double(size.src_height)};
}

WarpJob job_of(const std::array<double, 6>& matrix, Interpolation interpolation,
               BorderMode border) {
  WarpJob job{matrix, interpolation, border, Element::u8, {}};
  job.border_pixel.fill(kBorderValue);
  return job;
}

}  // namespace

TEST_CASE("border_index: every mode, near and far") {
  for (BorderMode mode : kModes) {
    for (std::int64_t n : {1, 2, 3, 7}) {
      int wrong = 0;
      for (std::int64_t i = -40; i < 40; ++i) {
        wrong += border_index(mode, i, n) != walked_index(mode, i, n);
      }
      CAPTURE(int(mode));
      CAPTURE(n);
      CHECK(wrong == 0);
      for (std::int64_t far : {-(std::int64_t{1} << 31), (std::int64_t{1} << 31)}) {
        const std::int64_t index = border_index(mode, far, n);
        CHECK((mode == BorderMode::constant ? index == -1 : index >= 0 && index < n));
      }
    }
  }
}

TEST_CASE("warp_affine: any map, size, border, 1 to 4 channels, against float64") {
  std::mt19937 random(1);
  for (int i = 0; i < 400; ++i) {
    const auto side = [&] { return std::int64_t(1 + random() % (i % 3 == 0 ? 4 : 60)); };
    const WarpCase size{side(), side(), side(), side()};
    const auto map = any_map(random, size);
    for (Interpolation interpolation : {Interpolation::nearest, Interpolation::linear}) {
      check_warp(job_of(map, interpolation, kModes[i % 5]), size, 1 + i % 4, {}, {}, random);
    }
  }
}

TEST_CASE("warp_affine: rows longer than a run; the last columns and rows, to the byte") {
  std::mt19937 random(2);
  for (std::int64_t channels = 1; channels <= 4; ++channels) {
    for (double step : {1.0, 0.37, 1.9}) {
      const std::array<double, 6> map{step, 0.001, -0.75, 0.002, step, 0.25};
      check_warp(job_of(map, Interpolation::linear, BorderMode::replicate), {300, 9, 701, 12},
                 channels, {}, {}, random);
    }
  }
}

TEST_CASE("warp_affine: padded, bottom-up and strided planes") {
  std::mt19937 random(3);
  const Form forms[] = {{5, 0, false}, {0, 0, true}, {0, 1, false}, {7, 3, true}, {0, 20, false}};
  for (const Form& src_form : forms) {
    for (const Form& dst_form : forms) {
      for (std::int64_t channels = 1; channels <= 4; ++channels) {
        const WarpCase size{41, 23, 30, 37};
        const auto map = any_map(random, size);
        for (Interpolation interpolation : {Interpolation::nearest, Interpolation::linear}) {
          check_warp(job_of(map, interpolation, kModes[channels % 5]), size, channels, src_form,
                     dst_form, random);
        }
      }
    }
  }
}

TEST_CASE("warp_affine: exact at whole positions, half to even at half positions") {
  std::mt19937 random(4);
  TestImage src(31, 17, 3);
  src.fill(random);
  for (CpuLevel level : levels()) {
    TestImage same(31, 17, 3);
    // A third, three times over, is a whole number but for the last bit.
    const double third = 1.0 / 3.0;
    const std::array<double, 6> map{3 * third, 0, 0, 0, third + third + third, 0};
    warp_affine(job_of(map, Interpolation::linear, BorderMode::wrap), src.plane(),
                same.mutable_plane(), 0, 17, level);
    CHECK(same.same_pixels(src));

    TestImage half(30, 17, 3);
    warp_affine(job_of({1, 0, 0.5, 0, 1, 0}, Interpolation::linear, BorderMode::wrap), src.plane(),
                half.mutable_plane(), 0, 17, level);
    int wrong = 0;
    for (std::int64_t y = 0; y < 17; ++y) {
      for (std::int64_t x = 0; x < 30; ++x) {
        const double exact = (src.at(x, y, 1) + src.at(x + 1, y, 1)) / 2.0;
        wrong += half.at(x, y, 1) != int(std::nearbyint(exact));
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("warp_affine: positions that are infinite, NaN or far out are the border's") {
  std::mt19937 random(5);
  TestImage src(9, 7, 2);
  src.fill(random);
  const double huge = 1e308;
  for (const std::array<double, 6>& map : {std::array<double, 6>{huge, 0, huge, 0, 1, 0},
                                           {huge, -huge, 0, 1, 1, 0},
                                           {1, 0, 1e15, 0, 1, 0},
                                           {1, 0, 0, 0, -1e200, -1e200}}) {
    for (BorderMode mode : kModes) {
      for (Interpolation interpolation : {Interpolation::nearest, Interpolation::linear}) {
        TestImage portable(40, 40, 2);
        warp_affine(job_of(map, interpolation, mode), src.plane(), portable.mutable_plane(), 1, 40,
                    CpuLevel::portable);
        for (CpuLevel level : levels()) {
          TestImage dst(40, 40, 2);
          warp_affine(job_of(map, interpolation, mode), src.plane(), dst.mutable_plane(), 1, 40,
                      level);
          CHECK(dst.same_pixels(portable));
        }
        if (mode == BorderMode::constant) CHECK(portable.at(39, 39, 1) == kBorderValue);
      }
    }
  }
}

TEST_CASE("source_map: the inverse, whatever the size of the entries") {
  std::mt19937 random(6);
  std::uniform_real_distribution<double> entry(-1, 1);
  for (double size : {1.0, 1e-9, 1e9, 1e-150, 1e150}) {
    for (int i = 0; i < 100; ++i) {
      const std::array<double, 6> m{entry(random) * size, entry(random) * size, entry(random),
                                    entry(random),        entry(random),        entry(random)};
      if (std::abs(m[0] / size * m[4] - m[1] / size * m[3]) < 0.05) continue;
      if (size < 1e-10 || size > 1e10) {  // too far from a multiple of a rotation
        CHECK_THROWS_AS(static_cast<void>(source_map("warp_affine", m, false)), ps::TensorError);
        continue;
      }
      const auto back = source_map("warp_affine", m, false);
      CHECK(source_map("warp_affine", m, true) == m);
      const double x = m[0] * 3 + m[1] * 5 + m[2];
      const double y = m[3] * 3 + m[4] * 5 + m[5];
      CHECK(back[0] * x + back[1] * y + back[2] == doctest::Approx(3).epsilon(1e-5));
      CHECK(back[3] * x + back[4] * y + back[5] == doctest::Approx(5).epsilon(1e-5));
    }
  }
  // Small and large as a whole: no fixed determinant decides.
  CHECK(source_map("warp_affine", {1e-150, 0, 0, 0, 1e-150, 0}, false)[0] ==
        doctest::Approx(1e150));
  CHECK(source_map("warp_affine", {0, 1e150, 0, -1e150, 0, 0}, false)[1] ==
        doctest::Approx(-1e-150));
}

TEST_CASE("warp_affine: what it refuses, by name; out is left alone") {
  const ps::Tensor src = ps::Tensor::zeros({6, 8, 3}, ps::u8, "HWC");
  const ps::Tensor out = ps::Tensor::zeros({6, 8, 3}, ps::u8, "HWC");
  std::memset(out.data(), 9, 144);
  const ps::AffineMatrix identity{1, 0, 0, 0, 1, 0};
  const auto refused = [&](const ps::Tensor& image, const ps::AffineMatrix& m,
                           ps::WarpAffineOptions options, const char* text) {
    if (!options.out) options.out = out;
    CHECK_THROWS_WITH_AS(static_cast<void>(ps::warp_affine(image, m, options)), Contains(text),
                         ps::TensorError);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refused(src, {1, 0, nan, 0, 1, 0}, {}, "warp_affine: xform (1, 0, nan, 0, 1, 0) is not finite");
  refused(src, {1, 2, 0, 2, 4, 0}, {}, "xform (1, 2, 0, 2, 4, 0) is singular");
  refused(src, {1, 2, 0, 2, 4, 0}, {.inverse = true}, "is singular");
  refused(src, {0, 0, 0, 0, 0, 0}, {}, "is singular");
  refused(src, {1, 1, 0, 1, 1 + 1e-13, 0}, {}, "is singular");
  refused(src, identity, {.size = ps::Size{0, 3}}, "warp_affine: size (0, 3)");
  refused(src, identity, {.size = ps::Size{3, std::int64_t{1} << 40}}, "warp_affine: size (3, ");
  refused(src, identity, {.size = ps::Size{3, 3}}, "out has shape (6, 8, 3), expected (3, 3, 3)");
  refused(src, identity, {.interp = "cubic"}, "interp \"cubic\" is not supported; did you mean");
  refused(src, identity, {.border_mode = "reflect101"}, "did you mean \"reflect_101\"?");
  refused(src, identity, {.border_value = {1, 2}}, "border_value has 2 values, expected 1 or 3");
  refused(src, identity, {.border_value = {nan}}, "border_value is NaN");
  refused(ps::Tensor::zeros({6, 8, 3}, ps::u16), identity, {}, "uint8 and float32 are supported");
  refused(ps::Tensor::zeros({6, 8, 5}, ps::u8), identity, {}, "src has 5 channels");
  refused(src, identity, {.out = src}, "out overlaps src");
  CHECK(static_cast<const unsigned char*>(out.data())[143] == 9);
}
