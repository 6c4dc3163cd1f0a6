// Streams and events of the simulated runtime and driver.
#include "machine.hpp"

#include <algorithm>

using namespace sim;

namespace {

bool is_default(cudaStream_t stream) {
  return stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
}

cudaError_t create_stream(cudaStream_t* stream, unsigned flags) {
  Device* device = nullptr;
  if (const cudaError_t status = current_or_made(device)) return status;
  if ((flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0) return cudaErrorInvalidValue;
  auto made = make_stream(*device, flags == cudaStreamDefault);
  *stream = static_cast<cudaStream_t>(machine().streams.add(std::move(made)));
  return cudaSuccess;
}

// A wait that adds the stream to a capture, or goes on in one.
cudaError_t wait_in_capture(const std::shared_ptr<Stream>& stream, const Event& event) {
  const auto& captures = machine().captures;
  const auto fail = [&](cudaError_t status) {
    if (event.capture) event.capture->is_valid = false;
    if (stream->capture) stream->capture->is_valid = false;
    return status;
  };
  if (!event.capture) return fail(cudaErrorStreamCaptureIsolation);
  if (std::find(captures.begin(), captures.end(), event.capture) == captures.end()) {
    return fail(cudaErrorCapturedEvent);
  }
  if (!event.capture->is_valid) return cudaErrorStreamCaptureInvalidated;
  if (stream == stream->device->legacy) return fail(cudaErrorStreamCaptureImplicit);
  if (!stream->capture) {
    stream->capture = event.capture;
    stream->capture->streams.push_back(stream);
  }
  if (stream->capture != event.capture) return fail(cudaErrorStreamCaptureIsolation);
  for (const auto& [other, number] : event.seen) {
    stream->seen[other] = std::max(stream->seen[other], number);
  }
  return cudaSuccess;
}

cudaError_t query_event(CUevent handle) {
  std::shared_ptr<Event> event;
  if (const cudaError_t status = find_event(handle, event)) return status;
  if (const cudaError_t status = check_unsafe()) return status;
  if (event->capture) return cudaErrorCapturedEvent;
  return is_complete(event->newest) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t query_stream(CUstream handle, bool makes_context) {
  std::shared_ptr<Stream> stream;
  if (const cudaError_t status = find_stream(handle, stream, makes_context)) return status;
  if (const cudaError_t status = check_unsafe()) return status;
  if (stream->capture) {
    stream->capture->is_valid = false;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (const cudaError_t status = check_implicit(*stream, true)) return status;
  return stream->is_idle() ? cudaSuccess : cudaErrorNotReady;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  SIM_RUNTIME({ return create_stream(stream, flags); });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  SIM_RUNTIME({ return create_stream(stream, flags); });
}

// What is queued still runs.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  SIM_RUNTIME({
    if (is_default(handle)) return cudaErrorInvalidResourceHandle;
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(handle, stream)) return status;
    if (stream->capture) {
      stream->capture->is_valid = false;
      return cudaErrorStreamCaptureUnsupported;
    }
    machine().streams.remove(handle);
    stream->is_destroyed = true;
    if (!stream->is_running) std::erase(stream->device->streams, stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long* id) {
  SIM_RUNTIME({
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(handle, stream)) return status;
    *id = stream->id;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  SIM_RUNTIME({ return query_stream(stream, true); });
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext* context) {
  SIM_DRIVER({
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(handle, stream)) return status;
    *context = reinterpret_cast<CUcontext>(stream->device);
    return cudaSuccess;
  });
}

CUresult cuStreamQuery(CUstream stream) {
  SIM_DRIVER({ return query_stream(stream, false); });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  SIM_RUNTIME({
    const cudaError_t status = query_stream(handle, true);
    if (status != cudaErrorNotReady) return status;
    std::shared_ptr<Stream> stream;
    static_cast<void>(find_stream(handle, stream));
    wait_for(lock, {{stream, stream->queued}});
    return stream->device->fault;
  });
}

cudaError_t cudaDeviceSynchronize() {
  SIM_RUNTIME({
    Device* device = nullptr;
    if (const cudaError_t status = current_or_made(device)) return status;
    if (const cudaError_t status = check_unsafe()) return status;
    wait_for(lock, everything(*device));
    return device->fault;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  SIM_RUNTIME({
    Device* device = nullptr;
    if (const cudaError_t status = current_or_made(device)) return status;
    auto made = std::make_shared<Event>();
    made->device = device;
    *event = static_cast<cudaEvent_t>(machine().events.add(std::move(made)));
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  SIM_RUNTIME({
    std::shared_ptr<Event> event;
    if (const cudaError_t status = find_event(handle, event)) return status;
    machine().events.remove(handle);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t stream_handle) {
  SIM_RUNTIME({
    std::shared_ptr<Event> event;
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_event(event_handle, event)) return status;
    if (const cudaError_t status = find_stream(stream_handle, stream)) return status;
    if (event->device != stream->device) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t status = enqueue(stream, {})) return status;
    event->capture = stream->capture;
    event->seen = stream->seen;
    event->newest.clear();
    if (!stream->capture) event->newest.push_back({stream, stream->queued});
    return cudaSuccess;
  });
}

// All that was queued on any stream of the context.
CUresult cuCtxRecordEvent(CUcontext context, CUevent handle) {
  SIM_DRIVER({
    Device& device = *reinterpret_cast<Device*>(context);
    std::shared_ptr<Event> event;
    if (const cudaError_t status = find_event(handle, event)) return status;
    if (event->device != &device) return cudaErrorInvalidResourceHandle;
    bool is_captured = false;
    for (const auto& stream : device.streams) {
      if (!stream->capture) continue;
      stream->capture->is_valid = false;
      is_captured = true;
    }
    if (is_captured) return cudaErrorStreamCaptureUnsupported;
    event->capture.reset();
    event->newest = everything(device);
    return cudaSuccess;
  });
}

// For the newest record at this moment; without one there is nothing to wait for.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t event_handle, unsigned) {
  SIM_RUNTIME({
    std::shared_ptr<Event> event;
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(stream_handle, stream)) return status;
    if (const cudaError_t status = find_event(event_handle, event)) return status;
    if (event->capture || (stream->capture && !event->newest.empty())) {
      return wait_in_capture(stream, *event);
    }
    return event->newest.empty() ? cudaSuccess : enqueue(stream, {}, event->newest);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  SIM_RUNTIME({ return query_event(event); });
}

CUresult cuEventQuery(CUevent event) {
  SIM_DRIVER({ return query_event(event); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  SIM_RUNTIME({
    const cudaError_t status = query_event(handle);
    if (status != cudaErrorNotReady) return status;
    std::shared_ptr<Event> event;
    static_cast<void>(find_event(handle, event));
    wait_for(lock, std::vector(event->newest));
    return event->device->fault;
  });
}

}  // extern "C"
