#include "tensor/import.hpp"

#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <limits>

namespace penstock {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr const char* kAccepted =
    "bool, int, uint, float (16 bits up), bfloat16, complex (64 bits up) and float8";

Device device_of(const dlpack::TensorRecord& record) {
  const std::int32_t index = record.device.device_id;
  switch (record.device.device_type) {
    case dlpack::kCpu:
    case dlpack::kCudaHost:
      return Device::cpu();
    case dlpack::kCuda:
    case dlpack::kCudaManaged:
      if (index < 0 || index >= device_count()) {
        throw_error<TensorError>("DLPack: device_id {} but there are {} GPUs", index,
                                 device_count());
      }
      return Device::cuda(index);
    default:
      throw_error<TensorError>(
          "DLPack: device_type {} is not accepted; accepted are CPU (1), CUDA (2), pinned (3) and "
          "managed memory (13)",
          static_cast<std::int32_t>(record.device.device_type));
  }
}

void check_fields(const char* where, const ForeignArray& array, const Layout& layout) {
  if (array.ndim < 0 || array.ndim > kMaxDims) {
    throw_error<TensorError>("{}: ndim is {}; 0 to {} are accepted", where, array.ndim, kMaxDims);
  }
  if (array.ndim > 0 && array.shape == nullptr) {
    throw_error<TensorError>("{}: shape is NULL but ndim is {}", where, array.ndim);
  }
  if (!is_known(array.dtype)) {
    throw_error<TensorError>("{}: dtype code {} with {} bits is not accepted; accepted are {}",
                             where, static_cast<int>(array.dtype.code), array.dtype.bits,
                             kAccepted);
  }
  if (!layout.empty() && layout.rank() != array.ndim) {
    throw_error<TensorError>("{}: layout \"{}\" has {} letters, the array has {} dimensions", where,
                             layout.str(), layout.rank(), array.ndim);
  }
}

// Bytes that an array covers below and above the address of its first element.
struct Reach {
  std::int64_t below = 0;
  std::int64_t above = 0;
  [[nodiscard]] std::int64_t bytes() const { return below + above; }
};

// Sets the sizes of the view; true if one is 0.
bool set_shape(const char* where, const ForeignArray& array, TensorData& view) {
  bool is_empty = false;
  for (std::int32_t dim = 0; dim < array.ndim; ++dim) {
    const std::int64_t extent = array.shape[dim];
    if (extent < 0)
      throw_error<TensorError>("{}: shape[{}] is {}, less than 0", where, dim, extent);
    is_empty = is_empty || extent == 0;
    view.shape_[static_cast<std::size_t>(dim)] = extent;
  }
  return is_empty;
}

// The stride of a dimension that has more than one element, in bytes.
std::int64_t stride_of(const char* where, const ForeignArray& array, std::int32_t dim) {
  const std::int64_t item = array.dtype.itemsize();
  std::int64_t stride = array.strides[dim];
  if (!array.strides_in_items && stride % item != 0) {
    throw_error<TensorError>("{}: strides[{}] is {} bytes, no multiple of the item's {}", where,
                             dim, stride, item);
  }
  if (array.strides_in_items && __builtin_mul_overflow(stride, item, &stride)) {
    throw_error<TensorError>("{}: strides[{}] is {}, more than memory can hold", where, dim,
                             array.strides[dim]);
  }
  return stride;
}

// Sizes and strides into the view.
Reach set_dims(const char* where, const ForeignArray& array, TensorData& view) {
  const bool is_empty = set_shape(where, array, view);
  std::int64_t packed = array.dtype.itemsize();
  Reach reach{0, packed};
  for (std::int32_t dim = array.ndim - 1; dim >= 0; --dim) {
    const std::int64_t extent = view.shape_[static_cast<std::size_t>(dim)];
    // The stride of a size-1 dimension is never used: any value will do.
    const bool is_used = extent > 1 && !is_empty && array.strides != nullptr;
    const std::int64_t stride = is_used ? stride_of(where, array, dim) : packed;
    view.strides_[static_cast<std::size_t>(dim)] = stride;
    std::int64_t length = 0;
    std::int64_t& side = stride < 0 ? reach.below : reach.above;
    const bool too_large =
        __builtin_sub_overflow(0, stride < 0 ? stride : -stride, &length) ||
        __builtin_mul_overflow(length, std::max<std::int64_t>(extent - 1, 0), &length) ||
        __builtin_add_overflow(side, length, &side) || reach.below > kMost - reach.above ||
        __builtin_mul_overflow(packed, std::max<std::int64_t>(extent, 1), &packed);
    if (too_large) {
      throw_error<TensorError>("{}: shape {} with its strides is more than memory can hold", where,
                               describe_shape(view.shape()));
    }
  }
  return is_empty ? Reach{} : reach;
}

void check_address(const char* where, const ForeignArray& array, const Reach& reach) {
  if (reach.bytes() == 0) return;
  if (array.data == nullptr)
    throw_error<TensorError>("{}: data is NULL but the size is not 0", where);
  const auto address = reinterpret_cast<std::uintptr_t>(array.data);
  std::uintptr_t first = 0;
  if (__builtin_add_overflow(address, array.byte_offset, &first)) {
    throw_error<TensorError>("{}: byte_offset {} leads out of memory", where, array.byte_offset);
  }
  // Addresses are compared as signed numbers elsewhere; no machine has any beyond. Nothing begins
  // at address 0.
  if (first <= static_cast<std::uintptr_t>(reach.below) ||
      first > static_cast<std::uintptr_t>(kMost - reach.above)) {
    throw_error<TensorError>(
        "{}: data {:#x} with these strides covers {} bytes below and {} above, which leads out of "
        "memory",
        where, first, reach.below, reach.above);
  }
  if (array.device.is_cpu() || array.is_known) return;
  const auto info = backend::of(array.device).address_info(array.data);
  if (info.kind == backend::MemoryKind::host) {
    throw_error<TensorError>("{}: data is said to be on {} but {:#x} is host memory", where,
                             array.device.str(), address);
  }
}

// The owner's pending work on its stream counts as a write.
void note_pending(const char* where, TensorData& view, order::Stream& producer) {
  view.block->pending(producer);
  auto* shadow = view.block->shadow();
  if (shadow == nullptr || producer.actor() == nullptr) return;
  order::check::access(*shadow, order::check::enqueue(*producer.actor()), view.range(), true,
                       tag(where));
}

}  // namespace

