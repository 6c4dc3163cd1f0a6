// The NVIDIA driver, found at run time: its functions, each GPU's context and first fault, and the
// one way to check a call. Nothing here makes a context but primary_context() and ContextScope.
// Thread-safe. The functions and contexts are kept until the process ends.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <exception>
#include <string_view>

/// Checks a call of the runtime or of the driver: `CUDA_TRY(cudaEventRecord(event, stream))`.
#define CUDA_TRY(call) ::penstock::backend::cuda_detail::check((call), #call)

namespace penstock::backend::cuda_detail {

/// Where a check stands: the line that the function with this default argument is called on.
struct Place {
  const char* file;
  int line;
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// What is not in the runtime, or costs more there, or would make a context.
#define PENSTOCK_DRIVER_FUNCTIONS(X)        \
  X(cuCtxGetCurrent)                        \
  X(cuCtxGetDevice)                         \
  X(cuCtxPushCurrent)                       \
  X(cuCtxPopCurrent)                        \
  X(cuCtxRecordEvent)                       \
  X(cuDeviceGetAttribute)                   \
  X(cuDevicePrimaryCtxGetState)             \
  X(cuDevicePrimaryCtxRetain)               \
  X(cuEventQuery)                           \
  X(cuMemAddressFree)                       \
  X(cuMemAddressReserve)                    \
  X(cuMemCreate)                            \
  X(cuMemExportToShareableHandle)           \
  X(cuMemGetAllocationGranularity)          \
  X(cuMemGetAllocationPropertiesFromHandle) \
  X(cuMemImportFromShareableHandle)         \
  X(cuMemMap)                               \
  X(cuMemRelease)                           \
  X(cuMemRetainAllocationHandle)            \
  X(cuMemSetAccess)                         \
  X(cuMemUnmap)                             \
  X(cuPointerGetAttributes)                 \
  X(cuStreamGetCtx)                         \
  X(cuStreamQuery)                          \
  X(cuThreadExchangeStreamCaptureMode)

struct Driver {
#define PENSTOCK_MEMBER(name) decltype(&::name) name = nullptr;
  PENSTOCK_DRIVER_FUNCTIONS(PENSTOCK_MEMBER)
#undef PENSTOCK_MEMBER
};

/// GPUs that can be used; 0 where there is no driver.
[[nodiscard]] int device_count();
/// DeviceError where there is no driver or no GPU.
[[nodiscard]] const Driver& driver();
/// DeviceError unless there is a GPU of that index.
void check_device(int device);

/// The device's primary context, made at the first call.
[[nodiscard]] CUcontext primary_context(int device);
/// True once somebody in this process has made it. Makes none.
[[nodiscard]] bool is_in_use(int device);
/// Makes it current on this thread for good, and raises the device's first fault.
void make_current(int device);

/// This thread's calls are allowed while this lives, and void nobody's graph capture: outside of
/// the relaxed mode a query or an allocation does, whichever thread captures.
class RelaxedScope {
 public:
  RelaxedScope();
  ~RelaxedScope();
  RelaxedScope(const RelaxedScope&) = delete;
  RelaxedScope& operator=(const RelaxedScope&) = delete;

 private:
  CUstreamCaptureMode before_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

/// The device's primary context is current on this thread while this lives.
class ContextScope {
 public:
  explicit ContextScope(int device);
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  RelaxedScope relaxed_;
  bool pushed_ = false;
};

/// The first fault of the device, empty while it works.
[[nodiscard]] std::exception_ptr lost(int device);
/// False while no device has had one. A load, no call.
[[nodiscard]] bool any_fault();
/// True for errors after which the context is of no use.
[[nodiscard]] bool is_fault(cudaError_t status);
/// Marks the devices that such an error came from; gives their first one.
std::exception_ptr note_fault(cudaError_t status, std::string_view call,
                              Place where = Place::here());

[[noreturn]] void fail(cudaError_t status, std::string_view call, Place where);
inline void check(cudaError_t status, const char* call, Place where = Place::here()) {
  if (status != cudaSuccess) [[unlikely]]
    fail(status, call, where);
}
// The driver's codes have the same numbers as the runtime's.
inline void check(CUresult status, const char* call, Place where = Place::here()) {
  if (status != CUDA_SUCCESS) [[unlikely]]
    fail(static_cast<cudaError_t>(status), call, where);
}

}  // namespace penstock::backend::cuda_detail
