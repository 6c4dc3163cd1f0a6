// The cache: what fits into a block, and when a block may be used again, and by whom.
#include "memory_fixture.hpp"

#include "base/random.hpp"
#include "memory/size_class.hpp"
#include "memory/slab.hpp"

#include <deque>
#include <set>

using namespace penstock;
using namespace penstock::memory;
using namespace penstock::memory::test;

namespace {

constexpr std::size_t kBytes = 10'000;
const auto kClassBytes = static_cast<std::int64_t>(class_bytes(size_class(kBytes)));

}  // namespace

TEST_CASE("size classes: every size fits, the class below does not, and at most 25 % is waste") {
  const auto check = [](std::size_t bytes) {
    const std::uint32_t chosen = size_class(bytes);
    const std::size_t room = class_bytes(chosen);
    const bool fits = room >= bytes;
    const bool is_smallest = chosen == 0 || class_bytes(chosen - 1) < bytes;
    const bool is_small = bytes <= 4 * kAlignment;
    const bool is_tight = is_small ? room <= bytes + kAlignment : (room - bytes) * 4 <= bytes;
    const bool is_aligned = room % kAlignment == 0;
    if (!fits || !is_smallest || !is_tight || !is_aligned) {
      FAIL_CHECK("size " << bytes << " in " << room);
    }
  };
  for (std::size_t bytes = 0; bytes <= 70'000; ++bytes) check(bytes);
  for (int power = 8; power < 48; ++power) {
    for (int eighth = 0; eighth < 8; ++eighth) {
      const std::size_t near = (std::size_t{8} + static_cast<std::size_t>(eighth)) << (power - 3);
      if (near + 1 > kLargest) continue;
      check(near - 1);
      check(near);
      check(near + 1);
    }
  }
  check(kLargest);
  CHECK(size_class(kLargest) == kClasses - 1);
  Random random(1);
  for (int i = 0; i < scaled(100'000); ++i) check(random.next() >> (random.below(47) + 17));
}

TEST_CASE("slabs: pieces lie apart, aligned, and rounding to pages of any size adds an eighth") {
  // Counts what is mapped, in pages as large as a GPU's.
  struct PagedBackend : backend::Backend {
    explicit PagedBackend(std::size_t page_bytes) : page(page_bytes) {}
    std::size_t page;
    std::size_t mapped = 0;
    backend::Backend& host = backend::host();

    int device_count() override { return 1; }
    backend::DeviceProperties properties(int) override { return {"paged", 0, 0, page}; }
    backend::MemoryInfo memory_info(int) override { return host.memory_info(0); }
    backend::AddressInfo address_info(const void* address) override {
      return host.address_info(address);
    }
    void make_current(int) override {}
    bool is_in_use(int) override { return true; }
    void enable_peer_access(int, int) override {}
    std::exception_ptr lost(int) override { return nullptr; }
    backend::Reservation reserve(int, backend::MemoryKind kind, std::size_t bytes) override {
      REQUIRE(bytes % page == 0);
      return host.reserve(0, kind, bytes);
    }
    void release(const backend::Reservation& range) override { host.release(range); }
    void map(const backend::Reservation& range, std::size_t offset, std::size_t bytes) override {
      mapped += bytes;
      host.map(range, offset, bytes);
    }
    void unmap(const backend::Reservation& range, std::size_t offset, std::size_t bytes) override {
      mapped -= bytes;
      host.unmap(range, offset, bytes);
    }
    backend::MemoryExport export_memory(const backend::Reservation&, std::size_t,
                                        std::size_t) override {
      return {};
    }
    backend::Reservation open_memory(int, const backend::MemoryExport&) override { return {}; }
    backend::StreamHandle create_stream(int, int) override { return {}; }
    void destroy_stream(backend::StreamHandle) override {}
    std::uint64_t stream_id(backend::StreamHandle) override { return 0; }
    bool runs_here(backend::StreamHandle) override { return false; }
    backend::StreamHandle legacy_stream(int) override { return {}; }
    backend::StreamHandle per_thread_stream(int) override { return {}; }
    bool sync_stream(backend::StreamHandle, std::int64_t) override { return true; }
    std::exception_ptr take_error(backend::StreamHandle) override { return nullptr; }
    backend::EventHandle create_event(int) override { return {}; }
    void destroy_event(backend::EventHandle) override {}
    void record(backend::EventHandle, backend::StreamHandle) override {}
    void record_context(backend::EventHandle, int) override {}
    void wait(backend::StreamHandle, backend::EventHandle) override {}
    bool query(backend::EventHandle) override { return true; }
    std::exception_ptr error(backend::EventHandle) override { return nullptr; }
    bool sync(backend::EventHandle, std::int64_t) override { return true; }
    bool notify(backend::EventHandle, backend::Completion&) override { return false; }
    void copy(void*, const void*, std::size_t, backend::StreamHandle) override {}
    void copy_rows(void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t,
                   backend::StreamHandle) override {}
    void fill(void*, std::uint8_t, std::size_t, backend::StreamHandle) override {}
    void launch(backend::StreamHandle, std::unique_ptr<backend::HostTask>) override {}
    backend::CaptureMode exchange_capture_mode(backend::CaptureMode mode) override { return mode; }
    bool is_capturing(backend::StreamHandle) override { return false; }
  };

  for (const std::size_t page : {std::size_t{4096}, std::size_t{2} << 20}) {
    PagedBackend paged(page);
    SlabHeap heap(paged, 0, backend::MemoryKind::host);
    for (std::uint32_t chosen = 0; class_bytes(chosen) <= (std::size_t{40} << 20); ++chosen) {
      const std::size_t bytes = class_bytes(chosen);
      const std::size_t shared = std::max<std::size_t>(2 << 20, 16 * page);
      const std::size_t count =
          std::min<std::size_t>(2 * std::max<std::size_t>(shared / bytes, 1), 300);
      std::vector<Piece> pieces;
      std::set<std::byte*> begins;
      for (std::size_t i = 0; i < count; ++i) {
        pieces.push_back(heap.carve(chosen));
        begins.insert(pieces.back().data);
        CHECK(reinterpret_cast<std::uintptr_t>(pieces.back().data) %
                  std::min<std::size_t>(bytes & -bytes, 4096) ==
              0);
      }
      std::byte* last = nullptr;
      for (std::byte* begin : begins) {
        if (last != nullptr && begin < last + bytes)
          FAIL_CHECK("pieces of " << bytes << " overlap");
        last = begin;
      }
      CHECK(begins.size() == count);
      if (count == 2 * std::max<std::size_t>(shared / bytes, 1)) {
        CHECK_MESSAGE(paged.mapped <= bytes * count * 9 / 8, bytes << " in pages of " << page);
      }
      for (const Piece& piece : pieces) {
        *piece.data = std::byte{1};
        heap.give_back(piece);
      }
      CHECK(paged.mapped == 0);
    }
  }
}

TEST_CASE("reuse: the same stream takes a block again at once, with no wait") {
  const FreshCache cache;
  const Stream stream = new_stream();
  Held held(stream);
  auto block = allocate(kBytes, stream);
  write_on(*block, stream, 1);
  const auto first = address(block);
  block = {};
  const std::uint64_t queued = queued_on(stream);
  for (int i = 0; i < 20; ++i) {
    block = allocate(kBytes - static_cast<std::size_t>(i), stream);
    CHECK(address(block) == first);
    CHECK(queued_on(stream) == queued + static_cast<std::uint64_t>(i));  // writes only, no waits
    write_on(*block, stream, 2);
    block = {};
  }
  const Stats seen = cache.seen();
  CHECK(seen.hits == 20);
  CHECK(seen.misses == 1);
  CHECK(seen.waits == 0);
  CHECK(seen.steals == 0);
  CHECK(seen.blocks == 1);
  held.release();
  stream.sync();
}

TEST_CASE("reuse: another stream takes it only when the work is complete") {
  const FreshCache cache;
  const Stream a = new_stream(), b = new_stream();
  Held held(a);
  auto block = allocate(kBytes, a);
  write_on(*block, a, 1);
  const auto first = address(block);
  block = {};
  const auto other = allocate(kBytes, b);
  const auto on_host = allocate(kBytes);
  CHECK(address(other) != first);
  CHECK(address(on_host) != first);
  CHECK(cache.seen().steals == 0);
  held.release();
  a.sync();
  const auto again = allocate(kBytes, b);
  CHECK(address(again) == first);
  CHECK(cache.seen().steals == 1);
  CHECK(cache.seen().waits == 0);
}

TEST_CASE("reuse: a block becomes complete by itself, also where nobody marked the work") {
  const FreshCache cache;
  const Stream a = new_stream(), b = new_stream();
  auto block = allocate(kBytes, a);
  write_on(*block, a, 1);
  const auto first = address(block);
  block = {};
  std::vector<Ref<Block>> taken;
  CHECK(eventually([&] {
    taken.push_back(allocate(kBytes, b));
    return address(taken.back()) == first;
  }));
}

TEST_CASE("reuse: a stream whose clock covers the uses takes it at once, in stream order") {
  const FreshCache cache;
  const Stream a = new_stream(), b = new_stream(), c = new_stream();
  Held held(a);
  std::atomic<std::int64_t> wrong{0};
  auto block = allocate(kBytes, a);
  write_on(*block, a, 1);
  read_on(*block, a, 1, wrong);
  const auto first = address(block);
  block = {};
  b.wait(a);
  c.wait(b);  // c is behind a through b
  block = allocate(kBytes, c);
  CHECK(address(block) == first);
  write_on(*block, c, 2);
  read_on(*block, c, 2, wrong);
  CHECK_FALSE(c.query());
  held.release();
  c.sync();
  a.sync();
  CHECK(wrong == 0);
}

TEST_CASE("reuse: never while a reader on a third stream is pending") {
  const FreshCache cache;
  const Stream writer = new_stream(), reader = new_stream(), other = new_stream();
  std::atomic<std::int64_t> wrong{0};
  auto block = allocate(kBytes, writer);
  write_on(*block, writer, 1);
  writer.sync();
  Held held(reader);
  read_on(*block, reader, 1, wrong);
  const auto first = address(block);
  block = {};
  std::vector<Ref<Block>> taken;
  for (const Stream* stream : {&writer, &other, &writer}) {
    taken.push_back(allocate(kBytes, *stream));
    CHECK(address(taken.back()) != first);
    write_on(*taken.back(), *stream, 2);
  }
  taken.push_back(allocate(kBytes));
  CHECK(address(taken.back()) != first);
  SUBCASE("the reader's own stream takes it") {
    block = allocate(kBytes, reader);
    CHECK(address(block) == first);
    write_on(*block, reader, 3);
  }
  SUBCASE("one that waited for the reader takes it") {
    writer.wait(reader);
    block = allocate(kBytes, writer);
    CHECK(address(block) == first);
    write_on(*block, writer, 3);
  }
  SUBCASE("everybody takes it when the reader is done") {
    held.release();
    reader.sync();
    block = allocate(kBytes, other);
    CHECK(address(block) == first);
    write_on(*block, other, 3);
  }
  held.release();
  for (const Stream* stream : {&reader, &writer, &other}) stream->sync();
  CHECK(wrong == 0);
}

TEST_CASE("reuse: what the last owner did still counts after a hand-over through the clock") {
  const FreshCache cache;
  const Stream a = new_stream(), b = new_stream(), c = new_stream();
  Held held(a);
  auto block = allocate(kBytes, a);
  std::atomic<std::int64_t> wrong{0};
  write_on(*block, a, 1);
  read_on(*block, a, 1, wrong);
  const auto first = address(block);
  block = {};
  b.wait(a);
  block = allocate(kBytes, b);
  REQUIRE(address(block) == first);
  write_on(*block, c, 2);  // on a stream that never heard of a
  held.release();
  c.sync();
  a.sync();
  CHECK(wrong == 0);
}

TEST_CASE("reuse: blocks that wait behind newer ones are found: a run ahead stays bounded") {
  const FreshCache cache;
  const Stream producer = new_stream(), consumer = new_stream();
  constexpr std::size_t kAhead = 30;
  std::deque<std::pair<std::unique_ptr<Held>, Event>> in_flight;
  std::atomic<std::int64_t> wrong{0};
  for (int step = 0; step < 150; ++step) {
    auto block = allocate(kBytes, producer);
    write_on(*block, producer, static_cast<unsigned char>(step));
    block->wait_on(consumer.impl(), false);
    auto held = std::make_unique<Held>(consumer);
    read_on(*block, consumer, static_cast<unsigned char>(step), wrong);
    in_flight.emplace_back(std::move(held), consumer.record());
    block = {};
    if (in_flight.size() <= kAhead) continue;
    in_flight.front().first->release();
    in_flight.front().second.sync();
    in_flight.pop_front();
  }
  CHECK(stats(kCpu).blocks <= static_cast<std::int64_t>(kAhead) + 8);
  for (auto& [held, read] : in_flight) held->release();
  consumer.sync();
  CHECK(wrong == 0);
}

TEST_CASE("statistics: live, idle, peak, blocks and the snapshot agree") {
  const FreshCache cache;
  CHECK(stats(kCpu).bytes_live + stats(kCpu).bytes_idle == 0);
  auto a = allocate(kBytes), b = allocate(kBytes), c = allocate(300'000);
  const auto large = static_cast<std::int64_t>(c->bytes());
  const auto first = address(a);
  a = {};
  Stats seen = cache.seen();
  CHECK(seen.bytes_live == kClassBytes + large);
  CHECK(seen.bytes_idle == kClassBytes);
  CHECK(seen.bytes_peak == 2 * kClassBytes + large);
  CHECK(seen.blocks == 3);
  CHECK(seen.misses == 3);
  CHECK(seen.hits == 0);
  std::int64_t live = 0, idle = 0;
  for (const BlockInfo& info : snapshot(kCpu)) {
    (info.is_live ? live : idle) += info.bytes;
    CHECK(info.is_live == (info.address != first));
  }
  CHECK(live == seen.bytes_live);
  CHECK(idle == seen.bytes_idle);
  trim(0, kCpu);
  reset_peak(kCpu);
  seen = cache.seen();
  CHECK(seen.bytes_peak == kClassBytes + large);
  CHECK(seen.bytes_idle == 0);
  b = {};
  b = allocate(kBytes);
  CHECK(cache.seen().hits == 1);
  CHECK(cache.seen().bytes_peak == kClassBytes + large);
}

TEST_CASE("statistics: a device that is not there is an error, not another device's cache") {
  CHECK_THROWS_AS(static_cast<void>(limit(Device::cuda(-1))), DeviceError);
  CHECK_THROWS_AS(static_cast<void>(limit(Device::cuda(1000))), DeviceError);
  CHECK(limit(kCpu) > 0);
  CHECK(limit(kCpu) <= backend::host().memory_info(0).total_bytes / 4);
}
