#include "backend/backend.hpp"
#include "backend/host/memory.hpp"
#include "backend/host/strand.hpp"
#include "base/throw.hpp"
#include "exec/fork.hpp"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace penstock::backend {
namespace {

using host_detail::Strand;

// A record is (strand, number of its newest operation); a context-wide one has several.
struct HostEvent {
  Ref<Strand> strand;
  std::uint64_t sequence = 0;
  std::vector<std::pair<Ref<Strand>, std::uint64_t>> context;
};

Strand& strand_of(StreamHandle stream) { return *reinterpret_cast<Strand*>(stream); }
HostEvent& event_of(EventHandle event) { return *reinterpret_cast<HostEvent*>(event); }
StreamHandle handle_of(Strand* strand) {
  return static_cast<StreamHandle>(reinterpret_cast<std::uintptr_t>(strand));
}

class CopyTask : public HostTask {
 public:
  CopyTask(void* target, const void* source, std::size_t bytes)
      : target_(target), source_(source), bytes_(bytes) {}
  void run() override { std::memmove(target_, source_, bytes_); }

 private:
  void* target_;
  const void* source_;
  std::size_t bytes_;
};

class CopyRowsTask : public HostTask {
 public:
  CopyRowsTask(void* target, std::size_t target_pitch, const void* source, std::size_t source_pitch,
               std::size_t row_bytes, std::size_t rows)
      : target_(static_cast<std::byte*>(target)),
        source_(static_cast<const std::byte*>(source)),
        target_pitch_(target_pitch),
        source_pitch_(source_pitch),
        row_bytes_(row_bytes),
        rows_(rows) {}
  void run() override {
    for (std::size_t row = 0; row < rows_; ++row) {
      std::memcpy(target_ + row * target_pitch_, source_ + row * source_pitch_, row_bytes_);
    }
  }

 private:
  std::byte* target_;
  const std::byte* source_;
  std::size_t target_pitch_;
  std::size_t source_pitch_;
  std::size_t row_bytes_;
  std::size_t rows_;
};

class FillTask : public HostTask {
 public:
  FillTask(void* target, std::uint8_t value, std::size_t bytes)
      : target_(target), value_(value), bytes_(bytes) {}
  void run() override { std::memset(target_, value_, bytes_); }

 private:
  void* target_;
  std::uint8_t value_;
  std::size_t bytes_;
};

void check_device(int device) {
  if (device != 0)
    throw_error<DeviceError>("host: there is one CPU device, index 0, not {}", device);
}

class HostBackend final : public Backend {
 public:
  int device_count() override { return 1; }
  DeviceProperties properties(int device) override {
    check_device(device);
    return {"cpu", static_cast<int>(std::thread::hardware_concurrency()), 0,
            host_detail::page_bytes()};
  }
  MemoryInfo memory_info(int device) override {
    check_device(device);
    return host_detail::memory_info();
  }
  AddressInfo address_info(const void* address) override {
    static_cast<void>(address);
    return {MemoryKind::host, Device::cpu()};
  }
  void make_current(int device) override { check_device(device); }
  bool is_in_use(int device) override {
    check_device(device);
    return true;
  }
  void enable_peer_access(int device, int peer) override {
    check_device(device);
    check_device(peer);
  }
  std::exception_ptr lost(int device) override {
    check_device(device);
    return nullptr;
  }

