// Views: other shapes of the same memory.
#include <penstock/tensor.hpp>

#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"

#include <algorithm>

namespace penstock {
namespace {

void check_dim(const char* where, const TensorData& data, int dim) {
  if (dim < 0 || dim >= data.ndim) {
    throw_error<TensorError>("{}: dimension {} of a tensor with {} dimensions", where, dim,
                             data.ndim);
  }
}

// Without elements the address may be anything, and stays.
void move_data(TensorData& view, std::int64_t bytes) {
  if (view.size() != 0) view.data += bytes;
}

// Puts the one -1 in; throws unless the element counts agree and can be counted.
Shape resolve(const TensorData& data, const Shape& asked) {
  Shape shape = asked;
  std::int64_t known = 1;
  std::int64_t* unknown = nullptr;
  std::int64_t bytes = data.dtype.itemsize();
  for (std::int64_t& extent : shape) {
    if (extent == -1 && unknown == nullptr) {
      unknown = &extent;
      continue;
    }
    if (extent < 0) {
      throw_error<TensorError>("reshape: {} is no shape; one size may be -1",
                               describe_shape(asked));
    }
    if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(extent, 1), &bytes)) {
      throw_error<TensorError>("reshape: {} is more than memory can hold", describe_shape(asked));
    }
    known *= extent;
  }
  const std::int64_t size = data.size();
  const bool fits = unknown == nullptr ? known == size : known != 0 && size % known == 0;
  if (!fits) {
    throw_error<TensorError>("reshape: {} has {} elements, which don't fit {}",
                             describe_shape(data.shape()), size, describe_shape(asked));
  }
  if (unknown != nullptr) *unknown = size / known;
  return shape;
}

// Walks old and new dimensions together, from the inside: a group of new ones must divide a group
// of old ones that continue one another. False if that needs a copy.
bool restride(const TensorData& from, TensorData& to) {
  int old_dim = from.ndim - 1;
  int new_dim = to.ndim - 1;
  while (old_dim >= 0 || new_dim >= 0) {
    while (old_dim >= 0 && from.shape_[static_cast<std::size_t>(old_dim)] == 1) --old_dim;
    if (old_dim < 0) break;
    const auto inner = static_cast<std::size_t>(old_dim);
    std::int64_t stride = from.strides_[inner];
    std::int64_t group = from.shape_[inner];
    std::int64_t expected = stride * group;
    for (--old_dim; old_dim >= 0; --old_dim) {
      const auto outer = static_cast<std::size_t>(old_dim);
      if (from.shape_[outer] == 1) continue;
      if (from.strides_[outer] != expected) break;
      group *= from.shape_[outer];
      expected *= from.shape_[outer];
    }
    while (group > 1) {
      if (new_dim < 0) return false;
      const auto here = static_cast<std::size_t>(new_dim--);
      if (group % to.shape_[here] != 0) return false;
      to.strides_[here] = stride;
      stride *= to.shape_[here];
      group /= to.shape_[here];
    }
  }
  for (; new_dim >= 0; --new_dim) {  // sizes of one: any stride is right
    to.strides_[static_cast<std::size_t>(new_dim)] = from.dtype.itemsize();
  }
  return true;
}

}  // namespace

Tensor Tensor::reshape(const Shape& asked) const {
  const Shape shape = resolve(*data_, asked);
  if (shape.size() > kMaxDims) {
    throw_error<TensorError>("reshape: {} dimensions; at most {} are possible", shape.size(),
                             kMaxDims);
  }
  auto* view = TensorData::view_of(*data_);
  Tensor tensor(view);
  view->ndim = static_cast<std::int32_t>(shape.size());
  if (view->layout.rank() != view->ndim) view->layout = {};
  std::copy(shape.begin(), shape.end(), view->shape_.begin());
  if (view->size() == 0) {
    view->set_packed();
  } else if (!restride(*data_, *view)) {
    throw_error<TensorError>("reshape: {} to {} needs a copy with these strides; use copy() first",
                             describe_shape(data_->shape()), describe_shape(shape));
  }
  return tensor;
}

Tensor Tensor::view(Layout layout) const {
  if (!layout.empty() && layout.rank() != data_->ndim) {
    throw_error<TensorError>("view: layout \"{}\" has {} letters, shape {} has {} dimensions",
                             layout.str(), layout.rank(), describe_shape(data_->shape()),
                             data_->ndim);
  }
  auto* view = TensorData::view_of(*data_);
  view->layout = layout;
  return Tensor(view);
}

Tensor Tensor::slice(int dim, std::int64_t begin, std::int64_t end, std::int64_t step) const {
  check_dim("slice", *data_, dim);
  const auto i = static_cast<std::size_t>(dim);
  if (step == 0) throw_error<TensorError>("slice: the step is 0");
  const std::int64_t extent = data_->shape_[i];
  const bool inside = step > 0 ? (0 <= begin && begin <= extent && 0 <= end && end <= extent)
                               : (-1 <= begin && begin < extent && -1 <= end && end < extent);
  if (!inside) {
    throw_error<TensorError>("slice: {}:{}:{} is outside of dimension {} with {} elements", begin,
                             end, step, dim, extent);
  }
  auto* view = TensorData::view_of(*data_);
  const std::int64_t distance = step > 0 ? end - begin : begin - end;
  const std::uint64_t stride =
      step > 0 ? static_cast<std::uint64_t>(step) : -static_cast<std::uint64_t>(step);
  const std::int64_t count =
      distance <= 0
          ? 0
          : static_cast<std::int64_t>((static_cast<std::uint64_t>(distance) - 1) / stride) + 1;
  if (count > 0) move_data(*view, begin * view->strides_[i]);
  view->shape_[i] = count;
  // With one element or none the step may be anything, and the stride is not used.
  if (count > 1) view->strides_[i] *= step;
  return Tensor(view);
}

Tensor Tensor::select(int dim, std::int64_t index) const {
  check_dim("select", *data_, dim);
  const auto i = static_cast<std::size_t>(dim);
  if (index < 0 || index >= data_->shape_[i]) {
    throw_error<TensorError>("select: index {} is outside of dimension {} with {} elements", index,
                             dim, data_->shape_[i]);
  }
  auto* view = TensorData::view_of(*data_);
  move_data(*view, index * view->strides_[i]);
  for (std::size_t at = i + 1; at < view->rank(); ++at) {
    view->shape_[at - 1] = view->shape_[at];
    view->strides_[at - 1] = view->strides_[at];
  }
  --view->ndim;
  view->layout = {};
  return Tensor(view);
}

Tensor Tensor::permute(const std::vector<int>& dims) const {
  std::vector<int> sorted = dims;
  std::sort(sorted.begin(), sorted.end());
  bool is_order = static_cast<int>(dims.size()) == data_->ndim;
  for (std::size_t i = 0; is_order && i < sorted.size(); ++i) {
    is_order = sorted[i] == static_cast<int>(i);
  }
  if (!is_order) {
    throw_error<TensorError>("permute: expected each of the {} dimensions once", data_->ndim);
  }
  auto* view = TensorData::view_of(*data_);
  Tensor tensor(view);
  std::string letters;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const auto from = static_cast<std::size_t>(dims[i]);
    view->shape_[i] = data_->shape_[from];
    view->strides_[i] = data_->strides_[from];
    if (!data_->layout.empty()) letters += data_->layout.str()[from];
  }
  view->layout = Layout(letters);
  return tensor;
}

Tensor Tensor::as_readonly() const {
  auto* view = TensorData::view_of(*data_);
  view->readonly = true;
  return Tensor(view);
}

}  // namespace penstock
