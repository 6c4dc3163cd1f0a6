// Memory with an address: cudaMalloc() and its like, what an address is, copies and fills. A
// device's memory is the host's; that it is a device's is known here, and checked.
#include "machine.hpp"

#include "sim_cuda.hpp"

#include <sys/mman.h>

#include <cstring>

using namespace sim;

namespace {

constexpr std::size_t kUnit = 512;

std::uintptr_t number_of(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

// The range that holds the address, nullptr if CUDA knows nothing of it.
const Range* range_of(std::uintptr_t address) {
  auto& ranges = machine().ranges;
  auto found = ranges.upper_bound(address);
  if (found == ranges.begin()) return nullptr;
  --found;
  return address - found->first < found->second.bytes ? &found->second : nullptr;
}

bool is_reserved(std::uintptr_t address) {
  auto& all = machine().reservations;
  auto found = all.upper_bound(address);
  if (found == all.begin()) return false;
  --found;
  return address - found->first < found->second;
}

bool is_usable_by(const Device& device, const Range& range) {
  const auto& users = range.users;
  const bool is_user = std::find(users.begin(), users.end(), device.index) != users.end();
  return range.is_accessible && (users.empty() || is_user);
}

// Pieces that are mapped side by side count as one.
bool is_usable(const Device& device, std::uintptr_t address, std::size_t bytes) {
  auto& ranges = machine().ranges;
  auto found = ranges.upper_bound(address);
  if (found == ranges.begin()) return false;
  --found;
  while (found != ranges.end() && found->first <= address && is_usable_by(device, found->second)) {
    const std::size_t left =
        found->second.bytes - std::min(found->second.bytes, address - found->first);
    if (left == 0) return false;
    if (left >= bytes) return true;
    bytes -= left;
    address += left;
    ++found;
  }
  return false;
}

// Memory of CUDA's must be there now; other addresses are pageable memory, of which it knows
// nothing.
bool may_be_used(const Device& device, const void* address, std::size_t bytes) {
  const std::uintptr_t begin = number_of(address);
  if (range_of(begin) == nullptr && !is_reserved(begin)) return true;
  return is_usable(device, begin, bytes);
}

bool is_pageable(const void* address) { return range_of(number_of(address)) == nullptr; }

// Memory that went before the operation came to it: the kernel would have read an illegal address.
bool is_there(Device& device, const void* address, std::size_t bytes) {
  const Lock lock(machine().mutex);
  if (may_be_used(device, address, bytes)) return true;
  if (device.fault == cudaSuccess) device.fault = cudaErrorIllegalAddress;
  return false;
}

cudaError_t allocate(void** address, std::size_t bytes, CUmemorytype type,
                     bool is_managed = false) {
  Range range;
  range.type = type;
  range.is_managed = is_managed;
  if (const cudaError_t status = current_or_made(range.device)) return status;
  if (const cudaError_t status = check_unsafe()) return status;
  if (bytes == 0) {
    *address = nullptr;
    return cudaSuccess;
  }
  Device& device = *range.device;
  const bool is_paid = range.type == CU_MEMORYTYPE_DEVICE && !range.is_managed;
  bytes = (bytes + kUnit - 1) / kUnit * kUnit;
  if (is_paid && bytes > device.total_bytes - std::min(device.used_bytes, device.total_bytes)) {
    return cudaErrorMemoryAllocation;
  }
  void* made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) return cudaErrorMemoryAllocation;
  if (is_paid) device.used_bytes += bytes;
  range.bytes = bytes;
  machine().ranges.emplace(number_of(made), range);
  *address = made;
  return cudaSuccess;
}

// Both wait for the device, as the real ones do.
cudaError_t release(Lock& lock, void* address, CUmemorytype type) {
  if (address == nullptr) return cudaSuccess;
  if (const cudaError_t status = check_unsafe()) return status;
  auto& ranges = machine().ranges;
  const auto found = ranges.find(number_of(address));
  if (found == ranges.end() || found->second.physical || found->second.type != type) {
    return cudaErrorInvalidValue;
  }
  const Range range = found->second;
  wait_for(lock, everything(*range.device));
  if (range.device->fault != cudaSuccess) return range.device->fault;
  if (ranges.erase(number_of(address)) == 0) return cudaErrorInvalidValue;
  if (type == CU_MEMORYTYPE_DEVICE && !range.is_managed) range.device->used_bytes -= range.bytes;
  munmap(address, range.bytes);
  return cudaSuccess;
}

struct Rows {
  std::byte* target;
  const std::byte* source;
  std::size_t target_pitch;
  std::size_t source_pitch;
  std::size_t width;
  std::size_t height;
  [[nodiscard]] std::size_t target_bytes() const { return target_pitch * (height - 1) + width; }
  [[nodiscard]] std::size_t source_bytes() const { return source_pitch * (height - 1) + width; }
};

cudaError_t copy(Lock& lock, const Rows& rows, cudaMemcpyKind kind, cudaStream_t handle) {
  std::shared_ptr<Stream> stream;
  if (const cudaError_t status = find_stream(handle, stream)) return status;
  if (kind != cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (rows.width == 0 || rows.height == 0) return cudaSuccess;
  if (!may_be_used(*stream->device, rows.target, rows.target_bytes()) ||
      !may_be_used(*stream->device, rows.source, rows.source_bytes())) {
    return cudaErrorInvalidValue;
  }
  const bool to_pageable = is_pageable(rows.target);
  const bool from_pageable = is_pageable(rows.source);
  const cudaError_t status = enqueue(stream, [=, device = stream->device] {
    if (!is_there(*device, rows.target, rows.target_bytes()) ||
        !is_there(*device, rows.source, rows.source_bytes())) {
      return;
    }
    for (std::size_t row = 0; row < rows.height; ++row) {
      std::memmove(rows.target + row * rows.target_pitch, rows.source + row * rows.source_pitch,
                   rows.width);
    }
  });
  if (status != cudaSuccess || stream->capture) return status;
  // Between two places of pageable memory it always waits.
  const bool waits =
      machine().pageable_waits ? to_pageable || from_pageable : to_pageable && from_pageable;
  if (waits) wait_for(lock, {{stream, stream->queued}});
  return stream->device->fault;
}

void answer(CUpointer_attribute which, void* place, const Range* range) {
  switch (which) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(place) = range == nullptr ? 0 : range->type;
      break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      *static_cast<unsigned*>(place) = range != nullptr && range->is_managed ? 1 : 0;
      break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(place) = range == nullptr ? -2 : range->device->index;
      break;
    default:
      break;
  }
}

}  // namespace

