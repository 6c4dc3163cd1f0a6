// What the tests of order share: the host seen through a backend that counts calls and can be told
// to fail, slots of their own on it, and tensors and streams of the public kind.
#pragma once

#include "host_fixture.hpp"
#include "order/check.hpp"
#include "order/stream.hpp"

#include <penstock/error.hpp>

#include <stdexcept>

namespace penstock::backend::test {

/// The host's streams and events under another address: what the core asks of a device is counted.
class CountingBackend final : public Backend {
 public:
  std::atomic<int> records{0};
  std::atomic<int> waits{0};
  std::atomic<int> queries{0};
  std::atomic<int> events{0};  // made and not destroyed
  std::atomic<bool> can_notify{true};
  std::atomic<bool> is_lost{false};

  int device_count() override { return 1; }
  DeviceProperties properties(int device) override { return host().properties(device); }
  MemoryInfo memory_info(int device) override { return host().memory_info(device); }
  AddressInfo address_info(const void* address) override { return host().address_info(address); }
  void make_current(int device) override { host().make_current(device); }
  bool is_in_use(int device) override { return host().is_in_use(device); }
  void enable_peer_access(int device, int peer) override {
    host().enable_peer_access(device, peer);
  }
  std::exception_ptr lost(int device) override { return host().lost(device); }
  Reservation reserve(int device, MemoryKind kind, std::size_t bytes) override {
    return host().reserve(device, kind, bytes);
  }
  void release(const Reservation& reservation) override { host().release(reservation); }
  void map(const Reservation& range, std::size_t offset, std::size_t bytes) override {
    host().map(range, offset, bytes);
  }
  void unmap(const Reservation& range, std::size_t offset, std::size_t bytes) override {
    host().unmap(range, offset, bytes);
  }
  MemoryExport export_memory(const Reservation& range, std::size_t offset,
                             std::size_t bytes) override {
    return host().export_memory(range, offset, bytes);
  }
  Reservation open_memory(int device, const MemoryExport& exported) override {
    return host().open_memory(device, exported);
  }
  StreamHandle create_stream(int device, int priority) override {
    return host().create_stream(device, priority);
  }
  void destroy_stream(StreamHandle stream) override { host().destroy_stream(stream); }
  std::uint64_t stream_id(StreamHandle stream) override { return host().stream_id(stream); }
  bool runs_here(StreamHandle stream) override { return host().runs_here(stream); }
  StreamHandle legacy_stream(int device) override { return host().legacy_stream(device); }
  StreamHandle per_thread_stream(int device) override { return host().per_thread_stream(device); }
  bool sync_stream(StreamHandle stream, std::int64_t deadline_ns) override {
    return host().sync_stream(stream, deadline_ns);
  }
  std::exception_ptr take_error(StreamHandle stream) override { return host().take_error(stream); }
  EventHandle create_event(int device) override {
    check();
    ++events;
    return host().create_event(device);
  }
  void destroy_event(EventHandle event) override {
    --events;
    host().destroy_event(event);
  }
  void record(EventHandle event, StreamHandle stream) override {
    check();
    ++records;
    host().record(event, stream);
  }
  void record_context(EventHandle event, int device) override {
    host().record_context(event, device);
  }
  void wait(StreamHandle stream, EventHandle event) override {
    check();
    ++waits;
    host().wait(stream, event);
  }
  bool query(EventHandle event) override {
    check();
    ++queries;
    return host().query(event);
  }
  std::exception_ptr error(EventHandle event) override { return host().error(event); }
  bool sync(EventHandle event, std::int64_t deadline_ns) override {
    return host().sync(event, deadline_ns);
  }
  bool notify(EventHandle event, Completion& completion) override {
    return can_notify && host().notify(event, completion);
  }
  void copy(void* target, const void* source, std::size_t bytes, StreamHandle stream) override {
    host().copy(target, source, bytes, stream);
  }
  void copy_rows(void* target, std::size_t target_pitch, const void* source,
                 std::size_t source_pitch, std::size_t row_bytes, std::size_t rows,
                 StreamHandle stream) override {
    host().copy_rows(target, target_pitch, source, source_pitch, row_bytes, rows, stream);
  }
  void fill(void* target, std::uint8_t value, std::size_t bytes, StreamHandle stream) override {
    host().fill(target, value, bytes, stream);
  }
  void launch(StreamHandle stream, std::unique_ptr<HostTask> task) override {
    host().launch(stream, std::move(task));
  }
  CaptureMode exchange_capture_mode(CaptureMode mode) override {
    return host().exchange_capture_mode(mode);
  }
  bool is_capturing(StreamHandle stream) override { return host().is_capturing(stream); }

 private:
  void check() const {
    if (is_lost) throw DeviceError("the device is lost");
  }
};

/// Never destroyed: slots that were used with it stay.
inline CountingBackend& counting() {
  static auto* backend = new CountingBackend;
  return *backend;
}

/// A native stream in a slot of its own, as order::Stream has it.
struct TestSlot {
  explicit TestSlot(Backend& from = counting())
      : backend(from),
        handle(from.create_stream(0, 0)),
        slot(&order::Slot::take(from, 0, handle)) {}
  ~TestSlot() {
    slot->leave();
    backend.destroy_stream(handle);
  }
  TestSlot(const TestSlot&) = delete;
  TestSlot& operator=(const TestSlot&) = delete;
  order::Slot* operator->() const { return slot; }

  /// Enqueues a task and gives its point.
  template <class Body>
  order::Point use(Body body) {
    launch(handle, std::move(body));
    return slot->use();
  }
  order::Point use() {
    return use([] {});
  }
  /// What Stream::wait does.
  void wait(order::Point point) {
    if (slot->covers(point)) return;
    if (const auto mark = order::mark_of(point)) slot->wait(*mark);
  }
  void finish() { REQUIRE(host().sync_stream(handle, in_a_minute())); }

  Backend& backend;
  StreamHandle handle;
  order::Slot* slot;
};

}  // namespace penstock::backend::test
