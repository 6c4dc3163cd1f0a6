// Devices, contexts, errors, and how the driver's functions are found.
#include "machine.hpp"

#include "backend/cuda/driver.hpp"
#include "sim_cuda.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sim {
namespace {

// As the driver has it: contexts are pushed and popped; the runtime replaces the one on top.
thread_local std::vector<Device*> contexts;
thread_local int device_set = 0;
thread_local cudaError_t last_error = cudaSuccess;

void make_context(Device& device) {
  if (device.has_context) return;
  device.has_context = true;
  device.legacy = make_stream(device, true);
}

Device* device_at(int index) {
  auto& devices = machine().devices;
  const bool is_there = index >= 0 && static_cast<std::size_t>(index) < devices.size();
  return is_there ? devices[static_cast<std::size_t>(index)].get() : nullptr;
}

Device* device_of(CUcontext context) { return reinterpret_cast<Device*>(context); }

// Each thread has a stream of its own on each device. It goes with the thread.
struct OwnStreams {
  std::map<Device*, std::shared_ptr<Stream>> streams;
  ~OwnStreams() {
    if (is_forked()) return;
    const Lock lock(machine().mutex);
    for (auto& [device, stream] : streams) {
      stream->is_destroyed = true;
      if (!stream->is_running) std::erase(device->streams, stream);
    }
  }
};
thread_local OwnStreams own_streams;

struct Entry {
  const char* name;
  void* address;
};

#define SIM_ENTRY(name) {#name, reinterpret_cast<void*>(&::name)},
auto driver_entries() { return std::to_array<Entry>({PENSTOCK_DRIVER_FUNCTIONS(SIM_ENTRY)}); }
auto runtime_entries() {
  return std::to_array<Entry>({
      // clang-format off
      SIM_ENTRY(cudaDeviceSynchronize) SIM_ENTRY(cudaEventCreateWithFlags) SIM_ENTRY(cudaEventDestroy)
      SIM_ENTRY(cudaEventQuery) SIM_ENTRY(cudaEventRecord) SIM_ENTRY(cudaEventSynchronize)
      SIM_ENTRY(cudaFree) SIM_ENTRY(cudaFreeHost) SIM_ENTRY(cudaGetLastError)
      SIM_ENTRY(cudaGraphDestroy) SIM_ENTRY(cudaHostAlloc) SIM_ENTRY(cudaMalloc)
      SIM_ENTRY(cudaMallocManaged) SIM_ENTRY(cudaMemcpyAsync) SIM_ENTRY(cudaMemsetAsync)
      SIM_ENTRY(cudaSetDevice) SIM_ENTRY(cudaStreamBeginCapture) SIM_ENTRY(cudaStreamCreateWithFlags)
      SIM_ENTRY(cudaStreamCreateWithPriority) SIM_ENTRY(cudaStreamDestroy)
      SIM_ENTRY(cudaStreamEndCapture) SIM_ENTRY(cudaStreamGetId) SIM_ENTRY(cudaStreamIsCapturing)
      SIM_ENTRY(cudaStreamQuery) SIM_ENTRY(cudaStreamSynchronize) SIM_ENTRY(cudaStreamWaitEvent)
      // clang-format on
  });
}
#undef SIM_ENTRY

template <class Entries>
void* find(const Entries& entries, const char* name) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
    return std::strcmp(entry.name, name) == 0;
  });
  return found == entries.end() ? nullptr : found->address;
}

// From some version on a name is that of a function with other arguments.
bool is_as_simulated(const char* symbol, unsigned version) {
  if (std::strcmp(symbol, "cuStreamGetCtx") == 0) return version < 12050;
  if (std::strcmp(symbol, "cuCtxGetDevice") == 0) return version < 13000;
  return true;
}

struct ErrorText {
  cudaError_t code;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrors[] = {
#define SIM_ERROR(code, text) {code, #code, text}
    SIM_ERROR(cudaSuccess, "no error"),
    SIM_ERROR(cudaErrorInvalidValue, "invalid argument"),
    SIM_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    SIM_ERROR(cudaErrorInitializationError, "initialization error"),
    SIM_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    SIM_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    SIM_ERROR(cudaErrorDeviceUninitialized, "invalid device context"),
    SIM_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    SIM_ERROR(cudaErrorNotReady, "device not ready"),
    SIM_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    SIM_ERROR(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled"),
    SIM_ERROR(cudaErrorAssert, "device-side assert triggered"),
    SIM_ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    SIM_ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    SIM_ERROR(cudaErrorStreamCaptureUnsupported,
              "operation not permitted when stream is capturing"),
    SIM_ERROR(cudaErrorStreamCaptureInvalidated,
              "operation failed due to a previous error during capture"),
    SIM_ERROR(cudaErrorStreamCaptureUnmatched, "capture was not initiated in this stream"),
    SIM_ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    SIM_ERROR(cudaErrorStreamCaptureIsolation,
              "dependency created on uncaptured work in another stream"),
    SIM_ERROR(cudaErrorStreamCaptureImplicit,
              "operation would make the legacy stream depend on a capturing blocking stream"),
    SIM_ERROR(cudaErrorCapturedEvent,
              "operation not permitted on an event last recorded in a capturing stream"),
    SIM_ERROR(cudaErrorStreamCaptureWrongThread,
              "attempt to terminate a thread-local capture sequence from another thread"),
#undef SIM_ERROR
};

const ErrorText& text_of(cudaError_t code) {
  static constexpr ErrorText kUnknown{cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
  const auto* found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                   [&](const ErrorText& error) { return error.code == code; });
  return found == std::end(kErrors) ? kUnknown : *found;
}

}  // namespace

cudaError_t note_error(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

Device* current() { return contexts.empty() ? nullptr : contexts.back(); }

cudaError_t current_or_made(Device*& device) {
  if (contexts.empty()) {
    device = device_at(device_set);
    if (device == nullptr) return cudaErrorNoDevice;
    make_context(*device);
    contexts.push_back(device);
  }
  device = contexts.back();
  return device->fault;
}

cudaError_t find_stream(cudaStream_t handle, std::shared_ptr<Stream>& stream, bool makes_context) {
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) {
    Device* device = current();
    if (device == nullptr && !makes_context) return cudaErrorDeviceUninitialized;
    if (const cudaError_t status = current_or_made(device)) return status;
    if (handle == cudaStreamPerThread) {
      auto& own = own_streams.streams[device];
      if (!own) own = make_stream(*device, true);
      stream = own;
    } else {
      stream = device->legacy;
    }
    return cudaSuccess;
  }
  stream = machine().streams.find(handle);
  if (stream) return stream->device->fault;
  ++machine().calls_of_no_stream;
  return cudaErrorInvalidResourceHandle;
}

cudaError_t find_event(cudaEvent_t handle, std::shared_ptr<Event>& event) {
  event = machine().events.find(handle);
  return event ? event->device->fault : cudaErrorInvalidResourceHandle;
}

}  // namespace sim