void sim_set_memory(int device, std::size_t bytes) {
  const Lock lock(machine().mutex);
  machine().devices[static_cast<std::size_t>(device)]->total_bytes = bytes;
}

std::size_t sim_memory_used(int device) {
  const Lock lock(machine().mutex);
  return machine().devices[static_cast<std::size_t>(device)]->used_bytes;
}

extern "C" {

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  SIM_RUNTIME({ return allocate(address, bytes, CU_MEMORYTYPE_DEVICE); });
}

cudaError_t cudaMallocManaged(void** address, std::size_t bytes, unsigned) {
  SIM_RUNTIME({ return allocate(address, bytes, CU_MEMORYTYPE_DEVICE, true); });
}

cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned) {
  SIM_RUNTIME({ return allocate(address, bytes, CU_MEMORYTYPE_HOST); });
}

cudaError_t cudaFree(void* address) {
  SIM_RUNTIME({ return release(lock, address, CU_MEMORYTYPE_DEVICE); });
}

cudaError_t cudaFreeHost(void* address) {
  SIM_RUNTIME({ return release(lock, address, CU_MEMORYTYPE_HOST); });
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  SIM_RUNTIME({
    Device* device = nullptr;
    if (const cudaError_t status = current_or_made(device)) return status;
    *total_bytes = device->total_bytes;
    *free_bytes = device->total_bytes - std::min(device->used_bytes, device->total_bytes);
    return cudaSuccess;
  });
}

// Never an error for an address that CUDA does not know: the answers say so.
CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* which, void** places,
                                CUdeviceptr address) {
  SIM_DRIVER({
    const Range* range = range_of(address);
    for (unsigned i = 0; i < count; ++i) answer(which[i], places[i], range);
    return cudaSuccess;
  });
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t handle) {
  SIM_RUNTIME({
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(handle, stream)) return status;
    if (bytes == 0) return cudaSuccess;
    // A fill stays inside of one allocation.
    const Range* range = range_of(number_of(target));
    if (range == nullptr || range != range_of(number_of(target) + bytes - 1)) {
      return cudaErrorInvalidValue;
    }
    if (!is_usable_by(*stream->device, *range)) return cudaErrorInvalidValue;
    return enqueue(stream, [=, device = stream->device] {
      if (is_there(*device, target, bytes)) std::memset(target, value, bytes);
    });
  });
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  SIM_RUNTIME({
    const Rows rows{static_cast<std::byte*>(target),
                    static_cast<const std::byte*>(source),
                    bytes,
                    bytes,
                    bytes,
                    1};
    return copy(lock, rows, kind, stream);
  });
}

cudaError_t cudaMemcpy2DAsync(void* target, std::size_t target_pitch, const void* source,
                              std::size_t source_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  SIM_RUNTIME({
    const Rows rows{static_cast<std::byte*>(target),
                    static_cast<const std::byte*>(source),
                    target_pitch,
                    source_pitch,
                    width,
                    height};
    const bool overlap = width > target_pitch || width > source_pitch;
    return overlap ? cudaErrorInvalidPitchValue : copy(lock, rows, kind, stream);
  });
}

}  // extern "C"
