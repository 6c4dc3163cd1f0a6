#include <penstock/ops.hpp>

#include "exec/parallel_for.hpp"
#include "kernels/affine.hpp"
#include "kernels/arguments.hpp"
#include "kernels/cpu/warp.hpp"
#include "kernels/values.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock {
namespace {

using kernels::BorderMode;
using kernels::Interpolation;

constexpr const char* kOp = "warp_affine";
constexpr std::int64_t kLongestSide = std::int64_t{1} << 30;
// Output bytes that are worth a hand-over to another worker.
constexpr std::int64_t kBytesPerPiece = 64 << 10;

void check_sides(const char* name, Size size) {
  if (size.height >= 1 && size.width >= 1 && size.height <= kLongestSide &&
      size.width <= kLongestSide) {
    return;
  }
  throw_error<TensorError>("{}: {} ({}, {}) is not 1 to {} in height and width", kOp, name,
                           size.height, size.width, kLongestSide);
}

kernels::PixelBytes border_pixel(const std::vector<double>& values, std::int64_t channels,
                                 Dtype dtype) {
  std::vector<double> all = values;
  if (all.size() <= 1) all.assign(static_cast<std::size_t>(channels), all.empty() ? 0 : all[0]);
  if (std::ssize(all) != channels) {
    throw_error<TensorError>(
        "{}: border_value has {} values, expected 1 or {}, one for each channel", kOp, all.size(),
        channels);
  }
  return kernels::pixel_of(kOp, "border_value", all, dtype);
}

kernels::WarpJob job_for(const AffineMatrix& xform, const WarpAffineOptions& options,
                         std::int64_t channels, Dtype dtype) {
  using namespace std::string_view_literals;
  kernels::WarpJob job;
  job.interpolation = kernels::choose(kOp, "interp", options.interp,
                                      std::array{std::pair{"linear"sv, Interpolation::linear},
                                                 std::pair{"nearest"sv, Interpolation::nearest}});
  job.border = kernels::choose(kOp, "border_mode", options.border_mode,
                               std::array{std::pair{"constant"sv, BorderMode::constant},
                                          std::pair{"replicate"sv, BorderMode::replicate},
                                          std::pair{"reflect"sv, BorderMode::reflect},
                                          std::pair{"reflect_101"sv, BorderMode::reflect_101},
                                          std::pair{"wrap"sv, BorderMode::wrap}});
  job.matrix = kernels::source_map(kOp, xform, options.inverse);
  job.element = dtype == f32 ? kernels::Element::f32 : kernels::Element::u8;
  job.border_pixel = border_pixel(options.border_value, channels, dtype);
  return job;
}

}  // namespace

Tensor warp_affine(const Tensor& src, const AffineMatrix& xform, const WarpAffineOptions& options) {
  const kernels::Images images = kernels::as_images(kOp, "src", src, kernels::kBytesAndFloats);
  const Size src_size{images.first.height, images.first.width};
  const Size size = options.size.value_or(src_size);
  if (options.size || images.count > 0) check_sides("size", size);
  if (images.count > 0) check_sides("src", src_size);
  const kernels::WarpJob job = job_for(xform, options, images.first.channels, src.dtype());
  order::Stream* stream = kernels::working_stream(kOp, options.stream, src.device());
  Tensor out = kernels::output(kOp, options.out, kernels::resized_shape(src, size), src.layout(),
                               src.device(), stream, src.dtype());
  const kernels::Images results = kernels::as_images(kOp, "out", out, kernels::kBytesAndFloats);
  if (images.count == 0) return out;
  kernels::refuse_overlap(kOp, src, out);

  const std::array operands{Operand{&src.impl(), false}, Operand{&out.impl(), true}};
  const std::int64_t row_bytes = size.width * images.first.channels * src.itemsize();
  run_work(stream, operands, kOp, [job, images, results, rows = size.height, row_bytes] {
    const std::int64_t grain = std::max<std::int64_t>(1, kBytesPerPiece / row_bytes);
    for (std::int64_t i = 0; i < images.count; ++i) {
      exec::parallel_for(0, rows, grain, [&](std::int64_t begin, std::int64_t end) {
        kernels::warp_affine(job, images.at(i), kernels::writable(results.at(i)), begin, end);
      });
    }
  });
  return out;
}

}  // namespace penstock
