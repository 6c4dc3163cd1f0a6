// Several tensors as one value: images of any sizes, tensors of one kind, tensors by name. Plain
// values: a copy refers to the same memory. As a message's value, each tensor in them is ordered.
#pragma once

#include <penstock/export.hpp>
#include <penstock/tensor.hpp>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

namespace detail {
/// A list of tensors; what may be in it is said by those below.
class PENSTOCK_API TensorList {
 public:
  [[nodiscard]] std::size_t size() const { return tensors_.size(); }
  [[nodiscard]] bool empty() const { return tensors_.empty(); }
  /// TensorError if there is none of that number.
  [[nodiscard]] const Tensor& operator[](std::size_t index) const;
  [[nodiscard]] auto begin() const { return tensors_.begin(); }
  [[nodiscard]] auto end() const { return tensors_.end(); }
  /// Takes the last one out. TensorError if there is none.
  Tensor pop();
  void clear() { tensors_.clear(); }
  template <class Body>
  void for_each_tensor(Body&& body) const {
    for (const Tensor& tensor : tensors_) body(tensor);
  }

 protected:
  std::vector<Tensor> tensors_;
};
}  // namespace detail

/// Images (H, W) or (H, W, C), or (C, H, W) where the layout says so: one dtype, one device, any
/// sizes.
class PENSTOCK_API ImageBatch : public detail::TensorList {
 public:
  ImageBatch() = default;
  ImageBatch(std::initializer_list<Tensor> images);
  /// TensorError that says what does not fit.
  void push(Tensor image);
};

/// Tensors of one dtype, rank, layout and device; their shapes may differ.
class PENSTOCK_API TensorBatch : public detail::TensorList {
 public:
  TensorBatch() = default;
  TensorBatch(std::initializer_list<Tensor> tensors);
  /// TensorError that says what does not fit.
  void push(Tensor tensor);
};

/// Tensors by name, in the order in which they were added.
class PENSTOCK_API TensorMap {
 public:
  using Entry = std::pair<std::string, Tensor>;

  TensorMap() = default;
  TensorMap(std::initializer_list<Entry> entries);
  /// Adds it, or replaces the one of that name.
  void push(std::string name, Tensor tensor);
  /// Takes it out. TensorError for an unknown name, with the nearest.
  Tensor pop(std::string_view name);
  /// TensorError for an unknown name, with the nearest.
  [[nodiscard]] const Tensor& operator[](std::string_view name) const;
  /// nullptr if there is none.
  [[nodiscard]] const Tensor* find(std::string_view name) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }
  void clear() { entries_.clear(); }
  template <class Body>
  void for_each_tensor(Body&& body) const {
    for (const auto& [name, tensor] : entries_) body(tensor);
  }

 private:
  [[nodiscard]] std::size_t index_of(std::string_view name, const char* call) const;

  std::vector<Entry> entries_;
};

}  // namespace penstock
