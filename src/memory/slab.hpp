// Where blocks come from: mapped memory, small sizes carved from slabs of one size class each,
// large ones mapped for themselves. Thread-safe.
#pragma once

#include "backend/backend.hpp"
#include "memory/size_class.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace penstock::memory {

struct Slab {
  backend::Reservation reservation;
  std::uint32_t size_class = 0;
  std::size_t piece_bytes = 0;
  std::size_t carved = 0;  // bytes handed out at least once
  std::size_t in_use = 0;  // pieces
  std::vector<std::byte*> free;

  [[nodiscard]] bool has_room() const {
    return !free.empty() || carved + piece_bytes <= reservation.bytes;
  }
};

struct Piece {
  std::byte* data = nullptr;
  Slab* slab = nullptr;
};

class SlabHeap {
 public:
  SlabHeap(backend::Backend& backend, int device, backend::MemoryKind kind);

  /// A piece of that class. OutOfMemory if the device has none.
  [[nodiscard]] Piece carve(std::uint32_t size_class);
  /// Gives a piece back; a slab without pieces in use is unmapped.
  void give_back(Piece piece);

 private:
  [[nodiscard]] std::unique_ptr<Slab> grow(std::uint32_t size_class);

  backend::Backend& backend_;
  int device_;
  backend::MemoryKind kind_;
  std::mutex mutex_;
  std::array<std::vector<std::unique_ptr<Slab>>, kClasses> slabs_;
};

}  // namespace penstock::memory
