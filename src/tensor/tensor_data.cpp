#include "tensor/tensor_data.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace penstock {

TensorData* TensorData::view_of(const TensorData& other) {
  auto* view = new TensorData;
  view->block = other.block;
  view->data = other.data;
  view->ndim = other.ndim;
  view->dtype = other.dtype;
  view->readonly = other.readonly;
  view->device = other.device;
  view->layout = other.layout;
  std::copy_n(other.shape_.begin(), other.ndim, view->shape_.begin());
  std::copy_n(other.strides_.begin(), other.ndim, view->strides_.begin());
  return view;
}

TensorData::~TensorData() { delete[] item_strides_.load(); }

std::int64_t* TensorData::item_strides() {
  std::int64_t* known = item_strides_.load(std::memory_order_acquire);
  if (known != nullptr) return known;
  auto* made = new std::int64_t[rank() + 1];
  for (std::size_t i = 0; i < rank(); ++i) made[i] = strides_[i] / dtype.itemsize();
  if (item_strides_.compare_exchange_strong(known, made, std::memory_order_acq_rel)) return made;
  delete[] made;
  return known;
}

std::int64_t TensorData::size() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape()) count *= extent;
  return count;
}

bool TensorData::is_contiguous() const {
  if (size() <= 1) return true;
  std::int64_t expected = dtype.itemsize();
  for (int dim = ndim - 1; dim >= 0; --dim) {
    const auto i = static_cast<std::size_t>(dim);
    if (shape_[i] != 1 && strides_[i] != expected) return false;
    expected *= shape_[i];
  }
  return true;
}

void TensorData::set_packed() {
  std::int64_t stride = dtype.itemsize();
  for (int dim = ndim - 1; dim >= 0; --dim) {
    const auto i = static_cast<std::size_t>(dim);
    strides_[i] = stride;
    stride *= std::max<std::int64_t>(shape_[i], 1);
  }
}

order::check::Range TensorData::range() const {
  static_assert(kMaxDims <= order::check::Range::kLevels);
  std::array<order::check::Level, kMaxDims> dims;
  for (std::size_t i = 0; i < rank(); ++i) dims[i] = {strides_[i], shape_[i]};
  return {static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data)),
          dtype.itemsize(),
          {dims.data(), rank()}};
}

std::string describe_shape(std::span<const std::int64_t> shape) {
  return shape.size() == 1 ? fmt::format("({},)", shape[0])
                           : fmt::format("({})", fmt::join(shape, ", "));
}

}  // namespace penstock
