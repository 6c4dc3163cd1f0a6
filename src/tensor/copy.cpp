// Copies of elements between any two tensors of one shape.
#include "base/throw.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace penstock {
namespace {

// Dimensions outermost first, those that continue one another in both tensors taken as one.
struct Loop {
  std::array<std::int64_t, kMaxDims> extent;
  std::array<std::int64_t, kMaxDims> source;
  std::array<std::int64_t, kMaxDims> target;
  std::size_t count = 0;
};

Loop plan(const TensorData& source, const TensorData& target) {
  Loop loop;
  for (std::size_t i = 0; i < source.rank(); ++i) {
    const std::int64_t extent = source.shape_[i];
    if (extent == 1) continue;
    if (loop.count > 0) {
      const std::size_t outer = loop.count - 1;
      if (loop.source[outer] == source.strides_[i] * extent &&
          loop.target[outer] == target.strides_[i] * extent) {
        loop.extent[outer] *= extent;
        loop.source[outer] = source.strides_[i];
        loop.target[outer] = target.strides_[i];
        continue;
      }
    }
    loop.extent[loop.count] = extent;
    loop.source[loop.count] = source.strides_[i];
    loop.target[loop.count] = target.strides_[i];
    ++loop.count;
  }
  return loop;
}

void copy_dims(const Loop& loop, std::size_t dim, const std::byte* source, std::byte* target,
               std::size_t item) {
  if (dim == loop.count) {
    std::memcpy(target, source, item);
    return;
  }
  const auto step = static_cast<std::int64_t>(item);
  if (dim + 1 == loop.count && loop.source[dim] == step && loop.target[dim] == step) {
    std::memcpy(target, source, item * static_cast<std::size_t>(loop.extent[dim]));
    return;
  }
  for (std::int64_t i = 0; i < loop.extent[dim]; ++i) {
    copy_dims(loop, dim + 1, source + i * loop.source[dim], target + i * loop.target[dim], item);
  }
}

void copy_apart(const TensorData& source, const TensorData& target) {
  copy_dims(plan(source, target), 0, source.data, target.data,
            static_cast<std::size_t>(source.dtype.itemsize()));
}

// Two views of one memory: what is still to be read must not be overwritten.
void copy_over_itself(const TensorData& source, const TensorData& target) {
  const auto bytes = static_cast<std::size_t>(source.size() * source.dtype.itemsize());
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(bytes);
  const auto packed = Ref<TensorData>::adopt(TensorData::view_of(source));
  packed->data = buffer.get();
  packed->set_packed();
  copy_apart(source, *packed);
  copy_apart(*packed, target);
}

// By the device's copy engines: bytes, or rows with a pitch, one call for each plane of them.
class DeviceCopy {
 public:
  DeviceCopy(const TensorData& source, const TensorData& target, order::Stream& stream)
      : loop_(plan(source, target)),
        row_bytes_(static_cast<std::size_t>(source.dtype.itemsize())),
        stream_(stream) {
    const auto item = source.dtype.itemsize();
    if (loop_.count == 0 || loop_.source[loop_.count - 1] != item ||
        loop_.target[loop_.count - 1] != item) {
      return;
    }
    row_bytes_ *= static_cast<std::size_t>(loop_.extent[--loop_.count]);
  }

  void dims(std::size_t dim, const std::byte* source, std::byte* target) const {
    if (dim == loop_.count) {
      stream_.backend().copy(target, source, row_bytes_, stream_.handle());
      return;
    }
    const auto row = static_cast<std::int64_t>(row_bytes_);
    if (dim + 1 == loop_.count && loop_.source[dim] >= row && loop_.target[dim] >= row) {
      stream_.backend().copy_rows(target, static_cast<std::size_t>(loop_.target[dim]), source,
                                  static_cast<std::size_t>(loop_.source[dim]), row_bytes_,
                                  static_cast<std::size_t>(loop_.extent[dim]), stream_.handle());
      return;
    }
    for (std::int64_t i = 0; i < loop_.extent[dim]; ++i) {
      dims(dim + 1, source + i * loop_.source[dim], target + i * loop_.target[dim]);
    }
  }

 private:
  Loop loop_;
  std::size_t row_bytes_;
  order::Stream& stream_;
};

// The host waits for a side that is in its own memory; the device for the other.
void wait_for_side(TensorData& tensor, bool is_write, order::Stream& stream) {
  if (tensor.device.is_cpu()) {
    static_cast<void>(sync_for(tensor, is_write, kNever));
  } else {
    const std::array operand{Operand{&tensor, is_write}};
    wait_for_operands(stream, operand);
  }
}

void copy_on_device(TensorData& source, TensorData& target, order::Stream& stream) {
  wait_for_side(source, false, stream);
  wait_for_side(target, true, stream);
  DeviceCopy(source, target, stream).dims(0, source.data, target.data);
  order::check::Position position;
  if (stream.actor() != nullptr) position = order::check::enqueue(*stream.actor());
  const std::array operands{Operand{&source, false}, Operand{&target, true}};
  note_operands(stream, operands, tag("copy_to"), position);
}

// A GPU's copy engines reach memory of ours on another one only where that is allowed.
bool can_reach(Device device, Device peer) {
  try {
    backend::of(device).enable_peer_access(device.index, peer.index);
    return true;
  } catch (const DeviceError&) {
    return false;
  }
}

void check_same(const TensorData& source, const TensorData& target) {
  if (target.readonly) throw_error<TensorError>("copy_to: the target is read-only");
  if (!std::ranges::equal(source.shape(), target.shape())) {
    throw_error<TensorError>("copy_to: the target has shape {}, the source {}",
                             describe_shape(target.shape()), describe_shape(source.shape()));
  }
  if (source.dtype != target.dtype) {
    throw_error<TensorError>("copy_to: the target has dtype {}, the source {}", target.dtype.name(),
                             source.dtype.name());
  }
}

}  // namespace

void copy_strided(const TensorData& source, const TensorData& target) {
  if (source.size() == 0) return;
  if (order::check::overlaps(source.range(), target.range())) {
    copy_over_itself(source, target);
  } else {
    copy_apart(source, target);
  }
}

void copy_elements(const Tensor& source, const Tensor& target, order::Stream* stream) {
  check_same(source.impl(), target.impl());
  if (!source.device().is_cpu() || !target.device().is_cpu()) {
    if (source.size() == 0) return;
    const Device device = target.device().is_cpu() ? source.device() : target.device();
    order::Stream& on =
        stream != nullptr && stream->device() == device ? *stream : working_stream(device);
    const bool are_both_gpus = !source.device().is_cpu() && !target.device().is_cpu();
    if (are_both_gpus && source.device() != target.device() &&
        !(can_reach(target.device(), source.device()) &&
          can_reach(source.device(), target.device()))) {
      const Tensor between = packed_like(source, Device::cpu(), nullptr);
      copy_elements(source, between, nullptr);
      copy_elements(between, target, stream);
    } else if (source.device() == target.device() &&
               order::check::overlaps(source.impl().range(), target.impl().range())) {
      const Tensor between = packed_like(source, device, &on);
      copy_on_device(source.impl(), between.impl(), on);
      copy_on_device(between.impl(), target.impl(), on);
    } else {
      copy_on_device(source.impl(), target.impl(), on);
    }
    return;
  }
  const std::array operands{Operand{&source.impl(), false}, Operand{&target.impl(), true}};
  run_work(stream, operands, "copy_to",
           [from = &source.impl(), to = &target.impl()] { copy_strided(*from, *to); });
}

}  // namespace penstock
