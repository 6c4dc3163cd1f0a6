#include "machine.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace sim {
namespace {

std::atomic<bool> forked{false};

long number_of(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == 0 ? otherwise : std::atol(text);
}

// As the driver reads CUDA_VISIBLE_DEVICES, as far as a number of devices goes.
long visible(long devices) {
  const char* text = std::getenv("CUDA_VISIBLE_DEVICES");
  if (text == nullptr) return devices;
  if (*text == 0 || *text == '-') return 0;
  return std::min<long>(devices, 1 + std::count(text, text + std::strlen(text), ','));
}

// Under the lock. A quarter of the operations is slow.
std::chrono::microseconds random_delay() {
  Machine& all = machine();
  if (all.seed == 0 || all.random() % 4 != 0) return {};
  return std::chrono::microseconds(all.random() % 400);
}

void run(Lock& lock, const std::shared_ptr<Stream>& stream) {
  while (!stream->operations.empty()) {
    Operation operation = std::move(stream->operations.front());
    stream->operations.pop_front();
    wait_for(lock, operation.after);
    const auto delay = random_delay();
    const bool is_lost = stream->device->fault != cudaSuccess;
    lock.unlock();
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    if (!is_lost && operation.work) operation.work();
    operation = {};
    lock.lock();
    ++stream->done;
    stream->changed.notify_all();
  }
  stream->is_running = false;
  auto& streams = stream->device->streams;
  if (stream->is_destroyed) streams.erase(std::find(streams.begin(), streams.end(), stream));
}

void run_streams() {
  Machine& all = machine();
  Lock lock(all.mutex);
  while (true) {
    ++all.idle_threads;
    all.is_ready.wait(lock, [&] { return !all.ready.empty(); });
    --all.idle_threads;
    const std::shared_ptr<Stream> stream = std::move(all.ready.front());
    all.ready.pop_front();
    run(lock, stream);
  }
}

}  // namespace

Machine::Machine() {
  pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
  const long count = visible(number_of("PENSTOCK_SIM_GPUS", 2));
  for (int index = 0; index < count; ++index) {
    auto device = std::make_unique<Device>(index);
    device->total_bytes = static_cast<std::size_t>(number_of("PENSTOCK_SIM_MEMORY_MB", 4096)) << 20;
    devices.push_back(std::move(device));
  }
  seed = static_cast<unsigned long>(number_of("PENSTOCK_SIM_SEED", 0));
  random.seed(seed);
}

Machine& machine() {
  static auto* const kMachine = new Machine;
  return *kMachine;
}

bool is_forked() { return forked.load(); }

bool Point::is_complete() const { return stream->done >= number; }

std::shared_ptr<Stream> make_stream(Device& device, bool is_blocking) {
  auto stream = std::make_shared<Stream>();
  stream->device = &device;
  stream->id = ++machine().last_stream_id;
  stream->is_blocking = is_blocking;
  device.streams.push_back(stream);
  return stream;
}

cudaError_t enqueue(const std::shared_ptr<Stream>& stream, std::function<void()> work,
                    std::vector<Point> after) {
  Device& device = *stream->device;
  if (device.fault != cudaSuccess) return device.fault;
  if (const cudaError_t status = check_implicit(*stream, true)) return status;
  if (Capture* capture = stream->capture.get()) {
    if (!capture->is_valid) return cudaErrorStreamCaptureInvalidated;
    ++capture->nodes;
    ++stream->seen[stream.get()];
    return cudaSuccess;
  }
  if (stream == device.legacy) {
    for (const auto& other : device.streams) {
      if (other != stream && other->is_blocking && !other->is_idle()) {
        after.push_back({other, other->queued});
      }
    }
  } else if (stream->is_blocking && !device.legacy->is_idle()) {
    after.push_back({device.legacy, device.legacy->queued});
  }
  stream->operations.push_back({std::move(after), std::move(work)});
  ++stream->queued;
  if (stream->is_running) return cudaSuccess;
  stream->is_running = true;
  Machine& all = machine();
  all.ready.push_back(stream);
  if (all.idle_threads < all.ready.size()) std::thread(run_streams).detach();
  all.is_ready.notify_one();
  return cudaSuccess;
}

bool is_complete(const std::vector<Point>& points) {
  return std::all_of(points.begin(), points.end(),
                     [](const Point& point) { return point.is_complete(); });
}

void wait_for(Lock& lock, const std::vector<Point>& points) {
  for (const Point& point : points) {
    point.stream->changed.wait(lock, [&] { return point.is_complete(); });
  }
}

std::vector<Point> everything(const Device& device) {
  std::vector<Point> points;
  for (const auto& stream : device.streams) {
    if (!stream->is_idle()) points.push_back({stream, stream->queued});
  }
  return points;
}

std::atomic<long>& counter(const char* function) {
  static auto* const kLock = new std::mutex;
  static auto* const kCounters = new std::map<std::string, std::atomic<long>>;
  std::string name = function;
  const std::size_t version = name.rfind("_v");
  if (version != std::string::npos) name.resize(version);
  const std::lock_guard guard(*kLock);
  return (*kCounters)[name];
}

}  // namespace sim
