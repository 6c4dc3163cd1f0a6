#include <penstock/ops.hpp>

#include "base/nearest.hpp"
#include "base/throw.hpp"
#include "exec/parallel_for.hpp"
#include "kernels/arguments.hpp"
#include "kernels/cpu/cvt_color.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace penstock {
namespace {

using kernels::Plane;

constexpr std::int64_t kBytesPerPiece = 64 << 10;

template <class Value, std::size_t N>
Value choose(const char* argument, std::string_view name,
             const std::array<std::pair<std::string_view, Value>, N>& values) {
  std::array<std::string_view, N> names;
  for (std::size_t i = 0; i < N; ++i) {
    if (values[i].first == name) return values[i].second;
    names[i] = values[i].first;
  }
  throw_error<TensorError>("cvt_color: {} \"{}\" is not supported; did you mean \"{}\"?", argument,
                           name, nearest(name, names));
}

enum class Format { i420, nv12, rgb, bgr };

using Formats = std::array<std::pair<std::string_view, Format>, 2>;
constexpr Formats kYuvFormats{{{"I420", Format::i420}, {"NV12", Format::nv12}}};
constexpr Formats kRgbFormats{{{"RGB", Format::rgb}, {"BGR", Format::bgr}}};

bool is_rgb(Format format) { return format == Format::rgb || format == Format::bgr; }

struct Direction {
  Format from, to;
};

Direction direction(std::string_view src_format, std::string_view dst_format) {
  const Format from =
      choose("src_format", src_format,
             std::array{kYuvFormats[0], kYuvFormats[1], kRgbFormats[0], kRgbFormats[1]});
  return {from, choose("dst_format", dst_format, is_rgb(from) ? kYuvFormats : kRgbFormats)};
}

kernels::YuvConversion conversion(Format rgb, const CvtColorOptions& options) {
  using kernels::ChannelOrder, kernels::YuvMatrix, kernels::YuvRange;
  return {choose("matrix", options.matrix,
                 std::array{std::pair{std::string_view("bt601"), YuvMatrix::bt601},
                            std::pair{std::string_view("bt709"), YuvMatrix::bt709},
                            std::pair{std::string_view("bt2020"), YuvMatrix::bt2020}}),
          choose("range", options.range,
                 std::array{std::pair{std::string_view("limited"), YuvRange::limited},
                            std::pair{std::string_view("full"), YuvRange::full}}),
          rgb == Format::bgr ? ChannelOrder::bgr : ChannelOrder::rgb};
}

// A plane of `channels` interleaved values for each of height x width.
Plane plane_of(const Tensor& tensor, const char* name, std::int64_t height, std::int64_t width,
               std::int64_t channels) {
  const Plane plane = kernels::as_images("cvt_color", name, tensor).first;
  const bool flat = channels == 2 && plane.channels == 1 && plane.width == width * 2;
  if (tensor.ndim() > 3 || plane.height != height ||
      !(flat || (plane.width == width && plane.channels == channels))) {
    throw_error<TensorError>("cvt_color: {} has shape {}, expected {} rows of {} x {}", name,
                             describe_shape(tensor.shape()), height, width, channels);
  }
  if (!flat) return plane;
  return {plane.data, plane.pitch_bytes, width, height, 2, plane.pixel_stride_bytes * 2};
}

// The planes of one packed tensor of (3H/2, W): chroma rows follow, packed at the same pitch or,
// for I420, two to a row.
std::vector<Plane> split(const char* name, const Tensor& packed, Format format) {
  const Plane all = kernels::as_images("cvt_color", name, packed).first;
  if (packed.ndim() > 3 || all.channels != 1 || all.height % 3 != 0 || all.width % 2 != 0 ||
      (all.height / 3 * 2) % 2 != 0 || all.pixel_stride_bytes != 1) {
    throw_error<TensorError>(
        "cvt_color: {} has shape {}, expected (3H/2, W) or (3H/2, W, 1) with even H and W", name,
        describe_shape(packed.shape()));
  }
  const std::int64_t height = all.height / 3 * 2;
  const std::int64_t width = all.width;
  const Plane y{all.data, all.pitch_bytes, width, height, 1, 1};
  const std::uint8_t* chroma = all.row(height);
  if (format == Format::nv12) {
    return {y, {chroma, all.pitch_bytes, width / 2, height / 2, 2, 2}};
  }
  if (width != 0 && all.pitch_bytes != width) {
    throw_error<TensorError>(
        "cvt_color: {} has rows of {} bytes every {}; I420 in one tensor must be packed; use "
        "planes "
        "or NV12",
        name, width, all.pitch_bytes);
  }
  const std::int64_t quarter = width / 2 * (height / 2);
  return {y,
          {chroma, width / 2, width / 2, height / 2, 1, 1},
          {chroma + quarter, width / 2, width / 2, height / 2, 1, 1}};
}

std::vector<Plane> collect(std::span<const Tensor> planes, Format format) {
  const std::size_t expected = format == Format::i420 ? 3 : 2;
  if (planes.size() != expected) {
    throw_error<TensorError>("cvt_color: src has {} planes, expected {} ({})", planes.size(),
                             expected, format == Format::i420 ? "Y, U, V" : "Y, UV");
  }
  const Plane y = kernels::as_images("cvt_color", "Y", planes[0]).first;
  if (planes[0].ndim() > 3 || y.channels != 1 || y.height % 2 != 0 || y.width % 2 != 0) {
    throw_error<TensorError>(
        "cvt_color: Y has shape {}, expected even height and width and 1 channel",
        describe_shape(planes[0].shape()));
  }
  std::vector<Plane> all{y};
  if (format == Format::nv12) {
    all.push_back(plane_of(planes[1], "UV", y.height / 2, y.width / 2, 2));
  } else {
    all.push_back(plane_of(planes[1], "U", y.height / 2, y.width / 2, 1));
    all.push_back(plane_of(planes[2], "V", y.height / 2, y.width / 2, 1));
  }
  return all;
}

Tensor convert(std::span<const Tensor> sources, const std::vector<Plane>& planes,
               const kernels::YuvConversion& conversion, const CvtColorOptions& options) {
  const Device device = sources[0].device();
  for (const Tensor& plane : sources) {
    if (plane.device() == device) continue;
    throw_error<TensorError>("cvt_color: the planes of src are on {} and {}", device.str(),
                             plane.device().str());
  }
  order::Stream* stream = kernels::working_stream("cvt_color", options.stream, device);
  const Plane& y = planes[0];
  const Tensor out =
      kernels::output("cvt_color", options.out, {y.height, y.width, 3}, "HWC", device, stream);
  const auto rgb = kernels::writable(kernels::as_images("cvt_color", "out", out).first);
  std::vector<Operand> operands;
  for (const Tensor& source : sources) {
    kernels::refuse_overlap("cvt_color", source, out);
    operands.push_back({&source.impl(), false});
  }
  operands.push_back({&out.impl(), true});
  if (y.width == 0 || y.height == 0) return out;

  run_work(stream, operands, "cvt_color", [planes, rgb, conversion] {
    const std::int64_t grain = std::max<std::int64_t>(1, kBytesPerPiece / (rgb.width * 6));
    exec::parallel_for(0, rgb.height / 2, grain, [&](std::int64_t begin, std::int64_t end) {
      if (planes.size() == 2) {
        kernels::nv12_to_rgb(planes[0], planes[1], rgb, conversion, begin, end);
      } else {
        kernels::i420_to_rgb(planes[0], planes[1], planes[2], rgb, conversion, begin, end);
      }
    });
  });
  return out;
}

// From RGB or BGR.
Tensor convert_back(const Tensor& src, Direction way, const CvtColorOptions& options) {
  const auto words = conversion(way.from, options);
  const Plane rgb = kernels::as_images("cvt_color", "src", src).first;
  if (src.ndim() != 3 || rgb.channels != 3 || rgb.height % 2 != 0 || rgb.width % 2 != 0) {
    throw_error<TensorError>("cvt_color: src has shape {}, expected (H, W, 3) with even H and W",
                             describe_shape(src.shape()));
  }
  order::Stream* stream = kernels::working_stream("cvt_color", options.stream, src.device());
  const bool is_flat = options.out && options.out->ndim() == 2;
  const Shape shape =
      is_flat ? Shape{rgb.height / 2 * 3, rgb.width} : Shape{rgb.height / 2 * 3, rgb.width, 1};
  const Tensor out = kernels::output("cvt_color", options.out, shape, is_flat ? "HW" : "HWC",
                                     src.device(), stream);
  std::array<kernels::MutablePlane, 3> planes{};
  std::ranges::transform(split("out", out, way.to), planes.begin(), kernels::writable);
  kernels::refuse_overlap("cvt_color", src, out);
  if (rgb.width == 0 || rgb.height == 0) return out;

  const std::array operands{Operand{&src.impl(), false}, Operand{&out.impl(), true}};
  run_work(stream, operands, "cvt_color", [planes, rgb, words, way] {
    const std::int64_t grain = std::max<std::int64_t>(1, kBytesPerPiece / (rgb.width * 6));
    exec::parallel_for(0, rgb.height / 2, grain, [&](std::int64_t begin, std::int64_t end) {
      if (way.to == Format::nv12) {
        kernels::rgb_to_nv12(rgb, planes[0], planes[1], words, begin, end);
      } else {
        kernels::rgb_to_i420(rgb, planes[0], planes[1], planes[2], words, begin, end);
      }
    });
  });
  return out;
}

}  // namespace

Tensor cvt_color(const Tensor& src, std::string_view src_format, std::string_view dst_format,
                 const CvtColorOptions& options) {
  const Direction way = direction(src_format, dst_format);
  if (is_rgb(way.from)) return convert_back(src, way, options);
  return convert({&src, 1}, split("src", src, way.from), conversion(way.to, options), options);
}

Tensor cvt_color(std::span<const Tensor> planes, std::string_view src_format,
                 std::string_view dst_format, const CvtColorOptions& options) {
  const Direction way = direction(src_format, dst_format);
  if (!is_rgb(way.from)) {
    return convert(planes, collect(planes, way.from), conversion(way.to, options), options);
  }
  if (planes.size() != 1) {
    throw_error<TensorError>("cvt_color: src has {} planes, expected 1 ({})", planes.size(),
                             src_format);
  }
  return convert_back(planes.front(), way, options);
}

}  // namespace penstock
