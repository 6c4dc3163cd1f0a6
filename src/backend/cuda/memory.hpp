// GPU memory and pinned memory as the device contract has it: reserved addresses in which pieces
// come and go, each an allocation of the driver's. Managed memory, and pinned memory where the
// driver can't map it, is taken whole by reserve(): map() and unmap() keep to the rules then and do
// nothing. Thread-safe.
#pragma once

#include "backend/backend.hpp"

#include <cstddef>

namespace penstock::backend::cuda_detail {

[[nodiscard]] Reservation reserve(int device, MemoryKind kind, std::size_t bytes);
/// Unmaps the pieces that are left. What the GPU still does there must be over.
void release(const Reservation& reservation);
void map(const Reservation& reservation, std::size_t offset, std::size_t bytes);
void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes);
[[nodiscard]] MemoryExport export_memory(const Reservation& reservation, std::size_t offset,
                                         std::size_t bytes);
/// The descriptor stays the caller's.
[[nodiscard]] Reservation open_memory(int device, const MemoryExport& exported);
/// Kernels of `device` may use the pieces of `peer`, those mapped already and those to come.
void enable_peer_access(int device, int peer);

}  // namespace penstock::backend::cuda_detail
