#include "memory/slab.hpp"

#include "memory/size_class.hpp"

#include <algorithm>

namespace penstock::memory {
namespace {

// Slabs of small classes; from half of this on a block is mapped for itself.
constexpr std::size_t kSlabBytes = 2 << 20;

}  // namespace

SlabHeap::SlabHeap(backend::Backend& backend, int device, backend::MemoryKind kind)
    : backend_(backend), device_(device), kind_(kind) {}

std::unique_ptr<Slab> SlabHeap::grow(std::uint32_t size_class) {
  auto slab = std::make_unique<Slab>();
  slab->size_class = size_class;
  slab->piece_bytes = class_bytes(size_class);
  const std::size_t page = backend_.properties(device_).page_bytes;
  const std::size_t wanted =
      slab->piece_bytes >= kSlabBytes / 2 ? slab->piece_bytes : kSlabBytes;
  slab->reservation = backend_.reserve(device_, kind_, (wanted + page - 1) / page * page);
  try {
    backend_.map(slab->reservation, 0, slab->reservation.bytes);
  } catch (...) {
    backend_.release(slab->reservation);
    throw;
  }
  return slab;
}

Piece SlabHeap::carve(std::uint32_t size_class) {
  const std::lock_guard guard(mutex_);
  auto found = std::find_if(slabs_.begin(), slabs_.end(), [&](const auto& slab) {
    return slab->size_class == size_class && slab->has_room();
  });
  if (found == slabs_.end()) {
    slabs_.push_back(grow(size_class));
    found = slabs_.end() - 1;
  }
  Slab& slab = **found;
  ++slab.in_use;
  if (!slab.free.empty()) {
    std::byte* data = slab.free.back();
    slab.free.pop_back();
    return {data, &slab};
  }
  std::byte* data = static_cast<std::byte*>(slab.reservation.address) + slab.carved;
  slab.carved += slab.piece_bytes;
  return {data, &slab};
}

void SlabHeap::give_back(Piece piece) {
  const std::lock_guard guard(mutex_);
  piece.slab->free.push_back(piece.data);
  if (--piece.slab->in_use != 0) return;
  const auto found = std::find_if(slabs_.begin(), slabs_.end(), [&](const auto& slab) {
    return slab.get() == piece.slab;
  });
  backend_.unmap(piece.slab->reservation, 0, piece.slab->reservation.bytes);
  backend_.release(piece.slab->reservation);
  slabs_.erase(found);
}

}  // namespace penstock::memory
