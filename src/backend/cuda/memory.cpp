#include "backend/cuda/memory.hpp"

#include "backend/cuda/driver.hpp"
#include "base/throw.hpp"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::backend::cuda_detail {
namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

struct Range {
  Reservation reservation;
  std::size_t page_bytes = 0;
  std::vector<bool> mapped;  // empty if the memory was taken whole
};

struct Pages {
  // Held over the driver's calls: they are rare, and the driver takes them one by one anyway.
  std::mutex mutex;
  std::map<void*, Range> ranges;
  std::vector<std::pair<int, int>> peers;  // the first may use the second's memory
};

Pages& pages() {
  static auto* pages = new Pages;
  return *pages;
}

CUdeviceptr at(const Reservation& reservation, std::size_t offset) {
  return reinterpret_cast<CUdeviceptr>(reservation.address) + offset;
}

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

// A container may forbid what the driver says that it has: so one page is tried.
bool has_host_pages(int device) {
  if (attribute(device, CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) == 0) {
    return false;
  }
  const CUmemAllocationProp properties = properties_of(device, MemoryKind::pinned);
  CUmemGenericAllocationHandle handle = 0;
  if (driver().cuMemCreate(&handle, page_bytes(device), &properties, 0) != CUDA_SUCCESS) {
    return false;
  }
  CUDA_TRY(driver().cuMemRelease(handle));
  return true;
}

Range& range_of(std::string_view where, const Reservation& reservation) {
  const auto found = pages().ranges.find(reservation.address);
  if (found != pages().ranges.end()) return found->second;
  throw_error<Error>("{}: {} is no reservation of cuda:{}, or was released", where,
                     reservation.address, reservation.device);
}

// The range's pages [first, second).
std::pair<std::size_t, std::size_t> check_range(std::string_view where, const Range& range,
                                                std::size_t offset, std::size_t bytes) {
  const std::size_t page = range.page_bytes;
  const std::size_t all = range.reservation.bytes;
  if (offset % page != 0 || bytes % page != 0 || bytes == 0 || offset > all ||
      bytes > all - offset) {
    throw_error<Error>(
        "{}: range {}+{} does not fit a reservation of {} bytes in pages of {} bytes", where,
        offset, bytes, all, page);
  }
  return {offset / page, (offset + bytes) / page};
}

void require_mapped(std::string_view where, const Range& range, std::size_t first, std::size_t last,
                    bool mapped) {
  for (std::size_t page = first; page < last; ++page) {
    if (range.mapped[page] == mapped) continue;
    throw_error<Error>("{}: the page at offset {} is {}", where, page * range.page_bytes,
                       mapped ? "not mapped" : "mapped already");
  }
}

