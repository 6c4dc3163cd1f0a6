// What the tests of the device contract share: owners of handles, a slow producer, and each case
// run on each backend that is here: the host's always, CUDA's where there is a GPU.
#pragma once

#include "backend/backend.hpp"
#include "backend/host/strand.hpp"
#include "backend/lane.hpp"
#include "base/time.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

// Only where the GPU is a simulated one (tests/sim_cuda): then a test can hold a stream up itself.
extern "C" [[gnu::weak]] void* sim_hold(void* stream);
extern "C" [[gnu::weak]] void sim_open(void* held);

namespace penstock::backend::test {

inline constexpr std::int64_t kSecond = 1'000'000'000;
// For what must come; a test that hangs is worse than one that fails.
inline std::int64_t in_a_minute() { return now_ns() + 60 * kSecond; }

template <class Body>
void on_each_backend(Body&& body) {
  SUBCASE("host") { body(host()); }
  if (cuda().device_count() > 0) {
    SUBCASE("cuda") {
      cuda().make_current(0);
      body(cuda());
    }
  }
}

inline bool is_host(Backend& backend) { return &backend == &host(); }
inline MemoryKind own_kind(Backend& backend) {
  return is_host(backend) ? MemoryKind::host : MemoryKind::device;
}

struct TestStream {
  explicit TestStream(Backend& from) : backend(from), handle(from.create_stream(0, 0)) {}
  ~TestStream() { backend.destroy_stream(handle); }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;
  void finish() { REQUIRE(backend.sync_stream(handle, in_a_minute())); }

  Backend& backend;
  StreamHandle handle;
};

struct TestEvent {
  explicit TestEvent(Backend& from) : backend(from), handle(from.create_event(0)) {}
  ~TestEvent() { backend.destroy_event(handle); }
  TestEvent(const TestEvent&) = delete;
  TestEvent& operator=(const TestEvent&) = delete;
  void finish() { REQUIRE(backend.sync(handle, in_a_minute())); }

  Backend& backend;
  EventHandle handle;
};

// A mapped range with its reservation.
struct TestMemory {
  TestMemory(Backend& from, MemoryKind kind, std::size_t bytes)
      : backend(from), range(from.reserve(0, kind, bytes)) {
    backend.map(range, 0, range.bytes);
  }
  TestMemory(Backend& from, const Reservation& opened) : backend(from), range(opened) {}
  ~TestMemory() {
    TestEvent everything(backend);  // a test that failed may have left work behind
    backend.record_context(everything.handle, 0);
    static_cast<void>(backend.sync(everything.handle, in_a_minute()));
    backend.release(range);
  }
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;

  // What the bytes at `offset` are once the stream has come there.
  std::vector<std::uint8_t> read(StreamHandle stream, std::size_t offset, std::size_t bytes) {
    std::vector<std::uint8_t> values(bytes);
    backend.copy(values.data(), static_cast<char*>(range.address) + offset, bytes, stream);
    REQUIRE(backend.sync_stream(stream, in_a_minute()));
    return values;
  }
  bool all(StreamHandle stream, std::uint8_t value) {
    const auto values = read(stream, 0, range.bytes);
    return std::all_of(values.begin(), values.end(), [=](auto one) { return one == value; });
  }

  Backend& backend;
  Reservation range;
};

struct NoTask final : HostTask {
  explicit NoTask(Lane* where) : where_(where) {}
  void run() override {}
  [[nodiscard]] Lane* lane() const override { return where_; }
  Lane* where_;
};

// Fills of a large buffer, twice as many as outlast a deadline time after time: a GPU that is
// faster, or a tool that slows the calls down, takes more of them.
class LongFills {
 public:
  explicit LongFills(Backend& backend)
      : backend_(backend), buffer_(backend, MemoryKind::device, kBytes) {
    while (!(outlast_deadline() && outlast_deadline() && outlast_deadline())) {
      REQUIRE(count_ < 1 << 14);
      count_ *= 2;
    }
    count_ *= 2;
  }
  void queue(StreamHandle stream) {
    for (int i = 0; i < count_; ++i) backend_.fill(buffer_.range.address, 1, kBytes, stream);
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{512} << 20;
  static constexpr std::int64_t kDeadlineNs = 20'000'000;

  bool outlast_deadline() {
    TestStream stream(backend_);
    TestEvent end(backend_);
    queue(stream.handle);
    backend_.record(end.handle, stream.handle);
    const bool over = backend_.sync(end.handle, now_ns() + kDeadlineNs);
    const bool pending = !over && !backend_.query(end.handle);
    stream.finish();
    return pending;
  }

  Backend& backend_;
  TestMemory buffer_;
  int count_ = 16;
};

// Work on a stream that is not over until release(): on the host a task whose lane is held up,
// which needs no worker; on a GPU long fills, which nothing can hurry, on a simulated one a kernel
// that is held up.
class SlowWork : private Lane {
 public:
  SlowWork(Backend& backend, StreamHandle stream) {
    if (is_host(backend)) {
      backend.launch(stream, std::make_unique<NoTask>(static_cast<Lane*>(this)));
      return;
    }
    if (sim_hold != nullptr) {
      gate_ = sim_hold(reinterpret_cast<void*>(stream));
      return;
    }
    static auto* fills = new LongFills(backend);
    fills->queue(stream);
    backend.record(end_.emplace(backend).handle, stream);
  }
  ~SlowWork() override { release(); }

  [[nodiscard]] bool is_over() { return end_ ? end_->backend.query(end_->handle) : released_; }

  void release() {
    if (end_ || released_) return;
    released_ = true;
    if (gate_ != nullptr) {
      sim_open(gate_);
      return;
    }
    while (held_.load() == nullptr) std::this_thread::yield();
    held_.load()->run_on_lane();
  }

 private:
  void post(host_detail::Strand& strand) override { held_.store(&strand); }
  [[nodiscard]] bool is_inside() const override { return false; }

  std::optional<TestEvent> end_;  // on a GPU
  void* gate_ = nullptr;          // on a simulated one
  bool released_ = false;
  std::atomic<host_detail::Strand*> held_{nullptr};
};

inline std::string message_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  }
  return "";
}

template <class Body>
std::string thrown_by(Body&& body) {
  try {
    body();
  } catch (const std::exception&) {
    return message_of(std::current_exception());
  }
  return "";
}

}  // namespace penstock::backend::test
