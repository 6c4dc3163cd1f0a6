// What the tests of memory and tensors share: a cache of one's own for a while, streams that are
// held up, and work that uses a block as a device does: without a reference to it.
#pragma once

#include "host_fixture.hpp"
#include "memory/cache.hpp"
#include "order/stream.hpp"

#include <penstock/memory.hpp>
#include <penstock/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

namespace penstock::memory::test {

using backend::test::eventually;
using backend::test::scaled;
using backend::test::SlowWork;

inline const Device kCpu = Device::cpu();

// An empty cache with room for everything; the limit that was there comes back.
class FreshCache {
 public:
  explicit FreshCache(std::int64_t limit = std::numeric_limits<std::int64_t>::max() / 2) {
    clear(kCpu);
    set_limit(limit, kCpu);
    reset_peak(kCpu);
    before_ = stats(kCpu);
  }
  ~FreshCache() {
    clear(kCpu);
    set_limit(old_limit_, kCpu);
  }
  FreshCache(const FreshCache&) = delete;
  FreshCache& operator=(const FreshCache&) = delete;

  // Counters since then.
  [[nodiscard]] Stats seen() const {
    Stats now = stats(kCpu);
    now.hits -= before_.hits;
    now.misses -= before_.misses;
    now.waits -= before_.waits;
    now.steals -= before_.steals;
    now.evictions -= before_.evictions;
    return now;
  }

 private:
  std::int64_t old_limit_ = limit(kCpu);
  Stats before_;
};

// From construction to release() nothing that is queued later on the stream runs. Needs no worker.
class Held {
 public:
  explicit Held(const Stream& stream) : work_(backend::host(), stream.impl().handle()) {
    static_cast<void>(stream.impl().use());
  }
  void release() { work_.release(); }

 private:
  SlowWork work_;
};

inline Stream new_stream() { return Stream(Device::cpu()); }

inline Ref<Block> allocate(std::size_t bytes, const Stream& stream) {
  return Cache::of(kCpu).allocate(bytes, &stream.impl());
}
inline Ref<Block> allocate(std::size_t bytes) { return Cache::of(kCpu).allocate(bytes, nullptr); }

// Work on the block in stream order; the block is not kept for it.
template <class Body>
void work_on(Block& block, const Stream& stream, bool is_write, Body body) {
  block.wait_on(stream.impl(), is_write);
  backend::test::launch(stream.impl().handle(), std::move(body));
  block.used(stream.impl(), is_write);
}

inline void write_on(Block& block, const Stream& stream, unsigned char value) {
  work_on(block, stream, true, [data = block.data(), bytes = block.bytes(), value] {
    std::fill_n(data, bytes, std::byte{value});
  });
}

// Counts the bytes that are not what the reader expects.
inline void read_on(Block& block, const Stream& stream, unsigned char expected,
                    std::atomic<std::int64_t>& wrong) {
  work_on(block, stream, false, [data = block.data(), bytes = block.bytes(), expected, &wrong] {
    wrong.fetch_add(static_cast<std::int64_t>(bytes) -
                    std::count(data, data + bytes, std::byte{expected}));
  });
}

inline std::uint64_t queued_on(const Stream& stream) {
  return reinterpret_cast<backend::host_detail::Strand*>(stream.impl().handle())->submitted();
}

// A block at an address: for "the same memory again" after it was let go.
inline std::uintptr_t address(const Ref<Block>& block) {
  return reinterpret_cast<std::uintptr_t>(block->data());
}

}  // namespace penstock::memory::test
