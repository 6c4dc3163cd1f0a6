// The CUDA backend of a build without CUDA: no devices, and a clear error for everything else.
#include "backend/backend.hpp"
#include "base/throw.hpp"

namespace penstock::backend {
namespace {

[[noreturn]] void refuse(const char* what) {
  throw_error<DeviceError>(
      "{}: this build of Penstock has no CUDA; use device \"cpu\", or install a build with CUDA",
      what);
}

class NoCuda final : public Backend {
 public:
  int device_count() override { return 0; }
  DeviceProperties properties(int) override { refuse("properties"); }
  MemoryInfo memory_info(int) override { refuse("memory_info"); }
  AddressInfo address_info(const void*) override { return {MemoryKind::host, Device::cpu()}; }
  void make_current(int) override { refuse("make_current"); }
  bool is_in_use(int) override { return false; }
  void enable_peer_access(int, int) override { refuse("enable_peer_access"); }
  std::exception_ptr lost(int) override { refuse("lost"); }
  Reservation reserve(int, MemoryKind, std::size_t) override { refuse("reserve"); }
  void release(const Reservation&) override { refuse("release"); }
  void map(const Reservation&, std::size_t, std::size_t) override { refuse("map"); }
  void unmap(const Reservation&, std::size_t, std::size_t) override { refuse("unmap"); }
  MemoryExport export_memory(const Reservation&, std::size_t, std::size_t) override {
    refuse("export_memory");
  }
  Reservation open_memory(int, const MemoryExport&) override { refuse("open_memory"); }
  StreamHandle create_stream(int, int) override { refuse("create_stream"); }
  void destroy_stream(StreamHandle) override { refuse("destroy_stream"); }
  std::uint64_t stream_id(StreamHandle) override { refuse("stream_id"); }
  bool runs_here(StreamHandle) override { return false; }
  StreamHandle legacy_stream(int) override { refuse("legacy_stream"); }
  StreamHandle per_thread_stream(int) override { refuse("per_thread_stream"); }
  bool sync_stream(StreamHandle, std::int64_t) override { refuse("sync_stream"); }
  std::exception_ptr take_error(StreamHandle) override { refuse("take_error"); }
  EventHandle create_event(int) override { refuse("create_event"); }
  void destroy_event(EventHandle) override { refuse("destroy_event"); }
  void record(EventHandle, StreamHandle) override { refuse("record"); }
  void record_context(EventHandle, int) override { refuse("record_context"); }
  void wait(StreamHandle, EventHandle) override { refuse("wait"); }
  bool query(EventHandle) override { refuse("query"); }
  std::exception_ptr error(EventHandle) override { refuse("error"); }
  bool sync(EventHandle, std::int64_t) override { refuse("sync"); }
  bool notify(EventHandle, Completion&) override { refuse("notify"); }
  void copy(void*, const void*, std::size_t, StreamHandle) override { refuse("copy"); }
  void copy_rows(void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t,
                 StreamHandle) override {
    refuse("copy_rows");
  }
  void fill(void*, std::uint8_t, std::size_t, StreamHandle) override { refuse("fill"); }
  void launch(StreamHandle, std::unique_ptr<HostTask>) override { refuse("launch"); }
  CaptureMode exchange_capture_mode(CaptureMode mode) override { return mode; }
  bool is_capturing(StreamHandle) override { refuse("is_capturing"); }
};

}  // namespace

Backend& cuda() {
  static auto* backend = new NoCuda;
  return *backend;
}

}  // namespace penstock::backend
