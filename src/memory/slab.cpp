#include "memory/slab.hpp"

#include <algorithm>

namespace penstock::memory {
namespace {

// A slab has as many pieces as fit into this much, at least one: rounding it to pages adds an
// eighth at most.
constexpr std::size_t kSlabBytes = 2 << 20;
constexpr std::size_t kSlabPages = 16;

}  // namespace

SlabHeap::SlabHeap(backend::Backend& backend, int device, backend::MemoryKind kind)
    : backend_(backend), device_(device), kind_(kind) {}

std::unique_ptr<Slab> SlabHeap::grow(std::uint32_t size_class) {
  auto slab = std::make_unique<Slab>();
  slab->size_class = size_class;
  slab->piece_bytes = class_bytes(size_class);
  const std::size_t page = backend_.properties(device_).page_bytes;
  const std::size_t shared = std::max(kSlabBytes, kSlabPages * page);
  const std::size_t pieces = std::max<std::size_t>(shared / slab->piece_bytes, 1);
  const std::size_t wanted = pieces * slab->piece_bytes;
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
  auto& slabs = slabs_[size_class];
  auto found =
      std::find_if(slabs.rbegin(), slabs.rend(), [](const auto& slab) { return slab->has_room(); });
  if (found == slabs.rend()) {
    slabs.push_back(grow(size_class));
    found = slabs.rbegin();
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
  auto& slabs = slabs_[piece.slab->size_class];
  const auto found = std::find_if(slabs.begin(), slabs.end(),
                                  [&](const auto& slab) { return slab.get() == piece.slab; });
  backend_.unmap(piece.slab->reservation, 0, piece.slab->reservation.bytes);
  backend_.release(piece.slab->reservation);
  slabs.erase(found);
}

}  // namespace penstock::memory
