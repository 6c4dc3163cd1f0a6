#include "backend/host/memory.hpp"

#include "base/spin_lock.hpp"
#include "base/throw.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <system_error>
#include <unordered_map>

namespace penstock::backend::host_detail {
namespace {

// The shared memory behind each pinned reservation.
struct SharedFiles {
  SpinLock lock;
  std::unordered_map<void*, int> descriptors;
};

SharedFiles& shared_files() {
  static auto* files = new SharedFiles;
  return *files;
}

std::string reason() { return std::generic_category().message(errno); }

int shared_file(const void* address) {
  SharedFiles& files = shared_files();
  const std::lock_guard guard(files.lock);
  const auto found = files.descriptors.find(const_cast<void*>(address));
  return found == files.descriptors.end() ? -1 : found->second;
}

void check_range(const char* where, const Reservation& reservation, std::size_t offset,
                 std::size_t bytes) {
  const std::size_t page = page_bytes();
  if (offset % page != 0 || bytes % page != 0 || bytes == 0 || offset > reservation.bytes ||
      bytes > reservation.bytes - offset) {
    throw_error<Error>(
        "{}: range {}+{} does not fit a reservation of {} bytes in pages of {} bytes", where, offset,
        bytes, reservation.bytes, page);
  }
}

char* at(const Reservation& reservation, std::size_t offset) {
  return static_cast<char*>(reservation.address) + offset;
}

std::int64_t read_number(const char* path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? value : std::numeric_limits<std::int64_t>::max();
}

}  // namespace

std::size_t page_bytes() {
  static const auto kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return kPage;
}

Reservation reserve(MemoryKind kind, std::size_t bytes) {
  const std::size_t page = page_bytes();
  const std::size_t rounded = (bytes + page - 1) / page * page;
  void* address = MAP_FAILED;
  if (kind == MemoryKind::pinned) {
    const int descriptor = memfd_create("penstock", MFD_CLOEXEC);
    if (descriptor < 0 || ftruncate(descriptor, static_cast<off_t>(rounded)) != 0) {
      if (descriptor >= 0) close(descriptor);
      throw_error<OutOfMemory>("reserve: {} bytes of shared memory: {}", rounded, reason());
    }
    address = mmap(nullptr, rounded, PROT_NONE, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
      close(descriptor);
    } else {
      const std::lock_guard guard(shared_files().lock);
      shared_files().descriptors[address] = descriptor;
    }
  } else if (kind == MemoryKind::host) {
    address = mmap(nullptr, rounded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  } else {
    throw_error<DeviceError>("reserve: the host has host and pinned memory only");
  }
  if (address == MAP_FAILED) {
    throw_error<OutOfMemory>("reserve: {} bytes of addresses: {}", rounded, reason());
  }
  return {address, rounded, kind, 0};
}

void release(const Reservation& reservation) {
  munmap(reservation.address, reservation.bytes);
  if (const int descriptor = shared_file(reservation.address); descriptor >= 0) {
    {
      const std::lock_guard guard(shared_files().lock);
      shared_files().descriptors.erase(reservation.address);
    }
    close(descriptor);
  }
}

void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  check_range("map", reservation, offset, bytes);
  if (mprotect(at(reservation, offset), bytes, PROT_READ | PROT_WRITE) != 0) {
    throw_error<OutOfMemory>("map: {} bytes of host memory: {}", bytes, reason());
  }
}

void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  check_range("unmap", reservation, offset, bytes);
  char* address = at(reservation, offset);
  if (const int descriptor = shared_file(reservation.address); descriptor >= 0) {
    fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
              static_cast<off_t>(bytes));
  } else {
    madvise(address, bytes, MADV_DONTNEED);
  }
  if (mprotect(address, bytes, PROT_NONE) != 0) {
    throw_error<Error>("unmap: {} bytes of host memory: {}", bytes, reason());
  }
}

MemoryExport export_memory(const Reservation& reservation, std::size_t offset, std::size_t bytes) {
  check_range("export_memory", reservation, offset, bytes);
  const int descriptor = shared_file(reservation.address);
  if (descriptor < 0 || offset != 0 || bytes != reservation.bytes) {
    throw_error<Error>(
        "export_memory: only a whole reservation of pinned memory can be exported; this is {}",
        descriptor < 0 ? "private host memory" : "a part of one");
  }
  const int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) throw_error<Error>("export_memory: {}", reason());
  return {duplicate, bytes};
}

Reservation open_memory(const MemoryExport& exported) {
  const int descriptor = fcntl(exported.file_descriptor, F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) {
    throw_error<Error>("open_memory: file descriptor {}: {}", exported.file_descriptor, reason());
  }
  void* address =
      mmap(nullptr, exported.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) {
    close(descriptor);
    throw_error<Error>("open_memory: {} bytes: {}", exported.bytes, reason());
  }
  const std::lock_guard guard(shared_files().lock);
  shared_files().descriptors[address] = descriptor;
  return {address, exported.bytes, MemoryKind::pinned, 0};
}

MemoryInfo memory_info() {
  const auto page = static_cast<std::int64_t>(page_bytes());
  MemoryInfo info{sysconf(_SC_AVPHYS_PAGES) * page, sysconf(_SC_PHYS_PAGES) * page};
  const std::int64_t limit =
      std::min(read_number("/sys/fs/cgroup/memory.max"),
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