  Reservation reserve(int device, MemoryKind kind, std::size_t bytes) override {
    check_device(device);
    return host_detail::reserve(kind, bytes);
  }
  void release(const Reservation& reservation) override { host_detail::release(reservation); }
  void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) override {
    host_detail::map(reservation, offset, bytes);
  }
  void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) override {
    host_detail::unmap(reservation, offset, bytes);
  }
  MemoryExport export_memory(const Reservation& reservation, std::size_t offset,
                             std::size_t bytes) override {
    return host_detail::export_memory(reservation, offset, bytes);
  }
  Reservation open_memory(int device, const MemoryExport& exported) override {
    check_device(device);
    return host_detail::open_memory(exported);
  }

  StreamHandle create_stream(int device, int priority) override {
    check_device(device);
    static_cast<void>(priority);
    exec::throw_if_forked("Stream");
    return handle_of(Strand::make().leak());
  }
  void destroy_stream(StreamHandle stream) override { strand_of(stream).release(); }
  std::uint64_t stream_id(StreamHandle stream) override { return strand_of(stream).id(); }
  bool runs_here(StreamHandle stream) override { return Strand::is_running(strand_of(stream)); }
  StreamHandle legacy_stream(int device) override {
    static const StreamHandle kLegacy = create_stream(device, 0);
    return kLegacy;
  }
  StreamHandle per_thread_stream(int device) override {
    struct Owned {
      StreamHandle stream;
      ~Owned() { host().destroy_stream(stream); }
    };
    thread_local const Owned owned{create_stream(device, 0)};
    return owned.stream;
  }
  bool sync_stream(StreamHandle stream, std::int64_t deadline_ns) override {
    exec::throw_if_forked("Stream.sync");
    Strand& strand = strand_of(stream);
    if (!strand.block_until(strand.submitted(), deadline_ns)) return false;
    if (const auto error = strand.take_error()) std::rethrow_exception(error);
    return true;
  }

  std::exception_ptr take_error(StreamHandle stream) override {
    return strand_of(stream).take_error();
  }

  EventHandle create_event(int device) override {
    check_device(device);
    return static_cast<EventHandle>(reinterpret_cast<std::uintptr_t>(new HostEvent));
  }
  void destroy_event(EventHandle event) override { delete &event_of(event); }
  void record(EventHandle event, StreamHandle stream) override {
    HostEvent& host_event = event_of(event);
    Strand& strand = strand_of(stream);
    if (host_event.strand.get() != &strand) host_event.strand = Ref<Strand>::share(&strand);
    host_event.sequence = strand.submitted();
    host_event.context.clear();
  }
  void record_context(EventHandle event, int device) override {
    check_device(device);
    HostEvent& host_event = event_of(event);
    host_event.strand = {};
    host_event.context = Strand::all();
  }
  void wait(StreamHandle stream, EventHandle event) override {
    for_each_record(event, [&](Strand& strand, std::uint64_t sequence) {
      strand_of(stream).submit_wait(strand, sequence);
      return true;
    });
  }
  bool query(EventHandle event) override {
    return for_each_record(
        event, [](Strand& strand, std::uint64_t sequence) { return strand.is_done(sequence); });
  }
  std::exception_ptr error(EventHandle event) override {
    std::exception_ptr first;
    for_each_record(event, [&](Strand& strand, std::uint64_t sequence) {
      if (!first && strand.is_done(sequence)) first = strand.error_at(sequence);
      return true;
    });
    return first;
  }
  bool sync(EventHandle event, std::int64_t deadline_ns) override {
    exec::throw_if_forked("Event.sync");
    return for_each_record(event, [&](Strand& strand, std::uint64_t sequence) {
      return strand.block_until(sequence, deadline_ns);
    });
  }
  bool notify(EventHandle event, Completion& completion) override {
    const HostEvent& host_event = event_of(event);
    if (!host_event.context.empty()) return false;
    if (!host_event.strand || !host_event.strand->add_waiter(completion, host_event.sequence)) {
      completion.fire(&completion);
    }
    return true;
  }

  void copy(void* target, const void* source, std::size_t bytes, StreamHandle stream) override {
    if (bytes != 0) launch(stream, std::make_unique<CopyTask>(target, source, bytes));
  }
  void copy_rows(void* target, std::size_t target_pitch, const void* source,
                 std::size_t source_pitch, std::size_t row_bytes, std::size_t rows,
                 StreamHandle stream) override {
    launch(stream, std::make_unique<CopyRowsTask>(target, target_pitch, source, source_pitch,
                                                  row_bytes, rows));
  }
  void fill(void* target, std::uint8_t value, std::size_t bytes, StreamHandle stream) override {
    if (bytes != 0) launch(stream, std::make_unique<FillTask>(target, value, bytes));
  }
  void launch(StreamHandle stream, std::unique_ptr<HostTask> task) override {
    exec::throw_if_forked("Stream.launch");
    strand_of(stream).submit(std::move(task));
  }

  CaptureMode exchange_capture_mode(CaptureMode mode) override {
    thread_local CaptureMode current = CaptureMode::global;
    return std::exchange(current, mode);
  }
  bool is_capturing(StreamHandle stream) override {
    static_cast<void>(stream);
    return false;
  }

 private:
  // Calls body for each (strand, sequence) until it says false; true if it never did.
  template <class Body>
  static bool for_each_record(EventHandle event, Body&& body) {
    HostEvent& host_event = event_of(event);
    if (host_event.strand && !body(*host_event.strand, host_event.sequence)) return false;
    return std::all_of(host_event.context.begin(), host_event.context.end(),
                       [&](auto& record) { return body(*record.first, record.second); });
  }
};

}  // namespace

Backend& host() {
  static auto* backend = new HostBackend;
  return *backend;
}

}  // namespace penstock::backend
