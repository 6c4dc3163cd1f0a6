// Memory that is mapped in pieces: addresses, allocations without one, and file descriptors by
// which another process opens them.
#include "machine.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

using namespace sim;

namespace {

constexpr std::size_t kPage = std::size_t{2} << 20;

std::uintptr_t round_up(std::uintptr_t value) { return (value + kPage - 1) / kPage * kPage; }
void* pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

cudaError_t check_context() {
  return current() == nullptr ? cudaErrorDeviceUninitialized : current()->fault;
}

std::shared_ptr<Physical> find_allocation(CUmemGenericAllocationHandle handle) {
  const auto found = machine().allocations.find(handle);
  return found == machine().allocations.end() ? nullptr : found->second.first;
}

CUmemGenericAllocationHandle add_reference(const std::shared_ptr<Physical>& physical) {
  for (auto& [handle, entry] : machine().allocations) {
    if (entry.first != physical) continue;
    ++entry.second;
    return handle;
  }
  const auto handle = ++machine().last_allocation;
  machine().allocations.emplace(handle, std::pair(physical, 1));
  return handle;
}

// Where the memory is stands in the descriptor's name, which every process can read.
std::string name_of(CUmemLocation location) {
  return "penstock-sim-" + std::to_string(location.type) + "-" + std::to_string(location.id);
}

bool read_location(int descriptor, CUmemLocation& location) {
  std::array<char, 128> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  if (readlink(link.c_str(), name.data(), name.size() - 1) < 0) return false;
  int type = 0;
  if (std::sscanf(name.data(), "/memfd:penstock-sim-%d-%d", &type, &location.id) != 2) return false;
  location.type = static_cast<CUmemLocationType>(type);
  return true;
}

Device* device_of(CUmemLocation location) {
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE) return nullptr;
  const auto index = static_cast<std::size_t>(location.id);
  return index < machine().devices.size() ? machine().devices[index].get() : nullptr;
}

}  // namespace

sim::Physical::~Physical() {
  if (descriptor >= 0) close(descriptor);
  if (payer != nullptr) payer->used_bytes -= bytes;
}

extern "C" {

CUresult cuMemGetAllocationGranularity(std::size_t* bytes, const CUmemAllocationProp*,
                                       CUmemAllocationGranularity_flags) {
  SIM_DRIVER({
    *bytes = kPage;
    return cudaSuccess;
  });
}

CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t bytes, std::size_t, CUdeviceptr,
                             unsigned long long) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    if (bytes == 0 || bytes % kPage != 0) return cudaErrorInvalidValue;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* all = mmap(nullptr, bytes + kPage, PROT_NONE, kFlags, -1, 0);
    if (all == MAP_FAILED) return cudaErrorMemoryAllocation;
    const auto first = reinterpret_cast<std::uintptr_t>(all);
    const std::uintptr_t begin = round_up(first);
    if (begin > first) munmap(all, begin - first);
    if (begin < first + kPage) munmap(pointer(begin + bytes), first + kPage - begin);
    machine().reservations.emplace(begin, bytes);
    *address = begin;
    return cudaSuccess;
  });
}

CUresult cuMemAddressFree(CUdeviceptr address, std::size_t bytes) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    auto& all = machine().reservations;
    const auto found = all.find(address);
    if (found == all.end() || found->second != bytes) return cudaErrorInvalidValue;
    const auto mapped = machine().ranges.lower_bound(address);
    if (mapped != machine().ranges.end() && mapped->first < address + bytes) {
      return cudaErrorInvalidValue;
    }
    all.erase(found);
    munmap(pointer(address), bytes);
    return cudaSuccess;
  });
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes,
                     const CUmemAllocationProp* properties, unsigned long long) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    if (bytes == 0 || bytes % kPage != 0) return cudaErrorInvalidValue;
    Device* payer = device_of(properties->location);
    if (payer != nullptr &&
        bytes > payer->total_bytes - std::min(payer->used_bytes, payer->total_bytes)) {
      return cudaErrorMemoryAllocation;
    }
    auto physical = std::make_shared<Physical>();
    physical->descriptor = memfd_create(name_of(properties->location).c_str(), MFD_CLOEXEC);
    if (physical->descriptor < 0 ||
        ftruncate(physical->descriptor, static_cast<off_t>(bytes)) != 0) {
      return cudaErrorMemoryAllocation;
    }
    physical->bytes = bytes;
    physical->location = properties->location;
    physical->payer = payer;
    if (payer != nullptr) payer->used_bytes += bytes;
    *handle = add_reference(physical);
    return cudaSuccess;
  });
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  SIM_DRIVER({
    const auto found = machine().allocations.find(handle);
    if (found == machine().allocations.end()) return cudaErrorInvalidValue;
    if (--found->second.second == 0) machine().allocations.erase(found);
    return cudaSuccess;
  });
}

