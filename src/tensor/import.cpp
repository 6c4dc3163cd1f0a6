#include "tensor/import.hpp"

#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"

#include <algorithm>
#include <limits>

namespace penstock {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

Device device_of(const dlpack::TensorRecord& record) {
  const std::int32_t index = record.device.device_id;
  switch (record.device.device_type) {
    case dlpack::kCpu:
    case dlpack::kCudaHost:
      return Device::cpu();
    case dlpack::kCuda:
    case dlpack::kCudaManaged:
      if (index < 0 || index >= device_count()) {
        throw_error<TensorError>("DLPack: device_id {} but there are {} GPUs", index, device_count());
      }
      return Device::cuda(index);
    default:
      throw_error<TensorError>(
          "DLPack: device_type {} is not accepted; accepted are CPU (1), CUDA (2), pinned (3) and "
          "managed memory (13)",
          static_cast<std::int32_t>(record.device.device_type));
  }
}

// Sizes and strides into the view; the number of bytes from its lowest to its highest address.
std::int64_t set_shape(const char* where, const ForeignArray& array, TensorData& view) {
  const std::int64_t item = array.dtype.itemsize();
  bool is_empty = false;
  for (std::int32_t dim = 0; dim < array.ndim; ++dim) {
    const std::int64_t extent = array.shape[dim];
    if (extent < 0) throw_error<TensorError>("{}: shape[{}] is {}, less than 0", where, dim, extent);
    is_empty = is_empty || extent == 0;
    view.shape_[static_cast<std::size_t>(dim)] = extent;
  }
  std::int64_t packed = item;
  std::int64_t span = item;
  for (std::int32_t dim = array.ndim - 1; dim >= 0; --dim) {
    const auto i = static_cast<std::size_t>(dim);
    std::int64_t stride = packed;
    if (array.strides != nullptr) {
      stride = array.strides[dim];
      if (array.strides_in_items) {
        if (__builtin_mul_overflow(stride, item, &stride)) {
          throw_error<TensorError>("{}: strides[{}] is {}, more than memory can hold", where, dim,
                                   array.strides[dim]);
        }
      } else if (stride % item != 0 && view.shape_[i] > 1 && !is_empty) {
        throw_error<TensorError>("{}: strides[{}] is {} bytes, no multiple of the item's {}", where,
                                 dim, stride, item);
      }
    }
    // The stride of a size-1 dimension is never used: any value will do.
    if (view.shape_[i] == 1 || is_empty) stride = packed;
    view.strides_[i] = stride;
    std::int64_t reach = 0;
    const std::int64_t steps = std::max<std::int64_t>(view.shape_[i] - 1, 0);
    const std::int64_t length = stride < 0 ? -stride : stride;
    const bool too_large =
        stride == std::numeric_limits<std::int64_t>::min() ||
        __builtin_mul_overflow(length, steps, &reach) ||
        __builtin_add_overflow(span, reach, &span) ||
        __builtin_mul_overflow(packed, std::max<std::int64_t>(view.shape_[i], 1), &packed);
    if (too_large) {
      throw_error<TensorError>("{}: shape {} with its strides is more than memory can hold", where,
                               describe_shape({array.shape, static_cast<std::size_t>(array.ndim)}));
    }
  }
  return is_empty ? 0 : span;
}

void check_address(const char* where, const ForeignArray& array, std::int64_t bytes) {
  if (bytes == 0) return;
  if (array.data == nullptr) throw_error<TensorError>("{}: data is NULL but the size is not 0", where);
  const auto address = reinterpret_cast<std::uintptr_t>(array.data);
  if (array.byte_offset > static_cast<std::uint64_t>(kMost) ||
      address > std::numeric_limits<std::uintptr_t>::max() - array.byte_offset) {
    throw_error<TensorError>("{}: byte_offset {} leads out of memory", where, array.byte_offset);
  }
  if (array.device.is_cpu()) return;
  const auto info = backend::of(array.device).address_info(array.data);
  if (info.kind == backend::MemoryKind::host || info.kind == backend::MemoryKind::unknown) {
    throw_error<TensorError>("{}: data is said to be on {} but {:#x} is host memory", where,
                             array.device.str(), address);
  }
}

}  // namespace

ForeignArray describe(const dlpack::TensorRecord& record, bool readonly) {
  ForeignArray array;
  if (record.ndim < 0 || record.ndim > kMaxDims) {
    throw_error<TensorError>("DLPack: ndim is {}; 0 to {} are accepted", record.ndim, kMaxDims);
  }
  if (record.ndim > 0 && record.shape == nullptr) {
    throw_error<TensorError>("DLPack: shape is NULL but ndim is {}", record.ndim);
  }
  if (record.dtype.lanes != 1) {
    throw_error<TensorError>("DLPack: dtype.lanes is {}; 1 is accepted", record.dtype.lanes);
  }
  array.dtype = {static_cast<DtypeCode>(record.dtype.code), record.dtype.bits};
  if (!is_known(array.dtype)) {
    throw_error<TensorError>(
        "DLPack: dtype code {} with {} bits is not accepted; accepted are bool, int, uint, float, "
        "bfloat16, complex and float8",
        record.dtype.code, record.dtype.bits);
  }
  array.device = device_of(record);
  array.data = record.data;
  array.ndim = record.ndim;
  array.shape = record.shape;
  array.strides = record.strides;
  array.strides_in_items = true;
  array.byte_offset = record.byte_offset;
  array.readonly = readonly;
  return array;
}

Tensor wrap_foreign(const char* where, const ForeignArray& array, Owner owner, Layout layout,
                    order::Stream* producer, bool back_edge) {
  if (!layout.empty() && layout.rank() != array.ndim) {
    throw_error<TensorError>("{}: layout \"{}\" has {} letters, the array has {} dimensions", where,
                             layout.str(), layout.rank(), array.ndim);
  }
  auto* view = new TensorData;
  Tensor tensor(view);
  view->ndim = array.ndim;
  view->dtype = array.dtype;
  view->device = array.device;
  view->layout = layout;
  view->readonly = array.readonly;
  const std::int64_t bytes = set_shape(where, array, *view);
  check_address(where, array, bytes);
  view->data = static_cast<std::byte*>(array.data);
  if (bytes != 0) view->data += array.byte_offset;
  view->block = memory::Block::wrap(
      view->data, static_cast<std::size_t>(bytes), array.device,
      array.device.is_cpu() ? backend::MemoryKind::host : backend::MemoryKind::device,
      {owner.release, owner.context},
      back_edge && producer != nullptr ? Ref<order::Stream>::share(producer) : Ref<order::Stream>{});
  if (producer != nullptr) view->block->used(*producer, true);
  return tensor;
}

Tensor Tensor::wrap(const dlpack::TensorRecord& record, bool readonly, Owner owner, Layout layout,
                    const Stream* stream) {
  return wrap_foreign("DLPack", describe(record, readonly), owner, layout,
                      stream == nullptr ? nullptr : &stream->impl());
}

}  // namespace penstock
