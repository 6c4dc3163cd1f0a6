// The pieces of memory that are mapped in one reservation, and what map(), unmap() and
// export_memory() refuse: the same on every backend, so that what runs on the host runs on a GPU.
// Not thread-safe: a backend keeps it under its lock, as long as the reservation.
#pragma once

#include <cstddef>
#include <map>
#include <string_view>

namespace penstock::backend {

struct Piece {
  std::size_t bytes = 0;
  /// The shared memory of the host's pinned pieces.
  int file_descriptor = -1;
};

class Pieces {
 public:
  Pieces(std::size_t reserved_bytes, std::size_t page_bytes);

  /// Error unless it is whole pages of the reservation, without a piece so far.
  Piece& add(std::size_t offset, std::size_t bytes);
  /// Error unless this is a piece, whole; `call` is who asks.
  const Piece& require(std::string_view call, std::size_t offset, std::size_t bytes) const;
  void remove(std::size_t offset) { pieces_.erase(offset); }

  // By offset.
  [[nodiscard]] auto begin() const { return pieces_.begin(); }
  [[nodiscard]] auto end() const { return pieces_.end(); }

 private:
  std::size_t reserved_bytes_;
  std::size_t page_bytes_;
  std::map<std::size_t, Piece> pieces_;
};

}  // namespace penstock::backend
