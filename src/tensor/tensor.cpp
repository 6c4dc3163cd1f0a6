#include <penstock/tensor.hpp>

#include "base/throw.hpp"
#include "base/time.hpp"
#include "memory/cache.hpp"
#include "tensor/tensor_data.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace penstock {
namespace {

// Bytes of the tensor if the innermost `inner` dimensions are a row; rows are padded to `rowalign`.
std::int64_t checked_bytes(const Shape& shape, Dtype dtype, std::size_t inner,
                           std::int64_t rowalign) {
  std::int64_t bytes = dtype.itemsize();
  bool too_large = false;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] < 0) {
      throw_error<TensorError>("Tensor: shape {} has a negative size", describe_shape(shape));
    }
    too_large =
        too_large || __builtin_mul_overflow(bytes, std::max<std::int64_t>(shape[i], 1), &bytes);
    if (rowalign > 1 && i + inner == shape.size() && i > 0) {
      too_large = too_large || __builtin_add_overflow(bytes, rowalign - 1, &bytes);
      bytes = bytes / rowalign * rowalign;
    }
  }
  if (too_large) {
    throw_error<TensorError>("Tensor: shape {} of {} is more than memory can hold",
                             describe_shape(shape), dtype.name());
  }
  return std::any_of(shape.begin(), shape.end(), [](std::int64_t n) { return n == 0; }) ? 0 : bytes;
}

// The dimension that a row is made of: the innermost, or with an interleaved "C" the two innermost.
std::size_t row_dims(const Layout& layout, std::size_t rank) {
  return layout.rank() > 1 && layout.str().back() == 'C' ? std::min<std::size_t>(2, rank) : 1;
}

Tensor make(const Shape& shape, Dtype dtype, Layout layout, Device device, order::Stream* stream,
            std::int64_t rowalign) {
  if (shape.size() > kMaxDims) {
    throw_error<TensorError>("Tensor: {} dimensions; at most {} are possible", shape.size(),
                             kMaxDims);
  }
  if (!is_known(dtype)) throw_error<TensorError>("Tensor: unknown dtype");
  if (!layout.empty() && layout.rank() != static_cast<int>(shape.size())) {
    throw_error<TensorError>("Tensor: layout \"{}\" has {} letters, shape {} has {} dimensions",
                             layout.str(), layout.rank(), describe_shape(shape), shape.size());
  }
  if (rowalign < 0 || (rowalign & (rowalign - 1)) != 0) {
    throw_error<TensorError>("Tensor: rowalign {} is no power of two", rowalign);
  }
  const std::size_t inner = row_dims(layout, shape.size());
  const std::int64_t bytes = checked_bytes(shape, dtype, inner, rowalign);
  auto* data = new TensorData;
  Tensor tensor(data);
  data->ndim = static_cast<std::int32_t>(shape.size());
  data->dtype = dtype;
  data->device = device;
  data->layout = layout;
  std::copy(shape.begin(), shape.end(), data->shape_.begin());
  data->set_packed();
  if (rowalign > 1 && shape.size() > inner) {
    const std::size_t outer = shape.size() - inner;
    std::int64_t stride =
        (data->strides_[outer] * std::max<std::int64_t>(shape[outer], 1) + rowalign - 1) /
        rowalign * rowalign;
    for (std::size_t i = outer; i-- > 0;) {
      data->strides_[i] = stride;
      stride *= std::max<std::int64_t>(shape[i], 1);
    }
  }
  data->block = memory::Cache::of(device).allocate(static_cast<std::size_t>(bytes), stream);
  data->data = data->block->data();
  // Whoever takes memory of a GPU for a stream may use it there by launches that nobody sees.
  if (stream != nullptr && !device.is_cpu()) data->block->used(*stream, true, true);
  return tensor;
}

}  // namespace

Tensor packed_like(const Tensor& tensor, Device device, order::Stream* stream) {
  const Shape sizes(tensor.shape().begin(), tensor.shape().end());
  return make(sizes, tensor.dtype(), tensor.layout(), device, stream, 0);
}

Tensor Tensor::empty(const Shape& shape, Dtype dtype, Layout layout, const Stream& stream,
                     std::int64_t rowalign) {
  return make(shape, dtype, layout, stream.device(), &stream.impl(), rowalign);
}

Tensor Tensor::empty(const Shape& shape, Dtype dtype, Layout layout, Device device,
                     std::int64_t rowalign) {
  return make(shape, dtype, layout, device, current_stream(device), rowalign);
}

Tensor Tensor::zeros(const Shape& shape, Dtype dtype, Layout layout, Device device) {
  Tensor tensor = empty(shape, dtype, layout, device);
  fill_bytes(tensor, 0, current_stream(device));
  return tensor;
}

Tensor::Tensor(const Tensor& other) : data_(other.data_) {
  if (data_ != nullptr) data_->retain();
}
Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(data_, other.data_);
  return *this;
}
Tensor::~Tensor() {
  if (data_ != nullptr) data_->release();
}

std::span<const std::int64_t> Tensor::shape() const { return data_->shape(); }
std::span<const std::int64_t> Tensor::strides() const { return data_->strides(); }
Dtype Tensor::dtype() const { return data_->dtype; }
const Layout& Tensor::layout() const { return data_->layout; }
Device Tensor::device() const { return data_->device; }
int Tensor::ndim() const { return data_->ndim; }
std::int64_t Tensor::size() const { return data_->size(); }
std::int64_t Tensor::nbytes() const { return data_->size() * data_->dtype.itemsize(); }
std::int64_t Tensor::itemsize() const { return data_->dtype.itemsize(); }
void* Tensor::data() const { return data_->data; }
bool Tensor::readonly() const { return data_->readonly; }
bool Tensor::is_contiguous() const { return data_->is_contiguous(); }

void Tensor::copy_to(const Tensor& target) const {
  copy_elements(*this, target, current_stream(data_->device));
}
void Tensor::copy_to(const Tensor& target, const Stream& stream) const {
  copy_elements(*this, target, &stream.impl());
}

Tensor Tensor::copy() const {
  order::Stream* stream = current_stream(data_->device);
  Tensor target = packed_like(*this, device(), stream);
  copy_elements(*this, target, stream);
  return target;
}

Tensor Tensor::to(Device device) const {
  if (device == data_->device) return *this;
  const Device gpu = device.is_cpu() ? data_->device : device;
  order::Stream& stream = working_stream(gpu);
  Tensor target = packed_like(*this, device, device.is_cpu() ? nullptr : &stream);
  copy_elements(*this, target, &stream);
  if (device.is_cpu()) target.sync();
  // A GPU may read the host's memory later than the call: the caller is free to change it.
  if (data_->device.is_cpu()) static_cast<void>(sync_for(*data_, true, kNever));
  return target;
}

void Tensor::sync() const { static_cast<void>(sync_until(kNever)); }
bool Tensor::sync_until(std::int64_t deadline_ns) const {
  return sync_for(*data_, true, deadline_ns);
}
bool Tensor::query() const { return data_->block->is_complete(true); }

}  // namespace penstock
