// Stream capture: which streams are in one, and what voids it. A graph can't be launched.
#include "machine.hpp"

#include "sim_cuda.hpp"

#include <algorithm>

namespace sim {
namespace {

thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;

// Every stream of the capture is behind all of another's operations, directly or through others.
bool is_joined(const Capture& capture) {
  auto& seen = capture.origin->seen;
  return std::all_of(capture.streams.begin(), capture.streams.end(), [&](const auto& stream) {
    return seen[stream.get()] >= stream->seen[stream.get()];
  });
}

void end(const std::shared_ptr<Capture>& capture) {
  for (const auto& stream : capture->streams) {
    stream->capture.reset();
    stream->seen.clear();
  }
  std::erase(machine().captures, capture);
}

}  // namespace

// A capture that was begun in the relaxed mode minds nobody; one of another thread minds if both
// that and this thread are in the global mode.
cudaError_t check_unsafe() {
  if (capture_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  bool is_forbidden = false;
  for (const auto& capture : machine().captures) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    const bool is_own = capture->thread == std::this_thread::get_id();
    const bool is_global =
        capture_mode == cudaStreamCaptureModeGlobal && capture->mode == cudaStreamCaptureModeGlobal;
    if (!is_own && !is_global) continue;
    capture->is_valid = false;
    is_forbidden = true;
  }
  return is_forbidden ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t check_implicit(const Stream& stream, bool invalidates) {
  if (&stream != stream.device->legacy.get()) return cudaSuccess;
  cudaError_t status = cudaSuccess;
  for (const auto& other : stream.device->streams) {
    if (!other->is_blocking || !other->capture) continue;
    if (invalidates) other->capture->is_valid = false;
    status = cudaErrorStreamCaptureImplicit;
  }
  return status;
}

}  // namespace sim

using namespace sim;

int sim_graph_nodes(void* graph) {
  const Lock lock(machine().mutex);
  const auto found = machine().graphs.find(graph);
  return found ? found->nodes : -1;
}

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  SIM_RUNTIME({
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(handle, stream)) return status;
    if (stream == stream->device->legacy) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture) return cudaErrorIllegalState;
    stream->capture = std::make_shared<Capture>();
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    stream->capture->origin = stream;
    stream->capture->streams.push_back(stream);
    machine().captures.push_back(stream->capture);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  SIM_RUNTIME({
    *graph = nullptr;
    std::shared_ptr<Stream> stream;
    if (const cudaError_t status = find_stream(handle, stream)) return status;
    const auto capture = stream->capture;
    if (!capture || capture->origin != stream) return cudaErrorStreamCaptureUnmatched;
    const bool is_own = capture->thread == std::this_thread::get_id();
    if (!is_own && capture->mode != cudaStreamCaptureModeRelaxed) {
      return cudaErrorStreamCaptureWrongThread;
    }
    const bool joined = is_joined(*capture);
    end(capture);
    if (!capture->is_valid) return cudaErrorStreamCaptureInvalidated;
    if (!joined) return cudaErrorStreamCaptureUnjoined;
    *graph = static_cast<cudaGraph_t>(machine().graphs.add(capture));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  SIM_RUNTIME({
    machine().graphs.remove(graph);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  SIM_RUNTIME({
    std::shared_ptr<Stream> stream;
    if (const cudaError_t error = find_stream(handle, stream)) return error;
    if (const cudaError_t error = check_implicit(*stream, false)) return error;
    *status = !stream->capture            ? cudaStreamCaptureStatusNone
              : stream->capture->is_valid ? cudaStreamCaptureStatusActive
                                          : cudaStreamCaptureStatusInvalidated;
    return cudaSuccess;
  });
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  SIM_DRIVER({
    const auto before = capture_mode;
    capture_mode = static_cast<cudaStreamCaptureMode>(*mode);
    *mode = static_cast<CUstreamCaptureMode>(before);
    return cudaSuccess;
  });
}

}  // extern "C"
