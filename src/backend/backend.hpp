// The device contract: all that the core knows of a device. A backend is a folder beside this file
// that implements it; `cuda` and `no_cuda` define the same symbols and one of them is linked.
// Thread-safe, but for what two threads do to one event. Every failure is an exception that names
// the call; a fault of the device itself is a DeviceError, here and in every later call.
#pragma once

#include <penstock/device.hpp>
#include <penstock/error.hpp>

#include "exec/pool.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>

namespace penstock::backend {

/// A native stream: a cudaStream_t, or the host's strand.
enum class StreamHandle : std::uintptr_t { none = 0 };
/// A native event: a cudaEvent_t, or the host's record.
enum class EventHandle : std::uintptr_t { none = 0 };

/// What an address is, and which memory to take.
enum class MemoryKind : std::uint8_t { host, pinned, managed, device };

struct AddressInfo {
  MemoryKind kind = MemoryKind::host;
  Device device;
};

struct MemoryInfo {
  std::int64_t free_bytes = 0;
  std::int64_t total_bytes = 0;
};

struct DeviceProperties {
  std::string name;
  int multiprocessors = 0;
  /// 90 for compute capability 9.0; 0 on the host.
  int compute_capability = 0;
  /// The unit in which memory is mapped.
  std::size_t page_bytes = 0;
};

/// A range of addresses. Pages of it are mapped and unmapped; the range stays.
struct Reservation {
  void* address = nullptr;
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::host;
  int device = 0;
};

/// Memory that another process, or another library here, can open: a file descriptor.
struct MemoryExport {
  int file_descriptor = -1;
  std::size_t bytes = 0;
};

/// How a stream capture treats calls of this thread that capture can't hold.
enum class CaptureMode : std::uint8_t { global, thread_local_, relaxed };

/// Fired once, when what it waits for is complete. Short, never blocking, takes no lock that is
/// held while a backend is called.
struct Completion {
  void (*fire)(Completion*) = nullptr;
  /// Kept by whoever holds it meanwhile.
  Completion* next = nullptr;
  std::uint64_t sequence = 0;
};

/// A wait, from inside a host task, for work that cannot be over before that task is.
class SelfWaitError : public StreamError {
 public:
  using StreamError::StreamError;
};

/// Where a host task runs that must not run on a C++ worker (Python has such places).
class Lane;

/// A host function in stream order. Exactly one of run() and skip() is called, then it is deleted.
class HostTask {
 public:
  HostTask() = default;
  HostTask(const HostTask&) = delete;
  HostTask& operator=(const HostTask&) = delete;
  virtual ~HostTask() = default;
  /// An exception that leaves it poisons the stream.
  virtual void run() = 0;
  /// In place of run() on a poisoned stream.
  virtual void skip(const std::exception_ptr& error) { static_cast<void>(error); }
  /// nullptr: on a worker of the pool.
  [[nodiscard]] virtual Lane* lane() const { return nullptr; }
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  // Devices.
  [[nodiscard]] virtual int device_count() = 0;
  [[nodiscard]] virtual DeviceProperties properties(int device) = 0;
  [[nodiscard]] virtual MemoryInfo memory_info(int device) = 0;
  [[nodiscard]] virtual AddressInfo address_info(const void* address) = 0;
  /// Makes the device's primary context current on this thread.
  virtual void make_current(int device) = 0;
  /// True once the device has a primary context: somebody in this process works on it. Makes none.
  [[nodiscard]] virtual bool is_in_use(int device) = 0;
  virtual void enable_peer_access(int device, int peer) = 0;
  /// The first fault of the device, empty while it works.
  [[nodiscard]] virtual std::exception_ptr lost(int device) = 0;

