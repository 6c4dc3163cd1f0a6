// GPU memory and pinned memory as the device contract has it: reserved addresses whose pages come
// and go, each page an allocation of the driver's. Managed memory, and pinned memory where the
// driver has no host pages, is taken whole by reserve(); map() and unmap() do nothing to it then.
// Thread-safe.
#pragma once

#include "backend/backend.hpp"

#include <cstddef>

namespace penstock::backend::cuda_detail {

[[nodiscard]] std::size_t page_bytes(int device);
[[nodiscard]] Reservation reserve(int device, MemoryKind kind, std::size_t bytes);
/// Unmaps what is mapped. What the GPU still does there must be over.
void release(const Reservation& reservation);
void map(const Reservation& reservation, std::size_t offset, std::size_t bytes);
void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes);
/// One page: that is what the driver exports. The descriptor is the caller's to close.
[[nodiscard]] MemoryExport export_memory(const Reservation& reservation, std::size_t offset,
                                         std::size_t bytes);
/// The descriptor stays the caller's.
[[nodiscard]] Reservation open_memory(int device, const MemoryExport& exported);
/// Kernels of `device` may use the pages of `peer`, those mapped already and those to come.
void enable_peer_access(int device, int peer);

}  // namespace penstock::backend::cuda_detail
