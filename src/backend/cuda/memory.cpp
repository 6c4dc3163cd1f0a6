#include "backend/cuda/memory.hpp"

#include "backend/cuda/allocation.hpp"
#include "backend/cuda/driver.hpp"
#include "backend/pieces.hpp"
#include "base/throw.hpp"

#include <algorithm>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock::backend::cuda_detail {
namespace {

struct Range {
  Reservation reservation;
  Pieces pieces;
  bool is_whole = false;  // reserve() took the memory
};

struct Ranges {
  // Held over the driver's calls: they are rare, and the driver takes them one by one anyway.
  std::mutex mutex;
  std::unordered_map<void*, Range> all;
  std::vector<std::pair<int, int>> peers;  // the first may use the second's memory
};

Ranges& ranges() {
  static auto* ranges = new Ranges;
  return *ranges;
}

auto find(std::string_view call, const Reservation& reservation) {
  const auto found = ranges().all.find(reservation.address);
  if (found != ranges().all.end()) return found;
  throw_error<Error>("{}: {} is no reservation of cuda:{}, or was released", call,
                     reservation.address, reservation.device);
}

CUdeviceptr at(const Reservation& reservation, std::size_t offset) {
  return reinterpret_cast<CUdeviceptr>(reservation.address) + offset;
}

void grant(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  std::vector<CUmemAccessDesc> users;
  const auto add = [&](CUmemLocationType type, int id) {
    users.push_back({{type, id}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE});
  };
  if (reservation.kind == MemoryKind::pinned) {
    add(CU_MEM_LOCATION_TYPE_HOST_NUMA, 0);
    for (int device = 0; device < device_count(); ++device)
      add(CU_MEM_LOCATION_TYPE_DEVICE, device);
  } else {
    add(CU_MEM_LOCATION_TYPE_DEVICE, reservation.device);
    for (const auto& [device, peer] : ranges().peers) {
      if (peer == reservation.device) add(CU_MEM_LOCATION_TYPE_DEVICE, device);
    }
  }
  CUDA_TRY(driver().cuMemSetAccess(at(reservation, offset), bytes, users.data(), users.size()));
}

void place(const Reservation& reservation, std::size_t offset, std::size_t bytes,
           const Allocation& memory) {
  CUDA_TRY(driver().cuMemMap(at(reservation, offset), bytes, 0, memory.handle(), 0));
  try {
    grant(reservation, offset, bytes);
  } catch (...) {
    static_cast<void>(driver().cuMemUnmap(at(reservation, offset), bytes));
    throw;
  }
}

void* take_addresses(std::size_t bytes) {
  CUdeviceptr address = 0;
  CUDA_TRY(driver().cuMemAddressReserve(&address, bytes, 0, 0, 0));
  return reinterpret_cast<void*>(address);
}

[[noreturn]] void refuse_size(std::string_view call, const Reservation& wanted, std::size_t bytes,
                              const OutOfMemory& reason) {
  throw_error<OutOfMemory>("{}: {} bytes of {} memory for cuda:{}: {}", call, bytes,
                           wanted.kind == MemoryKind::device ? "device" : "pinned or managed",
                           wanted.device, reason.what());
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

Reservation reserve(int device, MemoryKind kind, std::size_t bytes) {
  const ContextScope scope(device);
  if (kind == MemoryKind::host) {
    throw DeviceError("reserve: cuda has device, pinned and managed memory; ask the host for host");
  }
  const std::size_t page = page_bytes(device);
  Reservation made{nullptr, (bytes + page - 1) / page * page, kind, device};
  const bool in_pieces =
      kind == MemoryKind::device || (kind == MemoryKind::pinned && has_host_pages(device));
  made.address = in_pieces ? take_addresses(made.bytes) : take_whole(made);
  const std::lock_guard guard(ranges().mutex);
  ranges().all.emplace(made.address, Range{made, Pieces(made.bytes, page), !in_pieces});
  return made;
}

void release(const Reservation& reservation) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(ranges().mutex);
  const auto node = ranges().all.extract(find("release", reservation));
  const Range& range = node.mapped();
  const Reservation& whole = range.reservation;
  if (range.is_whole && whole.kind == MemoryKind::managed) {
    CUDA_TRY(cudaFree(whole.address));
  } else if (range.is_whole) {
    CUDA_TRY(cudaFreeHost(whole.address));
  } else {
    for (const auto& [offset, piece] : range.pieces) {
      CUDA_TRY(driver().cuMemUnmap(at(whole, offset), piece.bytes));
    }
    CUDA_TRY(driver().cuMemAddressFree(at(whole, 0), whole.bytes));
  }
}

void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(ranges().mutex);
  Range& range = find("map", reservation)->second;
  const Reservation& whole = range.reservation;
  range.pieces.add(offset, bytes);
  if (range.is_whole) return;
  try {
    place(whole, offset, bytes, Allocation::take(whole.device, whole.kind, bytes));
  } catch (const OutOfMemory& error) {
    range.pieces.remove(offset);
    refuse_size("map", whole, bytes, error);
  } catch (...) {
    range.pieces.remove(offset);
    throw;
  }
}

void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(ranges().mutex);
  Range& range = find("unmap", reservation)->second;
  range.pieces.require("unmap", offset, bytes);
  if (!range.is_whole) CUDA_TRY(driver().cuMemUnmap(at(range.reservation, offset), bytes));
  range.pieces.remove(offset);
}

MemoryExport export_memory(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const ContextScope scope(reservation.device);
  const std::lock_guard guard(ranges().mutex);
  const Range& range = find("export_memory", reservation)->second;
  range.pieces.require("export_memory", offset, bytes);
  if (range.is_whole) {
    throw_error<Error>(
        "export_memory: on this machine CUDA exports no {} memory; export device memory",
        range.reservation.kind == MemoryKind::managed ? "managed" : "pinned");
  }
  char* address = static_cast<char*>(range.reservation.address) + offset;
  return {Allocation::at(address).export_descriptor(), bytes};
}

Reservation open_memory(int device, const MemoryExport& exported) {
  const ContextScope scope(device);
  const Allocation memory = Allocation::open(exported.file_descriptor);
  const MemoryKind kind = memory.kind();
  const Reservation opened{take_addresses(exported.bytes), exported.bytes, kind, device};
  const std::lock_guard guard(ranges().mutex);
  try {
    Range range{opened, Pieces(opened.bytes, opened.bytes)};
    range.pieces.add(0, opened.bytes);
    place(opened, 0, opened.bytes, memory);
    ranges().all.emplace(opened.address, std::move(range));
  } catch (...) {
    static_cast<void>(driver().cuMemAddressFree(at(opened, 0), opened.bytes));
    throw;
  }
  return opened;
}

void enable_peer_access(int device, int peer) {
  check_device(peer);
  const std::pair pair{device, peer};
  auto& peers = ranges().peers;
  {
    const std::lock_guard guard(ranges().mutex);
    if (std::find(peers.begin(), peers.end(), pair) != peers.end()) return;
  }
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
  const std::lock_guard guard(ranges().mutex);
  if (std::find(peers.begin(), peers.end(), pair) != peers.end()) return;
  peers.push_back(pair);
  for (const auto& [address, range] : ranges().all) {
    if (range.reservation.device != peer || range.is_whole) continue;
    for (const auto& [offset, piece] : range.pieces) grant(range.reservation, offset, piece.bytes);
  }
}

}  // namespace penstock::backend::cuda_detail
