#include <penstock/ops.hpp>

#include "exec/parallel_for.hpp"
#include "kernels/arguments.hpp"
#include "kernels/boxes.hpp"
#include "kernels/values.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock {
namespace {

using kernels::PixelBox;

constexpr const char* kOp = "draw_boxes";
// Bytes that are worth a hand-over to another worker.
constexpr std::int64_t kBytesPerPiece = 256 << 10;

kernels::BoxPen pen_for(const DrawBoxesOptions& options, std::int64_t channels, Dtype dtype) {
  if (options.thickness < 1 && options.thickness != -1) {
    throw_error<TensorError>("{}: thickness is {}, expected at least 1, or -1 to fill", kOp,
                             options.thickness);
  }
  std::vector<double> color = options.color;
  if (color.size() == 3 && channels == 1) {
    color = {0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]};
  } else if (color.size() == 3 && channels == 4 && dtype == u8) {
    color.push_back(255);
  } else if (color.size() == 1) {
    color.assign(static_cast<std::size_t>(channels), color[0]);
  }
  if (std::ssize(color) != channels) {
    throw_error<TensorError>("{}: color has {} values, expected 1 or {}, one for each channel", kOp,
                             color.size(), channels);
  }
  return {kernels::pixel_of(kOp, "color", color, dtype), channels * dtype.itemsize(),
          options.thickness};
}

// An image to draw on, and the one to copy there first, unless they are one.
struct Canvas {
  kernels::Plane src;
  kernels::MutablePlane dst;
  kernels::BoxPen pen;
  bool is_in_place;

  void draw(std::span<const PixelBox> boxes) const {
    if (dst.width == 0 || dst.height == 0 || (is_in_place && boxes.empty())) return;
    const std::int64_t grain =
        std::max<std::int64_t>(1, kBytesPerPiece / (dst.width * pen.pixel_bytes));
    exec::parallel_for(0, dst.height, grain, [&](std::int64_t begin, std::int64_t end) {
      if (!is_in_place) kernels::copy_pixels(src, dst, pen.pixel_bytes, begin, end);
      kernels::draw_boxes(dst, boxes, pen, begin, end);
    });
  }
};

bool is_same(const Tensor& a, const Tensor& b) {
  return a.data() == b.data() && std::ranges::equal(a.shape(), b.shape()) &&
         std::ranges::equal(a.strides(), b.strides());
}

// All that is checked and made before anything is written.
struct Drawing {
  Drawing(const Tensor& src, const DrawBoxesOptions& options)
      : stream(kernels::working_stream(kOp, options.stream, src.device())), out(src) {
    const auto images = kernels::as_images(kOp, "src", src, kernels::kBytesAndFloats);
    if (src.ndim() > 3) {
      throw_error<TensorError>("{}: src has shape {}; one image, (H, W) or (H, W, C), is supported",
                               kOp, describe_shape(src.shape()));
    }
    canvas.src = images.first;
    canvas.pen = pen_for(options, images.first.channels, src.dtype());
    out = kernels::output(kOp, options.out, Shape(src.shape().begin(), src.shape().end()),
                          src.layout(), src.device(), stream, src.dtype());
    const auto results = kernels::as_images(kOp, "out", out, kernels::kBytesAndFloats);
    canvas.dst = kernels::writable(results.first);
    canvas.is_in_place = options.out && is_same(src, out);
    if (!canvas.is_in_place) kernels::refuse_overlap(kOp, src, out);
  }

  order::Stream* stream;
  Tensor out;
  Canvas canvas{};
};

void draw_now(const Tensor& src, const Drawing& drawing, std::vector<PixelBox> boxes) {
  const std::array operands{Operand{&drawing.out.impl(), true}, Operand{&src.impl(), false}};
  const std::size_t count = drawing.canvas.is_in_place ? 1 : 2;
  run_work(drawing.stream, std::span(operands).first(count), kOp,
           [canvas = drawing.canvas, boxes = std::move(boxes)] { canvas.draw(boxes); });
}

}  // namespace

Tensor draw_boxes(const Tensor& src, std::span<const Box> boxes, const DrawBoxesOptions& options) {
  std::vector<PixelBox> known = kernels::pixel_boxes(boxes);
  Drawing drawing(src, options);
  draw_now(src, drawing, std::move(known));
  return std::move(drawing.out);
}

Tensor draw_boxes(const Tensor& src, const Tensor& boxes, const DrawBoxesOptions& options) {
  kernels::check_boxes(boxes);
  Drawing drawing(src, options);
  if (order::check::overlaps(boxes.impl().range(), drawing.out.impl().range())) {
    throw_error<TensorError>("{}: out overlaps boxes; give it memory of its own", kOp);
  }
  order::Stream* stream = drawing.stream;
  const bool works_here = stream == nullptr || stream->is_running_here();
  if (works_here || boxes.impl().block->is_complete(false)) {
    const std::array operands{Operand{&boxes.impl(), false}};
    host_access(operands, tag(kOp));
    draw_now(src, drawing, kernels::read_boxes(boxes));
    return std::move(drawing.out);
  }
  const std::array operands{Operand{&boxes.impl(), false}, Operand{&drawing.out.impl(), true},
                            Operand{&src.impl(), false}};
  const std::size_t count = drawing.canvas.is_in_place ? 2 : 3;
  run_work(stream, std::span(operands).first(count), kOp,
           [canvas = drawing.canvas, boxes] { canvas.draw(kernels::read_boxes(boxes)); });
  return std::move(drawing.out);
}

}  // namespace penstock