ForeignArray describe(const dlpack::TensorRecord& record, bool readonly) {
  ForeignArray array;
  if (record.dtype.lanes != 1) {
    throw_error<TensorError>("DLPack: dtype.lanes is {}; 1 is accepted", record.dtype.lanes);
  }
  array.dtype = {static_cast<DtypeCode>(record.dtype.code), record.dtype.bits};
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

bool fits_in(const ForeignArray& array, std::int64_t offset, std::int64_t length) {
  using Wide = __int128;
  for (std::int32_t dim = 0; dim < array.ndim; ++dim) {
    if (array.shape[dim] < 0) return true;  // refused by its name, in wrap_foreign()
    if (array.shape[dim] == 0) return offset >= 0 && offset <= length;
  }
  const Wide item = array.dtype.itemsize();
  Wide low = offset;
  Wide high = offset + item;
  Wide packed = item;
  for (std::int32_t dim = array.ndim - 1; dim >= 0; --dim) {
    const Wide steps = Wide{array.shape[dim]} - 1;
    const Wide unit = array.strides_in_items ? item : 1;
    const Wide reach = (array.strides == nullptr ? packed : array.strides[dim] * unit) * steps;
    (reach < 0 ? low : high) += reach;
    if (array.strides == nullptr) packed *= steps + 1;
    if (low < 0 || high > length) return false;
  }
  return low >= 0 && high <= length;
}

Tensor wrap_foreign(const char* where, const ForeignArray& array, Owner owner, Layout layout,
                    order::Stream* producer, bool back_edge) {
  check_fields(where, array, layout);
  auto* view = new TensorData;
  Tensor tensor(view);
  view->ndim = array.ndim;
  view->dtype = array.dtype;
  view->device = array.device;
  view->layout = layout;
  view->readonly = array.readonly;
  const Reach reach = set_dims(where, array, *view);
  check_address(where, array, reach);
  view->data = static_cast<std::byte*>(array.data);
  if (reach.bytes() != 0) view->data += array.byte_offset;
  view->block = memory::Block::wrap(
      view->data - reach.below, static_cast<std::size_t>(reach.bytes()), array.device,
      array.device.is_cpu() ? backend::MemoryKind::host : backend::MemoryKind::device,
      {owner.release, owner.context},
      back_edge && producer != nullptr ? Ref<order::Stream>::share(producer)
                                       : Ref<order::Stream>{});
  if (producer != nullptr) note_pending(where, *view, *producer);
  return tensor;
}

Tensor Tensor::wrap(const dlpack::TensorRecord& record, bool readonly, Owner owner, Layout layout,
                    const Stream* stream) {
  return wrap_foreign("DLPack", describe(record, readonly), owner, layout,
                      stream == nullptr ? nullptr : &stream->impl());
}

}  // namespace penstock