void grant(const Range& range, std::size_t first, std::size_t last) {
  const auto access = [](CUmemLocationType type, int id) {
    return CUmemAccessDesc{{type, id}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  };
  std::vector users{access(CU_MEM_LOCATION_TYPE_DEVICE, range.reservation.device)};
  for (const auto& [device, peer] : pages().peers) {
    if (peer == range.reservation.device) {
      users.push_back(access(CU_MEM_LOCATION_TYPE_DEVICE, device));
    }
  }
  if (range.reservation.kind == MemoryKind::pinned) {
    users.push_back(access(CU_MEM_LOCATION_TYPE_HOST_NUMA, 0));
  }
  CUDA_TRY(driver().cuMemSetAccess(at(range.reservation, first * range.page_bytes),
                                   (last - first) * range.page_bytes, users.data(), users.size()));
}

void map_page(const Range& range, std::size_t page, const CUmemAllocationProp& properties) {
  CUmemGenericAllocationHandle handle = 0;
  CUDA_TRY(driver().cuMemCreate(&handle, range.page_bytes, &properties, 0));
  const CUresult status = driver().cuMemMap(at(range.reservation, page * range.page_bytes),
                                            range.page_bytes, 0, handle, 0);
  // The mapping keeps the memory from here on.
  CUDA_TRY(driver().cuMemRelease(handle));
  check(status, "cuMemMap");
}

void unmap_page(const Range& range, std::size_t page) {
  CUDA_TRY(driver().cuMemUnmap(at(range.reservation, page * range.page_bytes), range.page_bytes));
}

[[noreturn]] void refuse_size(std::string_view where, const Reservation& reservation,
                              std::size_t bytes, const OutOfMemory& reason) {
  if (reservation.kind == MemoryKind::pinned) {
    throw_error<OutOfMemory>("{}: {} bytes of pinned memory: {}", where, bytes, reason.what());
  }
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  static_cast<void>(cudaMemGetInfo(&free_bytes, &total_bytes));
  throw_error<OutOfMemory>("{}: {} bytes on cuda:{}, which has {} of {} bytes free: {}", where,
                           bytes, reservation.device, free_bytes, total_bytes, reason.what());
}

void* take_whole(const Reservation& wanted) {
  void* address = nullptr;
  try {
    if (wanted.kind == MemoryKind::managed) {
      CUDA_TRY(cudaMallocManaged(&address, wanted.bytes));
    } else {
      CUDA_TRY(cudaHostAlloc(&address, wanted.bytes, cudaHostAllocPortable));
    }
  } catch (const OutOfMemory& error) {
    refuse_size("reserve", wanted, wanted.bytes, error);
  }
  return address;
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

Reservation reserve(int device, MemoryKind kind, std::size_t bytes) {
  const ContextScope scope(device);
  if (kind == MemoryKind::host || kind == MemoryKind::unknown) {
    throw DeviceError("reserve: cuda has device, pinned and managed memory; ask the host for host");
  }
  const std::size_t page = page_bytes(device);
  const std::size_t rounded = (bytes + page - 1) / page * page;
  Range range{{nullptr, rounded, kind, device}, page, {}};
  if (kind == MemoryKind::device || (kind == MemoryKind::pinned && has_host_pages(device))) {
    CUdeviceptr address = 0;
    CUDA_TRY(driver().cuMemAddressReserve(&address, rounded, 0, 0, 0));
    range.reservation.address = reinterpret_cast<void*>(address);
    range.mapped.resize(rounded / page);
  } else {
    range.reservation.address = take_whole(range.reservation);
  }
  const std::lock_guard guard(pages().mutex);
  return pages().ranges.emplace(range.reservation.address, range).first->second.reservation;
}

void release(const Reservation& reservation) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(pages().mutex);
  const Range range = std::move(range_of("release", reservation));
  pages().ranges.erase(reservation.address);
  if (range.mapped.empty()) {
    CUDA_TRY(range.reservation.kind == MemoryKind::managed ? cudaFree(reservation.address)
                                                           : cudaFreeHost(reservation.address));
    return;
  }
  for (std::size_t page = 0; page < range.mapped.size(); ++page) {
    if (range.mapped[page]) unmap_page(range, page);
  }
  CUDA_TRY(driver().cuMemAddressFree(at(range.reservation, 0), range.reservation.bytes));
}

void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(pages().mutex);
  Range& range = range_of("map", reservation);
  const auto [first, last] = check_range("map", range, offset, bytes);
  if (range.mapped.empty()) return;
  require_mapped("map", range, first, last, false);
  const auto properties = properties_of(range.reservation.device, range.reservation.kind);
  std::size_t page = first;
  try {
    for (; page < last; ++page) map_page(range, page, properties);
    grant(range, first, last);
  } catch (const Error& error) {
    while (page > first) unmap_page(range, --page);
    const auto* no_memory = dynamic_cast<const OutOfMemory*>(&error);
    if (no_memory != nullptr) refuse_size("map", range.reservation, bytes, *no_memory);
    throw;
  }
  std::fill(range.mapped.begin() + static_cast<std::ptrdiff_t>(first),
            range.mapped.begin() + static_cast<std::ptrdiff_t>(last), true);
}

void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(pages().mutex);
  Range& range = range_of("unmap", reservation);
  const auto [first, last] = check_range("unmap", range, offset, bytes);
  if (range.mapped.empty()) return;
  require_mapped("unmap", range, first, last, true);
  for (std::size_t page = first; page < last; ++page) {
    unmap_page(range, page);
    range.mapped[page] = false;
  }
}