  // Memory.
  [[nodiscard]] virtual Reservation reserve(int device, MemoryKind kind, std::size_t bytes) = 0;
  virtual void release(const Reservation& reservation) = 0;
  /// Makes one piece of memory there; `offset` and `bytes` are multiples of the page. A piece is
  /// unmapped and exported whole, and a fill stays inside of one: a GPU has it so, and a piece
  /// costs the same whatever its size. OutOfMemory if there is none.
  virtual void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) = 0;
  virtual void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) = 0;
  /// Exports a piece; whoever opens it sees the same memory. The caller closes the descriptor.
  [[nodiscard]] virtual MemoryExport export_memory(const Reservation& reservation,
                                                   std::size_t offset, std::size_t bytes) = 0;
  [[nodiscard]] virtual Reservation open_memory(int device, const MemoryExport& exported) = 0;

  // Streams.
  /// Lower priorities run first, as CUDA has them; the host has one.
  [[nodiscard]] virtual StreamHandle create_stream(int device, int priority) = 0;
  /// What was queued still runs.
  virtual void destroy_stream(StreamHandle stream) = 0;
  /// Never used twice, unlike handles.
  [[nodiscard]] virtual std::uint64_t stream_id(StreamHandle stream) = 0;
  /// True if the calling thread is inside a host task of the stream.
  [[nodiscard]] virtual bool runs_here(StreamHandle stream) = 0;
  [[nodiscard]] virtual StreamHandle legacy_stream(int device) = 0;
  [[nodiscard]] virtual StreamHandle per_thread_stream(int device) = 0;
  /// A stream of somebody else's. By CUDA's numbers the legacy and the per-thread stream are those
  /// of whichever device is current; a handle of ours says which.
  [[nodiscard]] virtual StreamHandle stream_of(int, std::uintptr_t native) {
    return static_cast<StreamHandle>(native);
  }
  /// The number for others.
  [[nodiscard]] virtual std::uintptr_t native_stream(StreamHandle stream) {
    return static_cast<std::uintptr_t>(stream);
  }
  /// The device of a stream of somebody else's.
  [[nodiscard]] virtual int stream_device(std::uintptr_t) { return 0; }
  /// Waits for all that was queued, at most until `deadline_ns`; false if that came first.
  /// Rethrows the stream's first error and clears it; a device fault stays.
  [[nodiscard]] virtual bool sync_stream(StreamHandle stream, std::int64_t deadline_ns) = 0;

  /// The stream's first error, which is over then; empty if there is none. Waits for nothing. The
  /// host's streams alone have errors of their own.
  [[nodiscard]] virtual std::exception_ptr take_error(StreamHandle stream) = 0;

  // Events: the semantics are CUDA's. A wait captures the newest record at the time of the call; an
  // event without a record is complete; a record overwrites.
  [[nodiscard]] virtual EventHandle create_event(int device) = 0;
  virtual void destroy_event(EventHandle event) = 0;
  virtual void record(EventHandle event, StreamHandle stream) = 0;
  /// Records all that was queued on any stream of the device. Ends captures that are under way
  /// there.
  virtual void record_context(EventHandle event, int device) = 0;
  virtual void wait(StreamHandle stream, EventHandle event) = 0;
  /// True once complete, with an error or without.
  [[nodiscard]] virtual bool query(EventHandle event) = 0;
  /// The error that the record carries, empty if none or not complete.
  [[nodiscard]] virtual std::exception_ptr error(EventHandle event) = 0;
  /// Waits until complete, at most until `deadline_ns`; false if that came first.
  [[nodiscard]] virtual bool sync(EventHandle event, std::int64_t deadline_ns) = 0;
  /// Fires `completion` when the event is complete, perhaps at once. False: this backend can't, and
  /// somebody has to query.
  [[nodiscard]] virtual bool notify(EventHandle event, Completion& completion) = 0;

  // Work.
  virtual void copy(void* target, const void* source, std::size_t bytes, StreamHandle stream) = 0;
  /// Rows of `row_bytes`, which lie a pitch of at least that many bytes apart.
  virtual void copy_rows(void* target, std::size_t target_pitch, const void* source,
                         std::size_t source_pitch, std::size_t row_bytes, std::size_t rows,
                         StreamHandle stream) = 0;
  virtual void fill(void* target, std::uint8_t value, std::size_t bytes, StreamHandle stream) = 0;
  /// Queues a host function. Only the host has them in stream order.
  virtual void launch(StreamHandle stream, std::unique_ptr<HostTask> task) = 0;

  // Graph capture.
  /// Sets this thread's mode and returns the one before.
  virtual CaptureMode exchange_capture_mode(CaptureMode mode) = 0;
  [[nodiscard]] virtual bool is_capturing(StreamHandle stream) = 0;
};

[[nodiscard]] Backend& host();
/// Without CUDA in the build or a driver on the machine there are no devices, every address is the
/// host's, and what needs a device is a clear DeviceError. Its first call starts the driver.
[[nodiscard]] Backend& cuda();
[[nodiscard]] inline Backend& of(Device device) { return device.is_cpu() ? host() : cuda(); }

}  // namespace penstock::backend
