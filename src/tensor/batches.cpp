#include <penstock/batches.hpp>

#include "base/nearest.hpp"
#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"

#include <algorithm>

namespace penstock {
namespace {

void check_same(const char* where, const Tensor& first, const Tensor& other) {
  if (other.dtype() != first.dtype()) {
    throw_error<TensorError>("{}: push: dtype {} does not fit those that are there, {}", where,
                             other.dtype().name(), first.dtype().name());
  }
  if (other.device() != first.device()) {
    throw_error<TensorError>("{}: push: a tensor on {} does not fit those that are there, on {}",
                             where, other.device().str(), first.device().str());
  }
}

}  // namespace

const Tensor& detail::TensorList::operator[](std::size_t index) const {
  if (index >= tensors_.size()) {
    throw_error<TensorError>("batch: number {} of {}; they count from 0", index, tensors_.size());
  }
  return tensors_[index];
}

Tensor detail::TensorList::pop() {
  if (tensors_.empty()) throw_error<TensorError>("batch: pop: it is empty");
  Tensor last = std::move(tensors_.back());
  tensors_.pop_back();
  return last;
}

ImageBatch::ImageBatch(std::initializer_list<Tensor> images) {
  for (const Tensor& image : images) push(image);
}

void ImageBatch::push(Tensor image) {
  const bool is_image = image.layout().empty()
                            ? image.ndim() == 2 || image.ndim() == 3
                            : image.layout() == Layout("HW") || image.layout() == Layout("HWC") ||
                                  image.layout() == Layout("CHW");
  if (!is_image) {
    throw_error<TensorError>(
        "ImageBatch: push: a tensor {} with layout \"{}\" is no image; expected HW, HWC or CHW",
        describe_shape(image.shape()), image.layout().str());
  }
  if (!tensors_.empty()) check_same("ImageBatch", tensors_.front(), image);
  tensors_.push_back(std::move(image));
}

TensorBatch::TensorBatch(std::initializer_list<Tensor> tensors) {
  for (const Tensor& tensor : tensors) push(tensor);
}

void TensorBatch::push(Tensor tensor) {
  if (!tensors_.empty()) {
    const Tensor& first = tensors_.front();
    check_same("TensorBatch", first, tensor);
    if (tensor.ndim() != first.ndim() || tensor.layout() != first.layout()) {
      throw_error<TensorError>(
          "TensorBatch: push: rank {} with layout \"{}\" does not fit those that are there, rank "
          "{} "
          "with layout \"{}\"",
          tensor.ndim(), tensor.layout().str(), first.ndim(), first.layout().str());
    }
  }
  tensors_.push_back(std::move(tensor));
}

TensorMap::TensorMap(std::initializer_list<Entry> entries) {
  for (const auto& [name, tensor] : entries) push(name, tensor);
}

const Tensor* TensorMap::find(std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::first);
  return found == entries_.end() ? nullptr : &found->second;
}

std::size_t TensorMap::index_of(std::string_view name, const char* call) const {
  const auto found = std::ranges::find(entries_, name, &Entry::first);
  if (found != entries_.end()) return static_cast<std::size_t>(found - entries_.begin());
  std::vector<std::string_view> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.emplace_back(entry.first);
  if (names.empty()) throw_error<TensorError>("TensorMap: {}: it is empty", call);
  throw_error<TensorError>("TensorMap: {}: no tensor \"{}\"; did you mean \"{}\"?", call, name,
                           nearest(name, names));
}

void TensorMap::push(std::string name, Tensor tensor) {
  const auto found = std::ranges::find(entries_, name, &Entry::first);
  if (found != entries_.end()) {
    found->second = std::move(tensor);
  } else {
    entries_.emplace_back(std::move(name), std::move(tensor));
  }
}

Tensor TensorMap::pop(std::string_view name) {
  const std::size_t index = index_of(name, "pop");
  Tensor tensor = std::move(entries_[index].second);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
  return tensor;
}

const Tensor& TensorMap::operator[](std::string_view name) const {
  return entries_[index_of(name, "[]")].second;
}

}  // namespace penstock