using namespace sim;

void* sim_function(const char* function) {
  void* address = find(runtime_entries(), function);
  return address != nullptr ? address : find(driver_entries(), function);
}

extern "C" {

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned version,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  SIM_RUNTIME({
    *function = is_as_simulated(symbol, version) ? find(driver_entries(), symbol) : nullptr;
    const bool is_found = *function != nullptr;
    if (result != nullptr) {
      *result = is_found ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    }
    return is_found || result != nullptr ? cudaSuccess : cudaErrorSymbolNotFound;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  SIM_RUNTIME({
    *version = CUDART_VERSION;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  SIM_RUNTIME({
    *count = static_cast<int>(machine().devices.size());
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  SIM_RUNTIME({
    const Device* device = device_at(index);
    if (device == nullptr) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "Simulated GPU %d", index);
    properties->totalGlobalMem = device->total_bytes;
    properties->multiProcessorCount = 4;
    properties->major = 9;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int index) {
  SIM_RUNTIME({
    Device* device = device_at(index);
    if (device == nullptr) return cudaErrorInvalidDevice;
    make_context(*device);
    if (contexts.empty()) contexts.emplace_back();
    contexts.back() = device;
    device_set = index;
    return device->fault;
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  SIM_RUNTIME({
    if (device_at(device) == nullptr || device_at(peer) == nullptr) return cudaErrorInvalidDevice;
    *can = device != peer && machine().has_peers ? 1 : 0;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  SIM_RUNTIME({
    Device* device = nullptr;
    if (const cudaError_t status = current_or_made(device)) return status;
    if (device_at(peer) == nullptr || peer == device->index) return cudaErrorInvalidDevice;
    auto& peers = device->peers;
    if (std::find(peers.begin(), peers.end(), peer) != peers.end()) {
      return cudaErrorPeerAccessAlreadyEnabled;
    }
    peers.push_back(peer);
    return cudaSuccess;
  });
}

cudaError_t cudaGetLastError() {
  static auto& calls = counter(__func__);
  ++calls;
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }

CUresult cuCtxGetCurrent(CUcontext* context) {
  SIM_DRIVER({
    *context = reinterpret_cast<CUcontext>(current());
    return cudaSuccess;
  });
}

CUresult cuCtxGetDevice(CUdevice* device) {
  SIM_DRIVER({
    if (contexts.empty()) return cudaErrorDeviceUninitialized;
    *device = contexts.back()->index;
    return cudaSuccess;
  });
}

CUresult cuCtxPushCurrent(CUcontext context) {
  SIM_DRIVER({
    if (context == nullptr || !device_of(context)->has_context) return cudaErrorDeviceUninitialized;
    contexts.push_back(device_of(context));
    return cudaSuccess;
  });
}

CUresult cuCtxPopCurrent(CUcontext* context) {
  SIM_DRIVER({
    if (contexts.empty()) return cudaErrorDeviceUninitialized;
    if (context != nullptr) *context = reinterpret_cast<CUcontext>(contexts.back());
    contexts.pop_back();
    return cudaSuccess;
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice index) {
  SIM_DRIVER({
    Device* device = device_at(index);
    if (device == nullptr) return cudaErrorInvalidDevice;
    make_context(*device);
    *context = reinterpret_cast<CUcontext>(device);
    return cudaSuccess;
  });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice index, unsigned* flags, int* is_active) {
  SIM_DRIVER({
    const Device* device = device_at(index);
    if (device == nullptr) return cudaErrorInvalidDevice;
    *flags = 0;
    *is_active = device->has_context ? 1 : 0;
    return cudaSuccess;
  });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice index) {
  SIM_DRIVER({
    if (device_at(index) == nullptr) return cudaErrorInvalidDevice;
    const bool is_true =
        attribute == CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED ||
        attribute == CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED ||
        attribute == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED;
    *value = is_true ? 1 : 0;
    return cudaSuccess;
  });
}

}  // extern "C"
