#include <penstock/ops.hpp>

#include "base/spin_lock.hpp"
#include "base/throw.hpp"
#include "exec/parallel_for.hpp"
#include "kernels/arguments.hpp"
#include "kernels/cpu/resize.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>

namespace penstock {
namespace {

using kernels::LinearResizePlan;

constexpr std::int64_t kLongestSide = std::int64_t{1} << 30;
// Output bytes that are worth a hand-over to another worker.
constexpr std::int64_t kBytesPerPiece = 64 << 10;

// The plans used last: a pipeline has a few sizes and asks for them again and again.
std::shared_ptr<const LinearResizePlan> plan_for(const kernels::Plane& src, Size size) {
  static auto* lock = new SpinLock;
  static auto* plans = new std::array<std::shared_ptr<const LinearResizePlan>, 8>{};
  static std::size_t next = 0;
  {
    const std::lock_guard guard(*lock);
    for (const auto& plan : *plans) {
      if (plan && plan->src().width == src.width && plan->src().height == src.height &&
          plan->dst().width == size.width && plan->dst().height == size.height &&
          plan->channels() == src.channels &&
          plan->src_pixel_stride_bytes() == src.pixel_stride_bytes) {
        return plan;
      }
    }
  }
  auto made = std::make_shared<const LinearResizePlan>(kernels::ImageSize{src.width, src.height},
                                                       kernels::ImageSize{size.width, size.height},
                                                       src.channels, src.pixel_stride_bytes);
  const std::lock_guard guard(*lock);
  (*plans)[next++ % plans->size()] = made;
  return made;
}

void check_sizes(const kernels::Plane& src, Size size) {
  if (size.height < 1 || size.width < 1 || size.height > kLongestSide ||
      size.width > kLongestSide) {
    throw_error<TensorError>("resize: size ({}, {}) is not 1 to {} in height and width",
                             size.height, size.width, kLongestSide);
  }
  if (src.height < 1 || src.width < 1 || src.height > kLongestSide || src.width > kLongestSide ||
      src.width * src.pixel_stride_bytes >= (std::int64_t{1} << 31)) {
    throw_error<TensorError>("resize: src is {} x {}; rows of 1 to 2^31 bytes are supported",
                             src.height, src.width);
  }
}

}  // namespace

Tensor resize(const Tensor& src, Size size, const ResizeOptions& options) {
  if (options.interp != "linear") {
    throw_error<TensorError>("resize: interp \"{}\" is not supported; \"linear\" is",
                             options.interp);
  }
  const kernels::Images images = kernels::as_images("resize", "src", src);
  order::Stream* stream = kernels::working_stream("resize", options.stream, src.device());
  if (images.count > 0) check_sizes(images.first, size);
  Tensor out = kernels::output("resize", options.out, kernels::resized_shape(src, size),
                               src.layout(), src.device(), stream);
  const kernels::Images results = kernels::as_images("resize", "out", out);
  if (images.count == 0) return out;
  kernels::refuse_overlap("resize", src, out);

  const std::array operands{Operand{&src.impl(), false}, Operand{&out.impl(), true}};
  run_work(stream, operands, "resize",
           [plan = plan_for(images.first, size), images, results, rows = size.height,
            row_bytes = size.width * images.first.channels] {
             const std::int64_t grain = std::max<std::int64_t>(1, kBytesPerPiece / row_bytes);
             for (std::int64_t i = 0; i < images.count; ++i) {
               exec::parallel_for(0, rows, grain, [&](std::int64_t begin, std::int64_t end) {
                 kernels::resize_linear(*plan, images.at(i), kernels::writable(results.at(i)),
                                        begin, end);
               });
             }
           });
  return out;
}

}  // namespace penstock
