// What the simulated functions work on: devices, streams as queues of operations, events as points
// of streams, captures, and memory. Everything is guarded by the one lock of machine(), which is
// held for a moment and never while an operation runs. All of it lives until the process ends.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace sim {

using Lock = std::unique_lock<std::mutex>;

struct Stream;

/// Complete once the stream has done so many operations.
struct Point {
  std::shared_ptr<Stream> stream;
  std::uint64_t number = 0;
  [[nodiscard]] bool is_complete() const;
};

struct Operation {
  std::vector<Point> after;
  std::function<void()> work;
};

/// What is complete of a captured stream's operations, by stream.
using Seen = std::map<const Stream*, std::uint64_t>;

struct Capture {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  std::shared_ptr<Stream> origin;
  std::vector<std::shared_ptr<Stream>> streams;
  bool is_valid = true;
  int nodes = 0;
};

struct Device {
  explicit Device(int number) : index(number) {}
  const int index;
  bool has_context = false;
  cudaError_t fault = cudaSuccess;
  std::size_t total_bytes = 0;
  std::size_t used_bytes = 0;
  std::vector<int> peers;
  std::shared_ptr<Stream> legacy;
  /// Those that exist, and those destroyed that still have work.
  std::vector<std::shared_ptr<Stream>> streams;
};

struct Stream {
  Device* device = nullptr;
  unsigned long long id = 0;
  bool is_blocking = false;  // in order with the legacy stream
  bool is_destroyed = false;
  bool is_running = false;
  std::uint64_t queued = 0;
  std::uint64_t done = 0;
  std::deque<Operation> operations;
  std::condition_variable changed;
  std::shared_ptr<Capture> capture;
  Seen seen;  // of the capture
  [[nodiscard]] bool is_idle() const { return done == queued; }
};

struct Event {
  Device* device = nullptr;
  std::vector<Point> newest;  // empty: no record
  std::shared_ptr<Capture> capture;
  Seen seen;
};

/// Objects by handles that are addresses; the handle freed last is given out first.
template <class T>
class Handles {
 public:
  void* add(std::shared_ptr<T> object) {
    if (free_.empty()) free_.push_back(new std::max_align_t[8]);
    void* handle = free_.back();
    free_.pop_back();
    all_.emplace(handle, std::move(object));
    return handle;
  }
  [[nodiscard]] std::shared_ptr<T> find(const void* handle) const {
    const auto found = all_.find(handle);
    return found == all_.end() ? nullptr : found->second;
  }
  void remove(void* handle) {
    if (all_.erase(handle) != 0) free_.push_back(handle);
  }

 private:
  std::unordered_map<const void*, std::shared_ptr<T>> all_;
  std::vector<void*> free_;
};

/// Memory that has no address of its own, as cuMemCreate() makes it.
struct Physical {
  int descriptor = -1;
  std::size_t bytes = 0;
  CUmemLocation location{};
  Device* payer = nullptr;
  ~Physical();
};

struct Range {
  std::size_t bytes = 0;
  CUmemorytype type = CU_MEMORYTYPE_DEVICE;
  bool is_managed = false;
  Device* device = nullptr;
  std::shared_ptr<Physical> physical;  // of a mapping
  bool is_accessible = true;
  std::vector<int> users;  // of a mapping: the devices that it is accessible to
};

struct Machine {
  Machine();

  std::mutex mutex;
  bool has_peers = true;
  std::vector<std::unique_ptr<Device>> devices;
  Handles<Stream> streams;
  Handles<Event> events;
  Handles<Capture> graphs;
  std::vector<std::shared_ptr<Capture>> captures;  // under way
  std::map<std::uintptr_t, Range> ranges;
  std::map<std::uintptr_t, std::size_t> reservations;
  std::map<CUmemGenericAllocationHandle, std::pair<std::shared_ptr<Physical>, int>> allocations;
  CUmemGenericAllocationHandle last_allocation = 0;
  unsigned long long last_stream_id = 0;
  bool pageable_waits = false;
  long calls_of_no_stream = 0;
  unsigned long seed = 0;
  std::mt19937_64 random;

  // Threads that run streams: each takes a stream and keeps it until that is idle.
  std::deque<std::shared_ptr<Stream>> ready;
  std::condition_variable is_ready;
  std::size_t idle_threads = 0;
};

[[nodiscard]] Machine& machine();
/// True in a child of fork(): no thread of the machine is there, and its lock may be held.
[[nodiscard]] bool is_forked();

[[nodiscard]] std::shared_ptr<Stream> make_stream(Device& device, bool is_blocking);
/// Queues an operation behind what the stream and the legacy stream's rule ask for. Captured, it is
/// not run.
[[nodiscard]] cudaError_t enqueue(const std::shared_ptr<Stream>& stream, std::function<void()> work,
                                  std::vector<Point> after = {});
[[nodiscard]] bool is_complete(const std::vector<Point>& points);
/// Waits for the points, off the lock.
void wait_for(Lock& lock, const std::vector<Point>& points);
/// All that is queued on the device.
[[nodiscard]] std::vector<Point> everything(const Device& device);

/// An error if the thread's capture mode forbids an unsafe call now; the capture is void then.
[[nodiscard]] cudaError_t check_unsafe();
/// The legacy stream can't be used while a blocking stream is captured.
[[nodiscard]] cudaError_t check_implicit(const Stream& stream, bool invalidates);

/// The device of this thread's context, nullptr if it has none.
[[nodiscard]] Device* current();
/// The same; without one the runtime makes the context of the device that was set last.
[[nodiscard]] cudaError_t current_or_made(Device*& device);
/// The stream of a handle. The runtime's default handles make a context, the driver's don't.
[[nodiscard]] cudaError_t find_stream(cudaStream_t handle, std::shared_ptr<Stream>& stream,
                                      bool makes_context = true);
[[nodiscard]] cudaError_t find_event(cudaEvent_t handle, std::shared_ptr<Event>& event);

[[nodiscard]] std::atomic<long>& counter(const char* function);
cudaError_t note_error(cudaError_t status);

/// One call of the runtime: counted, under the lock, its error remembered by the thread.
template <class Body>
cudaError_t runtime_call(std::atomic<long>& calls, Body&& body) {
  ++calls;
  if (is_forked()) return note_error(cudaErrorInitializationError);
  Lock lock(machine().mutex);
  const cudaError_t status = body(lock);
  return note_error(status);
}

/// One call of the driver.
template <class Body>
CUresult driver_call(std::atomic<long>& calls, Body&& body) {
  ++calls;
  if (is_forked()) return CUDA_ERROR_NOT_INITIALIZED;
  Lock lock(machine().mutex);
  if (machine().devices.empty()) return CUDA_ERROR_NO_DEVICE;
  return static_cast<CUresult>(body(lock));
}

}  // namespace sim

#define SIM_RUNTIME(...)                                                                     \
  do {                                                                                       \
    static auto& calls_of_this = ::sim::counter(__func__);                                   \
    return ::sim::runtime_call(                                                              \
        calls_of_this, [&]([[maybe_unused]] ::sim::Lock & lock) -> cudaError_t __VA_ARGS__); \
  } while (false)

#define SIM_DRIVER(...)                                                                      \
  do {                                                                                       \
    static auto& calls_of_this = ::sim::counter(__func__);                                   \
    return ::sim::driver_call(                                                               \
        calls_of_this, [&]([[maybe_unused]] ::sim::Lock & lock) -> cudaError_t __VA_ARGS__); \
  } while (false)
