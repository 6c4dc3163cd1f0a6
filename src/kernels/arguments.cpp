#include "kernels/arguments.hpp"

#include "base/throw.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

namespace penstock::kernels {
namespace {

void check_layout(const char* op, const char* name, const Tensor& tensor) {
  const auto layout = tensor.layout().str();
  if (!layout.empty() && layout != "HW" && layout != "HWC" && layout != "NHWC") {
    throw_error<TensorError>(
        "{}: {} has layout \"{}\"; \"HW\", \"HWC\" and \"NHWC\" are supported; use view() or "
        "permute()",
        op, name, layout);
  }
}

void check_dtype(const char* op, const char* name, const Tensor& tensor,
                 std::span<const Dtype> dtypes) {
  if (std::ranges::find(dtypes, tensor.dtype()) != dtypes.end()) return;
  std::string known;
  for (const Dtype dtype : dtypes) {
    if (!known.empty()) known += " and ";
    known += dtype.name();
  }
  throw_error<TensorError>("{}: {} has dtype {}; {} {} supported", op, name, tensor.dtype().name(),
                           known, dtypes.size() == 1 ? "is" : "are");
}

// Two elements at one address would be written by two threads.
bool overlaps_itself(const Tensor& tensor) {
  std::array<std::pair<std::int64_t, std::int64_t>, kMaxDims> dims;  // stride, extent
  std::size_t count = 0;
  for (std::size_t i = 0; i < tensor.shape().size(); ++i) {
    if (tensor.shape()[i] > 1) dims[count++] = {std::abs(tensor.strides()[i]), tensor.shape()[i]};
  }
  std::sort(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(count));
  std::int64_t reach = tensor.itemsize();
  for (std::size_t i = 0; i < count; ++i) {
    const auto [stride, extent] = dims[i];
    if (stride < reach) return true;
    reach += stride * (extent - 1);
  }
  return false;
}

}  // namespace

Images as_images(const char* op, const char* name, const Tensor& tensor,
                 std::span<const Dtype> dtypes) {
  const auto shape = tensor.shape();
  const auto strides = tensor.strides();
  check_dtype(op, name, tensor, dtypes);
  if (shape.size() < 2 || shape.size() > 4) {
    throw_error<TensorError>(
        "{}: {} has shape {}; (H, W), (H, W, C) and (N, H, W, C) are supported", op, name,
        describe_shape(shape));
  }
  check_layout(op, name, tensor);
  const std::size_t rows = shape.size() == 4 ? 1 : 0;
  const std::int64_t channels = shape.size() == 2 ? 1 : shape.back();
  if (channels < 1 || channels > 4) {
    throw_error<TensorError>("{}: {} has {} channels; 1 to 4 are supported", op, name, channels);
  }
  const std::int64_t itemsize = tensor.itemsize();
  const bool is_interleaved = shape.size() == 2 || channels == 1 || strides.back() == itemsize;
  if (!is_interleaved || strides[rows + 1] < channels * itemsize) {
    throw_error<TensorError>(
        "{}: {} has strides {}; pixels must lie side by side with their channels together; use "
        "copy()",
        op, name, describe_shape(strides));
  }
  Images images;
  images.count = rows == 1 ? shape[0] : 1;
  images.batch_stride = rows == 1 ? strides[0] : 0;
  images.first = {static_cast<const std::uint8_t*>(tensor.data()),
                  strides[rows],
                  shape[rows + 1],
                  shape[rows],
                  channels,
                  strides[rows + 1]};
  return images;
}

MutablePlane writable(const Plane& plane) {
  return {const_cast<std::uint8_t*>(plane.data),
          plane.pitch_bytes,
          plane.width,
          plane.height,
          plane.channels,
          plane.pixel_stride_bytes};
}

Shape resized_shape(const Tensor& src, Size size) {
  Shape shape(src.shape().begin(), src.shape().end());
  const std::size_t rows = shape.size() == 4 ? 1 : 0;
  shape[rows] = size.height;
  shape[rows + 1] = size.width;
  return shape;
}

Tensor output(const char* op, const std::optional<Tensor>& out, const Shape& shape,
              const Layout& layout, Device device, order::Stream* stream, Dtype dtype) {
  if (!out) {
    if (stream == nullptr) return Tensor::empty(shape, dtype, layout, device);
    stream->retain();
    return Tensor::empty(shape, dtype, layout, Stream(stream));
  }
  if (out->readonly()) throw_error<TensorError>("{}: out is read-only", op);
  if (out->device() != device) {
    throw_error<TensorError>("{}: out is on {}, src on {}", op, out->device().str(), device.str());
  }
  if (out->dtype() != dtype) {
    throw_error<TensorError>("{}: out has dtype {}, expected {}", op, out->dtype().name(),
                             dtype.name());
  }
  if (!std::ranges::equal(out->shape(), shape)) {
    throw_error<TensorError>("{}: out has shape {}, expected {}", op, describe_shape(out->shape()),
                             describe_shape(shape));
  }
  if (out->size() != 0 && overlaps_itself(*out)) {
    throw_error<TensorError>(
        "{}: out has strides {}, with which its elements overlap; give it memory of its own", op,
        describe_shape(out->strides()));
  }
  if (!layout.empty() && !out->layout().empty() && !(out->layout() == layout)) {
    throw_error<TensorError>(
        "{}: out layout \"{}\" does not fit src layout \"{}\"; use view() or permute()", op,
        out->layout().str(), layout.str());
  }
  return *out;
}

void refuse_overlap(const char* op, const Tensor& src, const Tensor& out) {
  if (order::check::overlaps(src.impl().range(), out.impl().range())) {
    throw_error<TensorError>("{}: out overlaps src; give it memory of its own", op);
  }
}

order::Stream* working_stream(const char* op, const std::optional<Stream>& stream, Device device) {
  if (!device.is_cpu()) {
    throw_error<DeviceError>("{}: src is on {}; it works on the CPU only: take src.cpu()", op,
                             device.str());
  }
  if (!stream) return current_stream(device);
  if (stream->device() != device) {
    throw_error<StreamError>("{}: the stream is on {}, src on {}", op, stream->device().str(),
                             device.str());
  }
  return &stream->impl();
}

}  // namespace penstock::kernels
