// What a Tensor refers to: a view of a block. Immutable once made, so it may be read from anywhere.
#pragma once

#include <penstock/dtype.hpp>
#include <penstock/layout.hpp>
#include <penstock/tensor.hpp>

#include "memory/block.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace penstock {

class TensorData : public RefCounted<TensorData> {
 public:
  TensorData() = default;
  TensorData(const TensorData&) = delete;
  TensorData& operator=(const TensorData&) = delete;
  /// A view of the same block.
  [[nodiscard]] static TensorData* view_of(const TensorData& other);

  void dispose() { delete this; }

  [[nodiscard]] std::span<const std::int64_t> shape() const { return {shape_.data(), rank()}; }
  [[nodiscard]] std::span<const std::int64_t> strides() const { return {strides_.data(), rank()}; }
  [[nodiscard]] std::size_t rank() const { return static_cast<std::size_t>(ndim); }
  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] bool is_contiguous() const;
  /// Strides of packed rows.
  void set_packed();
  /// Strides in items, made at the first call and kept.
  [[nodiscard]] std::int64_t* item_strides();
  /// The bytes it covers, as addresses, for the checker.
  [[nodiscard]] order::check::Range range() const;

  Ref<memory::Block> block;
  std::byte* data = nullptr;
  std::int32_t ndim = 0;
  Dtype dtype;
  bool readonly = false;
  Device device;
  Layout layout;
  std::array<std::int64_t, kMaxDims> shape_;
  std::array<std::int64_t, kMaxDims> strides_;  // bytes

 private:
  friend class RefCounted<TensorData>;
  ~TensorData();

  std::atomic<std::int64_t*> item_strides_{nullptr};
};

/// "(1080, 1920, 3)", for messages.
[[nodiscard]] std::string describe_shape(std::span<const std::int64_t> shape);

}  // namespace penstock
