#include "backend/pieces.hpp"

#include "base/throw.hpp"

#include <iterator>

namespace penstock::backend {

Pieces::Pieces(std::size_t reserved_bytes, std::size_t page_bytes)
    : reserved_bytes_(reserved_bytes), page_bytes_(page_bytes) {}

Piece& Pieces::add(std::size_t offset, std::size_t bytes) {
  if (bytes == 0 || offset % page_bytes_ != 0 || bytes % page_bytes_ != 0 ||
      offset > reserved_bytes_ || bytes > reserved_bytes_ - offset) {
    throw_error<Error>(
        "map: range {}+{} does not fit a reservation of {} bytes in pages of {} bytes", offset,
        bytes, reserved_bytes_, page_bytes_);
  }
  const auto after = pieces_.lower_bound(offset + bytes);
  if (after != pieces_.begin()) {
    const auto& [there, piece] = *std::prev(after);
    if (there + piece.bytes > offset) {
      throw_error<Error>("map: range {}+{} meets the piece {}+{}, which is mapped; unmap it first",
                         offset, bytes, there, piece.bytes);
    }
  }
  return pieces_.emplace(offset, Piece{bytes}).first->second;
}

const Piece& Pieces::require(std::string_view call, std::size_t offset, std::size_t bytes) const {
  const auto after = pieces_.upper_bound(offset);
  const auto found = after == pieces_.begin() ? pieces_.end() : std::prev(after);
  if (found == pieces_.end() || found->first + found->second.bytes <= offset) {
    throw_error<Error>("{}: range {}+{}: no piece is mapped at that offset", call, offset, bytes);
  }
  const auto& [there, piece] = *found;
  if (there == offset && piece.bytes == bytes) return piece;
  throw_error<Error>("{}: range {}+{} is not the piece that map() made, {}+{}; a piece stays whole",
                     call, offset, bytes, there, piece.bytes);
}

}  // namespace penstock::backend
