// Memory of the driver's before it has addresses: what the pieces of a reservation are made of.
// Every call needs a current context. Thread-safe, but for two threads at one object. The memory
// lives as long as an object or a mapping of it does, in whichever process.
#pragma once

#include "backend/backend.hpp"

#include <cuda.h>

#include <cstddef>
#include <utility>

namespace penstock::backend::cuda_detail {

[[nodiscard]] std::size_t page_bytes(int device);
/// False where pinned memory can't be mapped in pieces.
[[nodiscard]] bool has_host_pages(int device);

class Allocation {
 public:
  /// Device memory, or pinned memory beside the device.
  [[nodiscard]] static Allocation take(int device, MemoryKind kind, std::size_t bytes);
  /// What is mapped at an address.
  [[nodiscard]] static Allocation at(void* address);
  /// The descriptor stays the caller's.
  [[nodiscard]] static Allocation open(int file_descriptor);

  Allocation(Allocation&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  Allocation& operator=(Allocation&&) = delete;
  ~Allocation();

  [[nodiscard]] CUmemGenericAllocationHandle handle() const { return handle_; }
  [[nodiscard]] MemoryKind kind() const;
  /// The descriptor is the caller's.
  [[nodiscard]] int export_descriptor() const;

 private:
  explicit Allocation(CUmemGenericAllocationHandle handle) : handle_(handle) {}

  CUmemGenericAllocationHandle handle_;
};

}  // namespace penstock::backend::cuda_detail
