#include "backend/host/memory.hpp"

#include "backend/pieces.hpp"
#include "base/throw.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace penstock::backend::host_detail {
namespace {

constexpr int kNothing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

struct Range {
  Reservation reservation;
  Pieces pieces;
};

struct Ranges {
  std::mutex mutex;
  std::unordered_map<void*, Range> all;
};

Ranges& ranges() {
  static auto* ranges = new Ranges;
  return *ranges;
}

auto find(const char* call, const Reservation& reservation) {
  const auto found = ranges().all.find(reservation.address);
  if (found != ranges().all.end()) return found;
  throw_error<Error>("{}: {} is no reservation of the host, or was released", call,
                     reservation.address);
}

std::string reason() { return std::generic_category().message(errno); }

char* at(const Reservation& reservation, std::size_t offset) {
  return static_cast<char*>(reservation.address) + offset;
}

void close_file(const Piece& piece) {
  if (piece.file_descriptor >= 0) close(piece.file_descriptor);
}

// Each pinned piece is a file of its own: that is what another process can open.
bool map_file(Piece& piece, char* address) {
  piece.file_descriptor = memfd_create("penstock", MFD_CLOEXEC);
  return piece.file_descriptor >= 0 &&
         ftruncate(piece.file_descriptor, static_cast<off_t>(piece.bytes)) == 0 &&
         mmap(address, piece.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
              piece.file_descriptor, 0) != MAP_FAILED;
}

// By stdio: streams of C++ break where a program holds two copies of their library, as a Python
// with PyTorch may.
using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
File open_file(const char* path) { return {std::fopen(path, "re"), &std::fclose}; }

std::int64_t read_number(const char* path) {
  const File file = open_file(path);
  std::int64_t value = 0;
  const bool is_number = file && std::fscanf(file.get(), "%" SCNd64, &value) == 1;
  return is_number ? value : std::numeric_limits<std::int64_t>::max();
}

// What can be had without swapping: the page cache counts, as the kernel can drop it.
std::int64_t available_bytes() {
  const File file = open_file("/proc/meminfo");
  std::array<char, 128> line{};
  while (file && std::fgets(line.data(), static_cast<int>(line.size()), file.get()) != nullptr) {
    std::int64_t kilobytes = 0;
    if (std::sscanf(line.data(), "MemAvailable: %" SCNd64, &kilobytes) == 1) {
      return kilobytes * 1024;
    }
  }
  return sysconf(_SC_AVPHYS_PAGES) * static_cast<std::int64_t>(page_bytes());
}

}  // namespace

std::size_t page_bytes() {
  static const auto kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return kPage;
}

Reservation reserve(MemoryKind kind, std::size_t bytes) {
  if (kind != MemoryKind::host && kind != MemoryKind::pinned) {
    throw_error<DeviceError>("reserve: the host has host and pinned memory only");
  }
  const std::size_t page = page_bytes();
  const std::size_t rounded = (bytes + page - 1) / page * page;
  void* address = mmap(nullptr, rounded, PROT_NONE, kNothing, -1, 0);
  if (address == MAP_FAILED) {
    throw_error<OutOfMemory>("reserve: {} bytes of addresses: {}", rounded, reason());
  }
  const Reservation made{address, rounded, kind, 0};
  const std::lock_guard guard(ranges().mutex);
  ranges().all.emplace(address, Range{made, Pieces(rounded, page)});
  return made;
}

void release(const Reservation& reservation) {
  const auto node = [&] {
    const std::lock_guard guard(ranges().mutex);
    return ranges().all.extract(find("release", reservation));
  }();
  const Range& range = node.mapped();
  munmap(range.reservation.address, range.reservation.bytes);
  for (const auto& [offset, piece] : range.pieces) close_file(piece);
}

void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const std::lock_guard guard(ranges().mutex);
  Range& range = find("map", reservation)->second;
  Piece& piece = range.pieces.add(offset, bytes);
  char* address = at(range.reservation, offset);
  const bool is_mapped = range.reservation.kind == MemoryKind::pinned
                             ? map_file(piece, address)
                             : mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0;
  if (is_mapped) return;
  const std::string why = reason();
  close_file(piece);
  range.pieces.remove(offset);
  throw_error<OutOfMemory>("map: {} bytes of host memory: {}", bytes, why);
}

void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const std::lock_guard guard(ranges().mutex);
  Range& range = find("unmap", reservation)->second;
  const Piece& piece = range.pieces.require("unmap", offset, bytes);
  void* address = at(range.reservation, offset);
  if (mmap(address, bytes, PROT_NONE, kNothing | MAP_FIXED, -1, 0) == MAP_FAILED) {
    throw_error<Error>("unmap: {} bytes of host memory: {}", bytes, reason());
  }
  close_file(piece);
  range.pieces.remove(offset);
}

MemoryExport export_memory(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  const std::lock_guard guard(ranges().mutex);
  const Range& range = find("export_memory", reservation)->second;
  const Piece& piece = range.pieces.require("export_memory", offset, bytes);
  if (piece.file_descriptor < 0) {
    throw_error<Error>(
        "export_memory: this is private host memory; only pinned memory can be exported");
  }
  const int duplicate = fcntl(piece.file_descriptor, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) throw_error<Error>("export_memory: {}", reason());
  return {duplicate, bytes};
}

Reservation open_memory(const MemoryExport& exported) {
  const int descriptor = fcntl(exported.file_descriptor, F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) {
    throw_error<Error>("open_memory: file descriptor {}: {}", exported.file_descriptor, reason());
  }
  void* address = mmap(nullptr, exported.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) {
    close(descriptor);
    throw_error<Error>("open_memory: {} bytes: {}", exported.bytes, reason());
  }
  Range range{{address, exported.bytes, MemoryKind::pinned, 0},
              Pieces(exported.bytes, exported.bytes)};
  range.pieces.add(0, exported.bytes).file_descriptor = descriptor;
  const std::lock_guard guard(ranges().mutex);
  return ranges().all.emplace(address, std::move(range)).first->second.reservation;
}

MemoryInfo memory_info() {
  const auto page = static_cast<std::int64_t>(page_bytes());
  MemoryInfo info{available_bytes(), sysconf(_SC_PHYS_PAGES) * page};
  const std::int64_t limit = std::min(read_number("/sys/fs/cgroup/memory.max"),
                                      read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  if (limit < info.total_bytes) {
    const std::int64_t used = std::min(read_number("/sys/fs/cgroup/memory.current"),
                                       read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes"));
    info.total_bytes = limit;
    info.free_bytes = std::clamp<std::int64_t>(limit - used, 0, info.free_bytes);
  }
  return info;
}

}  // namespace penstock::backend::host_detail
