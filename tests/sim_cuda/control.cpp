// What tests do besides: kernels, delays, faults, and settings.
#include "sim_cuda.hpp"

#include "machine.hpp"

#include <algorithm>
#include <chrono>

using namespace sim;

namespace {

int queue(void* handle, std::function<void()> work) {
  const Lock lock(machine().mutex);
  std::shared_ptr<Stream> stream;
  if (const cudaError_t status = find_stream(static_cast<cudaStream_t>(handle), stream)) {
    return status;
  }
  return enqueue(stream, std::move(work));
}

// Shared by the operation and by who opens it.
struct Held {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = false;
};

}  // namespace

long sim_calls(const char* function) { return counter(function).load(); }

int sim_launch(void* stream, void (*code)(void*), void* argument) {
  return queue(stream, [=] { code(argument); });
}

int sim_delay(void* stream, long microseconds) {
  return queue(stream,
               [=] { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); });
}

void* sim_hold(void* stream) {
  auto held = std::make_shared<Held>();
  const int status = queue(stream, [held] {
    Lock lock(held->mutex);
    held->changed.wait(lock, [&] { return held->is_open; });
  });
  return status == 0 ? new std::shared_ptr<Held>(held) : nullptr;
}

void sim_open(void* held) {
  const std::unique_ptr<std::shared_ptr<Held>> owned(static_cast<std::shared_ptr<Held>*>(held));
  const Lock lock((*owned)->mutex);
  (*owned)->is_open = true;
  (*owned)->changed.notify_all();
}

int sim_fault(void* handle, int code) {
  const Lock lock(machine().mutex);
  std::shared_ptr<Stream> stream;
  if (const cudaError_t status = find_stream(static_cast<cudaStream_t>(handle), stream)) {
    return status;
  }
  return enqueue(stream, [device = stream->device, code] {
    const Lock inner(machine().mutex);
    if (device->fault == cudaSuccess) device->fault = static_cast<cudaError_t>(code);
  });
}

void sim_seed(unsigned long seed) {
  const Lock lock(machine().mutex);
  machine().seed = seed;
  machine().random.seed(seed);
}

long sim_calls_of_no_stream() {
  const Lock lock(machine().mutex);
  return machine().calls_of_no_stream;
}

void sim_pageable_waits(int waits) {
  const Lock lock(machine().mutex);
  machine().pageable_waits = waits != 0;
}

int sim_contexts() {
  const Lock lock(machine().mutex);
  const auto& devices = machine().devices;
  return static_cast<int>(std::count_if(devices.begin(), devices.end(),
                                        [](const auto& device) { return device->has_context; }));
}

void sim_set_peers(int has_peers) {
  const Lock lock(machine().mutex);
  machine().has_peers = has_peers != 0;
}

int sim_current_device() {
  const Lock lock(machine().mutex);
  const Device* device = current();
  return device == nullptr ? 0 : device->index;
}

long sim_pending(int device) {
  const Lock lock(machine().mutex);
  long count = 0;
  for (const auto& stream : machine().devices[static_cast<std::size_t>(device)]->streams) {
    count += static_cast<long>(stream->queued - stream->done);
  }
  return count;
}
