// The device contract: memory, addresses, properties, and a machine without a driver.
#include "backend_fixture.hpp"

#include <penstock/error.hpp>
#include <unistd.h>

#include <utility>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;

namespace {

// Reserved addresses, in which a test maps its pieces; counted in pages.
struct TestRange : TestMemory {
  TestRange(Backend& from, MemoryKind kind, std::size_t pages)
      : TestMemory(from, from.reserve(0, kind, pages * from.properties(0).page_bytes)),
        page(from.properties(0).page_bytes) {}

  void map(std::size_t first, std::size_t pages) { backend.map(range, first * page, pages * page); }
  void unmap(std::size_t first, std::size_t pages) {
    backend.unmap(range, first * page, pages * page);
  }
  MemoryExport export_piece(std::size_t first, std::size_t pages) {
    return backend.export_memory(range, first * page, pages * page);
  }
  void fill(std::size_t first, std::size_t pages, std::uint8_t value, StreamHandle stream) {
    backend.fill(static_cast<char*>(range.address) + first * page, value, pages * page, stream);
  }
  bool holds(std::size_t first, std::size_t pages, std::uint8_t value, StreamHandle stream) {
    const auto values = read(stream, first * page, pages * page);
    return std::all_of(values.begin(), values.end(), [=](auto one) { return one == value; });
  }

  std::size_t page;
};

template <class Body>
void on_each_kind(Body&& body) {
  on_each_backend([&](Backend& backend) {
    for (const MemoryKind kind : {own_kind(backend), MemoryKind::pinned}) {
      INFO((kind == MemoryKind::pinned ? "pinned memory" : "the backend's own memory"));
      body(backend, kind);
    }
  });
}

}  // namespace

TEST_CASE("contract: pieces are mapped, filled, copied and unmapped inside a reservation") {
  on_each_kind([](Backend& backend, MemoryKind kind) {
    TestStream stream(backend);
    const std::size_t page = backend.properties(0).page_bytes;
    REQUIRE(page > 0);
    TestMemory odd(backend, kind, 8 * page - 1);
    CHECK(odd.range.bytes == 8 * page);

    TestRange memory(backend, kind, 8);
    memory.map(2, 2);
    memory.map(4, 1);
    memory.map(7, 1);  // left to release()
    memory.fill(2, 2, 0x5A, stream.handle);
    memory.fill(4, 1, 0x66, stream.handle);
    CHECK(memory.holds(2, 2, 0x5A, stream.handle));
    memory.unmap(2, 2);
    CHECK(memory.holds(4, 1, 0x66, stream.handle));  // the piece beside it stays
    memory.map(3, 1);
    memory.map(0, 3);
    memory.fill(3, 1, 1, stream.handle);
    memory.fill(0, 3, 2, stream.handle);
    CHECK(memory.holds(3, 1, 1, stream.handle));
    CHECK(memory.holds(0, 3, 2, stream.handle));
    CHECK(memory.holds(4, 1, 0x66, stream.handle));
  });
}

TEST_CASE("contract: a range outside of the reservation, or not of whole pages, is refused") {
  on_each_kind([](Backend& backend, MemoryKind kind) {
    const TestRange memory(backend, kind, 4);
    const Reservation& range = memory.range;
    const std::size_t page = memory.page;
    CHECK_THROWS_AS(backend.map(range, 0, 5 * page), Error);
    CHECK_THROWS_AS(backend.map(range, 4 * page, page), Error);
    CHECK_THROWS_AS(backend.map(range, 2 * page, SIZE_MAX - page + 1), Error);
    CHECK_THROWS_AS(backend.map(range, 1, page), Error);
    CHECK_THROWS_AS(backend.map(range, 0, page + 1), Error);
    CHECK_THROWS_AS(backend.map(range, 0, 0), Error);
    CHECK_THROWS_AS(backend.unmap(range, 4 * page, page), Error);
  });
}

TEST_CASE(
    "contract: a piece stays whole: another range of it is not mapped, unmapped or exported") {
  on_each_kind([](Backend& backend, MemoryKind kind) {
    TestStream stream(backend);
    TestRange memory(backend, kind, 8);
    memory.map(2, 2);
    memory.map(4, 2);
    memory.fill(2, 2, 1, stream.handle);
    memory.fill(4, 2, 2, stream.handle);
    for (const auto& [first, pages] : {std::pair{2, 2}, {2, 1}, {3, 1}, {3, 2}, {1, 2}, {0, 8}}) {
      INFO("pages " << first << "+" << pages);
      CHECK_THROWS_AS(memory.map(first, pages), Error);
    }
    // Half a piece, two of them, parts of two, with more on either side, and none.
    for (const auto& [first, pages] :
         {std::pair{2, 1}, {3, 1}, {2, 4}, {3, 2}, {1, 3}, {4, 3}, {0, 8}, {0, 1}, {6, 1}}) {
      INFO("pages " << first << "+" << pages);
      CHECK(thrown_by([&] { memory.unmap(first, pages); }).find("unmap") == 0);
      CHECK(thrown_by([&] {
              static_cast<void>(memory.export_piece(first, pages));
            }).find("export_memory") == 0);
    }
    CHECK(memory.holds(2, 2, 1, stream.handle));
    CHECK(memory.holds(4, 2, 2, stream.handle));
    CHECK(thrown_by([&] { memory.unmap(6, 1); }).find("no piece") != std::string::npos);
    memory.unmap(2, 2);
    CHECK_THROWS_AS(memory.unmap(2, 2), Error);
    CHECK_THROWS_AS(static_cast<void>(memory.export_piece(2, 2)), Error);
    memory.map(1, 3);
  });
}

