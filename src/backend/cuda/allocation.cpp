#include "backend/cuda/allocation.hpp"

#include "backend/cuda/driver.hpp"

#include <penstock/error.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cstdint>

namespace penstock::backend::cuda_detail {
namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

int attribute(int device, CUdevice_attribute which) {
  int value = 0;
  CUDA_TRY(driver().cuDeviceGetAttribute(&value, which, device));
  return value;
}

CUmemAllocationProp properties_of(int device, MemoryKind kind) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  if (kind == MemoryKind::pinned) {
    const int node = attribute(device, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID);
    properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, std::max(node, 0)};
  }
  if (attribute(device, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED) != 0) {
    properties.requestedHandleTypes = kDescriptor;
  }
  return properties;
}

}  // namespace

std::size_t page_bytes(int device) {
  check_device(device);
  const CUmemAllocationProp properties = properties_of(device, MemoryKind::device);
  std::size_t bytes = 0;
  CUDA_TRY(driver().cuMemGetAllocationGranularity(&bytes, &properties,
                                                  CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  return bytes;
}

// A container may forbid what the driver says that it has: so one page is tried.
bool has_host_pages(int device) {
  if (attribute(device, CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) == 0) {
    return false;
  }
  try {
    static_cast<void>(Allocation::take(device, MemoryKind::pinned, page_bytes(device)));
  } catch (const Error&) {
    return false;
  }
  return true;
}

Allocation Allocation::take(int device, MemoryKind kind, std::size_t bytes) {
  const CUmemAllocationProp properties = properties_of(device, kind);
  CUmemGenericAllocationHandle handle = 0;
  CUDA_TRY(driver().cuMemCreate(&handle, bytes, &properties, 0));
  return Allocation(handle);
}

Allocation Allocation::at(void* address) {
  CUmemGenericAllocationHandle handle = 0;
  CUDA_TRY(driver().cuMemRetainAllocationHandle(&handle, address));
  return Allocation(handle);
}

Allocation Allocation::open(int file_descriptor) {
  void* descriptor = reinterpret_cast<void*>(static_cast<std::uintptr_t>(file_descriptor));
  CUmemGenericAllocationHandle handle = 0;
  CUDA_TRY(driver().cuMemImportFromShareableHandle(&handle, descriptor, kDescriptor));
  return Allocation(handle);
}

Allocation::~Allocation() {
  if (handle_ != 0) static_cast<void>(driver().cuMemRelease(handle_));
}

MemoryKind Allocation::kind() const {
  CUmemAllocationProp properties{};
  CUDA_TRY(driver().cuMemGetAllocationPropertiesFromHandle(&properties, handle_));
  const bool on_device = properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE;
  return on_device ? MemoryKind::device : MemoryKind::pinned;
}

int Allocation::export_descriptor() const {
  int descriptor = -1;
  CUDA_TRY(driver().cuMemExportToShareableHandle(&descriptor, handle_, kDescriptor, 0));
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return descriptor;
}

}  // namespace penstock::backend::cuda_detail
