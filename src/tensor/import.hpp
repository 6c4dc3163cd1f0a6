// Wrapping memory of others, whatever protocol described it. Everything about it is checked here;
// `where` names the field in messages.
#pragma once

#include <penstock/tensor.hpp>

#include "order/stream.hpp"

#include <cstdint>

namespace penstock {

/// An array as a foreign description has it.
struct ForeignArray {
  void* data = nullptr;
  std::int32_t ndim = 0;
  const std::int64_t* shape = nullptr;
  /// nullptr: packed.
  const std::int64_t* strides = nullptr;
  /// What a stride of 1 means: bytes (array interfaces, buffers) or items (DLPack).
  bool strides_in_items = false;
  std::uint64_t byte_offset = 0;
  Dtype dtype;
  Device device;
  bool readonly = false;
  /// The library itself says where the memory is: the driver is not asked.
  bool is_known = false;
};

/// Wraps it. Throws TensorError and leaves the owner alone. `producer`: the stream that its pending
/// work is on; `back_edge`: it waits for our uses before the owner goes.
[[nodiscard]] Tensor wrap_foreign(const char* where, const ForeignArray& array, Owner owner,
                                  Layout layout = {}, order::Stream* producer = nullptr,
                                  bool back_edge = false);

/// True if the array, whose data begins at `offset` of a buffer, stays inside of its `length`
/// bytes.
[[nodiscard]] bool fits_in(const ForeignArray& array, std::int64_t offset, std::int64_t length);

/// The description of a DLPack tensor. Throws TensorError for a device or lanes that it can't have;
/// the rest is checked by wrap_foreign().
[[nodiscard]] ForeignArray describe(const dlpack::TensorRecord& record, bool readonly);

}  // namespace penstock