TEST_CASE("contract: a reservation that was released is refused") {
  on_each_kind([](Backend& backend, MemoryKind kind) {
    const std::size_t page = backend.properties(0).page_bytes;
    const Reservation range = backend.reserve(0, kind, page);
    backend.release(range);
    CHECK_THROWS_AS(backend.map(range, 0, page), Error);
    CHECK_THROWS_AS(backend.unmap(range, 0, page), Error);
    CHECK_THROWS_AS(static_cast<void>(backend.export_memory(range, 0, page)), Error);
    CHECK_THROWS_AS(backend.release(range), Error);
  });
}

TEST_CASE(
    "contract: an exported piece is the same memory where it is opened, and outlives its owner") {
  on_each_backend([](Backend& backend) {
    TestStream stream(backend);
    const MemoryKind kind = is_host(backend) ? MemoryKind::pinned : MemoryKind::device;
    TestRange owner(backend, kind, 4);
    owner.map(0, 1);
    owner.map(1, 3);
    owner.fill(0, 1, 0x11, stream.handle);
    owner.fill(1, 3, 0x22, stream.handle);
    const MemoryExport exported = owner.export_piece(1, 3);
    TestMemory opened(backend, backend.open_memory(0, exported));
    close(exported.file_descriptor);
    REQUIRE(opened.range.bytes == 3 * owner.page);
    CHECK(opened.range.address != owner.range.address);

    CHECK(opened.all(stream.handle, 0x22));
    backend.fill(opened.range.address, 0x33, opened.range.bytes, stream.handle);
    CHECK(owner.holds(1, 3, 0x33, stream.handle));
    CHECK(owner.holds(0, 1, 0x11, stream.handle));
    CHECK_THROWS_AS(backend.unmap(opened.range, 0, owner.page), Error);
    owner.unmap(1, 3);
    CHECK(opened.all(stream.handle, 0x33));
    CHECK_THROWS_AS(static_cast<void>(backend.open_memory(0, {-1, owner.page})), Error);
  });
}

TEST_CASE("contract: an address is what it was taken as") {
  std::vector<int> plain(16);
  CHECK(host().address_info(plain.data()).kind == MemoryKind::host);
  CHECK(cuda().address_info(plain.data()).kind == MemoryKind::host);
  CHECK(cuda().address_info(plain.data()).device == Device::cpu());
  if (cuda().device_count() == 0) return;
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::pinned, MemoryKind::managed}) {
    TestMemory memory(cuda(), kind, 1);
    const AddressInfo info =
        cuda().address_info(static_cast<char*>(memory.range.address) + memory.range.bytes - 1);
    CHECK(info.kind == kind);
    CHECK(info.device == (kind == MemoryKind::pinned ? Device::cpu() : Device::cuda(0)));
    if (kind != MemoryKind::device) *static_cast<char*>(memory.range.address) = 1;
  }
}

TEST_CASE("contract: setting the capture mode gives the one before, thread by thread") {
  on_each_backend([](Backend& backend) {
    const CaptureMode before = backend.exchange_capture_mode(CaptureMode::relaxed);
    CHECK(before == CaptureMode::global);
    CaptureMode elsewhere = CaptureMode::relaxed;
    std::thread([&] {
      elsewhere = backend.exchange_capture_mode(CaptureMode::thread_local_);
    }).join();
    CHECK(elsewhere == CaptureMode::global);
    CHECK(backend.exchange_capture_mode(before) == CaptureMode::relaxed);
    const TestStream stream(backend);
    CHECK_FALSE(backend.is_capturing(stream.handle));
  });
}

TEST_CASE("contract: properties and memory are there, other devices are not") {
  on_each_backend([](Backend& backend) {
    const DeviceProperties properties = backend.properties(0);
    CHECK(!properties.name.empty());
    CHECK(properties.multiprocessors > 0);
    CHECK((properties.compute_capability > 0) == !is_host(backend));
    const MemoryInfo info = backend.memory_info(0);
    CHECK(info.free_bytes > 0);
    CHECK(info.total_bytes >= info.free_bytes);
    CHECK(!backend.lost(0));
    const int beyond = backend.device_count();
    CHECK_THROWS_AS(backend.make_current(beyond), DeviceError);
    CHECK_THROWS_AS(static_cast<void>(backend.create_stream(beyond, 0)), DeviceError);
    CHECK_THROWS_AS(static_cast<void>(backend.properties(-1)), DeviceError);
    const MemoryKind foreign = is_host(backend) ? MemoryKind::device : MemoryKind::host;
    CHECK_THROWS_AS(static_cast<void>(backend.reserve(0, foreign, 1)), DeviceError);
  });
}

