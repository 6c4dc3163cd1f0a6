// The device contract: memory, addresses, properties, and a machine without a driver.
#include "backend_fixture.hpp"

#include <penstock/error.hpp>
#include <unistd.h>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;

TEST_CASE("contract: pages are mapped, filled, copied and unmapped inside a reservation") {
  on_each_backend([](Backend& backend) {
    TestStream stream(backend);
    const std::size_t page = backend.properties(0).page_bytes;
    REQUIRE(page > 0);
    for (const MemoryKind kind : {own_kind(backend), MemoryKind::pinned}) {
      const Reservation range = backend.reserve(0, kind, 8 * page - 1);
      CHECK(range.bytes == 8 * page);
      auto* bytes = static_cast<char*>(range.address);
      backend.map(range, 2 * page, 4 * page);
      backend.fill(bytes + 2 * page, 0x5A, 4 * page, stream.handle);
      std::vector<std::uint8_t> values(4 * page);
      backend.copy(values.data(), bytes + 2 * page, values.size(), stream.handle);
      stream.finish();
      CHECK(std::all_of(values.begin(), values.end(), [](auto value) { return value == 0x5A; }));
      backend.unmap(range, 3 * page, 2 * page);  // the pages beside them stay
      values.assign(page, 0);
      backend.copy(values.data(), bytes + 5 * page, page, stream.handle);
      backend.map(range, 3 * page, page);
      backend.fill(bytes + 3 * page, 1, page, stream.handle);
      stream.finish();
      CHECK(std::all_of(values.begin(), values.end(), [](auto value) { return value == 0x5A; }));
      backend.release(range);
    }
  });
}

TEST_CASE("contract: a range outside of the reservation, or not of whole pages, is refused") {
  on_each_backend([](Backend& backend) {
    const std::size_t page = backend.properties(0).page_bytes;
    for (const MemoryKind kind : {own_kind(backend), MemoryKind::pinned}) {
      const Reservation range = backend.reserve(0, kind, 4 * page);
      CHECK_THROWS_AS(backend.map(range, 0, 5 * page), Error);
      CHECK_THROWS_AS(backend.map(range, 4 * page, page), Error);
      CHECK_THROWS_AS(backend.map(range, 2 * page, SIZE_MAX - page + 1), Error);
      CHECK_THROWS_AS(backend.map(range, 1, page), Error);
      CHECK_THROWS_AS(backend.map(range, 0, page + 1), Error);
      CHECK_THROWS_AS(backend.map(range, 0, 0), Error);
      CHECK_THROWS_AS(backend.unmap(range, 4 * page, page), Error);
      backend.release(range);
    }
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
    CHECK_THROWS_AS(static_cast<void>(backend.reserve(0, MemoryKind::unknown, 1)), DeviceError);
  });
}

TEST_CASE("contract: CUDA refuses host tasks, empty streams and memory that it can't have") {
  if (cuda().device_count() == 0) return;
  const TestStream stream(cuda());
  CHECK_THROWS_AS(cuda().launch(stream.handle, std::make_unique<NoTask>(nullptr)), DeviceError);
  CHECK_THROWS_AS(static_cast<void>(cuda().stream_id(StreamHandle::none)), StreamError);
  // More pages than there are: none of them stays behind.
  const MemoryInfo before = cuda().memory_info(0);
  const Reservation range = cuda().reserve(0, MemoryKind::device, 2 * before.total_bytes);
  CHECK_THROWS_AS(cuda().map(range, 0, range.bytes), OutOfMemory);
  CHECK(cuda().memory_info(0).free_bytes > before.free_bytes - (std::int64_t{64} << 20));
  cuda().release(range);
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