CUresult cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    const auto physical = find_allocation(handle);
    if (!physical || offset != 0 || bytes != physical->bytes) return cudaErrorInvalidValue;
    auto reserved = machine().reservations.upper_bound(address);
    if (reserved == machine().reservations.begin()) return cudaErrorInvalidValue;
    --reserved;
    if (address + bytes > reserved->first + reserved->second) return cudaErrorInvalidValue;
    const auto next = machine().ranges.lower_bound(address);
    const bool is_taken = (next != machine().ranges.end() && next->first < address + bytes) ||
                          (next != machine().ranges.begin() &&
                           std::prev(next)->first + std::prev(next)->second.bytes > address);
    if (is_taken) return cudaErrorInvalidValue;
    if (mmap(pointer(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical->descriptor, 0) ==
        MAP_FAILED) {
      return cudaErrorMemoryAllocation;
    }
    Device* device = device_of(physical->location);
    const auto type = device != nullptr ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    machine().ranges.emplace(
        address,
        Range{bytes, type, false, device != nullptr ? device : current(), physical, false, {}});
    return cudaSuccess;
  });
}

CUresult cuMemSetAccess(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* users,
                        std::size_t count) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    const auto found = machine().ranges.find(address);
    if (found == machine().ranges.end() || found->second.bytes != bytes) {
      return cudaErrorInvalidValue;
    }
    mprotect(pointer(address), bytes, PROT_READ | PROT_WRITE);
    found->second.is_accessible = true;
    found->second.users.clear();
    for (std::size_t i = 0; i < count; ++i) {
      if (users[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
        found->second.users.push_back(users[i].location.id);
      }
    }
    return cudaSuccess;
  });
}

// A mapping goes whole.
CUresult cuMemUnmap(CUdeviceptr address, std::size_t bytes) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    const auto found = machine().ranges.find(address);
    if (found == machine().ranges.end() || found->second.bytes != bytes ||
        !found->second.physical) {
      return cudaErrorInvalidValue;
    }
    machine().ranges.erase(found);
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    mmap(pointer(address), bytes, PROT_NONE, kFlags, -1, 0);
    return cudaSuccess;
  });
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  SIM_DRIVER({
    const auto found = machine().ranges.find(reinterpret_cast<std::uintptr_t>(address));
    if (found == machine().ranges.end() || !found->second.physical) return cudaErrorInvalidValue;
    *handle = add_reference(found->second.physical);
    return cudaSuccess;
  });
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* properties,
                                                CUmemGenericAllocationHandle handle) {
  SIM_DRIVER({
    const auto physical = find_allocation(handle);
    if (!physical) return cudaErrorInvalidValue;
    *properties = {};
    properties->type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties->location = physical->location;
    return cudaSuccess;
  });
}

CUresult cuMemExportToShareableHandle(void* descriptor, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType, unsigned long long) {
  SIM_DRIVER({
    const auto physical = find_allocation(handle);
    if (!physical) return cudaErrorInvalidValue;
    *static_cast<int*>(descriptor) = dup(physical->descriptor);
    return cudaSuccess;
  });
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* descriptor,
                                        CUmemAllocationHandleType) {
  SIM_DRIVER({
    if (const cudaError_t status = check_context()) return status;
    const int given = static_cast<int>(reinterpret_cast<std::intptr_t>(descriptor));
    auto physical = std::make_shared<Physical>();
    struct stat found{};
    if (!read_location(given, physical->location) || fstat(given, &found) != 0) {
      return cudaErrorInvalidValue;
    }
    physical->descriptor = dup(given);
    physical->bytes = static_cast<std::size_t>(found.st_size);
    *handle = add_reference(physical);
    return cudaSuccess;
  });
}

}  // extern "C"