TEST_CASE("contract: CUDA refuses host tasks, empty streams and memory that it can't have") {
  if (cuda().device_count() == 0) return;
  const TestStream stream(cuda());
  CHECK_THROWS_AS(cuda().launch(stream.handle, std::make_unique<NoTask>(nullptr)), DeviceError);
  CHECK_THROWS_AS(static_cast<void>(cuda().stream_id(StreamHandle::none)), StreamError);
  // More than there is: nothing of it stays behind.
  const MemoryInfo before = cuda().memory_info(0);
  const Reservation range = cuda().reserve(0, MemoryKind::device, 2 * before.total_bytes);
  CHECK_THROWS_AS(cuda().map(range, 0, range.bytes), OutOfMemory);
  CHECK(cuda().memory_info(0).free_bytes > before.free_bytes - (std::int64_t{64} << 20));
  cuda().release(range);
}

TEST_CASE("contract: what CUDA unmaps or releases is free again") {
  if (cuda().device_count() == 0) return;
  constexpr std::int64_t kBytes = std::int64_t{1} << 28;
  const auto free_bytes = [] { return cuda().memory_info(0).free_bytes; };
  const std::int64_t before = free_bytes();
  for (const bool is_unmapped : {true, false}) {
    const Reservation range = cuda().reserve(0, MemoryKind::device, kBytes);
    cuda().map(range, 0, kBytes);
    const int descriptor = cuda().export_memory(range, 0, kBytes).file_descriptor;
    close(descriptor);
    CHECK(free_bytes() <= before - kBytes / 2);
    if (is_unmapped) cuda().unmap(range, 0, kBytes);
    CHECK((free_bytes() >= before - kBytes / 2) == is_unmapped);
    cuda().release(range);
    CHECK(free_bytes() >= before - kBytes / 2);
  }
}

TEST_CASE("contract: without a driver there are no devices, and every call says why") {
  if (cuda().device_count() != 0) return;
  const auto stream = static_cast<StreamHandle>(1);
  const auto event = static_cast<EventHandle>(1);
  Completion completion;
  const std::vector<std::string> messages{
      thrown_by([&] { static_cast<void>(cuda().properties(0)); }),
      thrown_by([&] { static_cast<void>(cuda().memory_info(0)); }),
      thrown_by([&] { cuda().make_current(0); }),
      thrown_by([&] { cuda().enable_peer_access(0, 1); }),
      thrown_by([&] { static_cast<void>(cuda().lost(0)); }),
      thrown_by([&] { static_cast<void>(cuda().reserve(0, MemoryKind::device, 1)); }),
      thrown_by([&] { cuda().release({}); }),
      thrown_by([&] { cuda().map({}, 0, 1); }),
      thrown_by([&] { cuda().unmap({}, 0, 1); }),
      thrown_by([&] { static_cast<void>(cuda().export_memory({}, 0, 1)); }),
      thrown_by([&] { static_cast<void>(cuda().open_memory(0, {})); }),
      thrown_by([&] { static_cast<void>(cuda().create_stream(0, 0)); }),
      thrown_by([&] { cuda().destroy_stream(stream); }),
      thrown_by([&] { static_cast<void>(cuda().stream_id(stream)); }),
      thrown_by([&] { static_cast<void>(cuda().legacy_stream(0)); }),
      thrown_by([&] { static_cast<void>(cuda().per_thread_stream(0)); }),
      thrown_by([&] { static_cast<void>(cuda().sync_stream(stream, kNever)); }),
      thrown_by([&] { static_cast<void>(cuda().create_event(0)); }),
      thrown_by([&] { cuda().destroy_event(event); }),
      thrown_by([&] { cuda().record(event, stream); }),
      thrown_by([&] { cuda().record_context(event, 0); }),
      thrown_by([&] { cuda().wait(stream, event); }),
      thrown_by([&] { static_cast<void>(cuda().query(event)); }),
      thrown_by([&] { static_cast<void>(cuda().error(event)); }),
      thrown_by([&] { static_cast<void>(cuda().sync(event, kNever)); }),
      thrown_by([&] { static_cast<void>(cuda().notify(event, completion)); }),
      thrown_by([&] { cuda().copy(nullptr, nullptr, 1, stream); }),
      thrown_by([&] { cuda().fill(nullptr, 0, 1, stream); }),
      thrown_by([&] { cuda().launch(stream, std::make_unique<NoTask>(nullptr)); }),
      thrown_by([&] { static_cast<void>(cuda().is_capturing(stream)); }),
  };
  for (const std::string& message : messages) {
    INFO(message);
    const bool names_cause = message.find("no CUDA") != std::string::npos ||
                             message.find("NVIDIA driver") != std::string::npos;
    CHECK(names_cause);
    CHECK(message.find("use device \"cpu\"") != std::string::npos);
  }
}