MemoryExport export_memory(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(pages().mutex);
  const Range& range = range_of("export_memory", reservation);
  const auto [first, last] = check_range("export_memory", range, offset, bytes);
  if (range.mapped.empty() || last - first != 1) {
    throw_error<Error>(
        "export_memory: cuda exports one mapped page of {} bytes at a time; this is {}",
        range.page_bytes,
        range.mapped.empty() ? "memory taken whole" : fmt::format("{} bytes", bytes));
  }
  require_mapped("export_memory", range, first, last, true);
  CUmemGenericAllocationHandle handle = 0;
  CUDA_TRY(driver().cuMemRetainAllocationHandle(
      &handle, reinterpret_cast<void*>(at(range.reservation, offset))));
  int descriptor = -1;
  const CUresult status =
      driver().cuMemExportToShareableHandle(&descriptor, handle, kDescriptor, 0);
  CUDA_TRY(driver().cuMemRelease(handle));
  check(status, "cuMemExportToShareableHandle");
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return {descriptor, bytes};
}

Reservation open_memory(int device, const MemoryExport& exported) {
  const ContextScope scope(device);
  CUmemGenericAllocationHandle handle = 0;
  const auto descriptor = static_cast<std::uintptr_t>(exported.file_descriptor);
  CUDA_TRY(driver().cuMemImportFromShareableHandle(&handle, reinterpret_cast<void*>(descriptor),
                                                   kDescriptor));
  CUmemAllocationProp properties{};
  CUdeviceptr address = 0;
  bool mapped = false;
  Range range{{nullptr, exported.bytes, MemoryKind::device, device}, exported.bytes, {true}};
  const std::lock_guard guard(pages().mutex);
  try {
    CUDA_TRY(driver().cuMemGetAllocationPropertiesFromHandle(&properties, handle));
    CUDA_TRY(driver().cuMemAddressReserve(&address, exported.bytes, 0, 0, 0));
    CUDA_TRY(driver().cuMemMap(address, exported.bytes, 0, handle, 0));
    mapped = true;
    range.reservation.address = reinterpret_cast<void*>(address);
    if (properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
      range.reservation.kind = MemoryKind::pinned;
    }
    grant(range, 0, 1);
  } catch (...) {
    if (mapped) static_cast<void>(driver().cuMemUnmap(address, exported.bytes));
    if (address != 0) static_cast<void>(driver().cuMemAddressFree(address, exported.bytes));
    static_cast<void>(driver().cuMemRelease(handle));
    throw;
  }
  CUDA_TRY(driver().cuMemRelease(handle));
  return pages().ranges.emplace(range.reservation.address, range).first->second.reservation;
}

void enable_peer_access(int device, int peer) {
  check_device(peer);
  const ContextScope scope(device);
  int possible = 0;
  if (device != peer) CUDA_TRY(cudaDeviceCanAccessPeer(&possible, device, peer));
  if (possible == 0) {
    throw_error<DeviceError>(
        "enable_peer_access: kernels of cuda:{} can't use memory of cuda:{}; copy it instead",
        device, peer);
  }
  const cudaError_t status = cudaDeviceEnablePeerAccess(peer, 0);
  if (status == cudaErrorPeerAccessAlreadyEnabled) {
    static_cast<void>(cudaGetLastError());
  } else {
    CUDA_TRY(status);
  }
  const std::lock_guard guard(pages().mutex);
  const std::pair pair{device, peer};
  auto& peers = pages().peers;
  if (std::find(peers.begin(), peers.end(), pair) != peers.end()) return;
  peers.push_back(pair);
  for (const auto& [address, range] : pages().ranges) {
    if (range.reservation.device != peer) continue;
    for (std::size_t page = 0; page < range.mapped.size(); ++page) {
      if (range.mapped[page]) grant(range, page, page + 1);
    }
  }
}

}  // namespace penstock::backend::cuda_detail
