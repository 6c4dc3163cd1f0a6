// Host memory as the device contract has it: reserved addresses in which pieces come and go.
// Host pieces are private; pinned ones are shared memory, so that they can be exported.
// Thread-safe.
#pragma once

#include "backend/backend.hpp"

#include <cstddef>

namespace penstock::backend::host_detail {

[[nodiscard]] std::size_t page_bytes();
[[nodiscard]] Reservation reserve(MemoryKind kind, std::size_t bytes);
void release(const Reservation& reservation);
void map(const Reservation& reservation, std::size_t offset, std::size_t bytes);
void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes);
[[nodiscard]] MemoryExport export_memory(const Reservation& reservation, std::size_t offset,
                                         std::size_t bytes);
[[nodiscard]] Reservation open_memory(const MemoryExport& exported);
/// What this process may use: the machine's memory or the cgroup's limit, whichever is less.
[[nodiscard]] MemoryInfo memory_info();

}  // namespace penstock::backend::host_detail
