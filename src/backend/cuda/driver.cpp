#include "backend/cuda/driver.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "base/spin_lock.hpp"
#include "base/throw.hpp"
#include "exec/fork.hpp"

namespace penstock::backend::cuda_detail {
namespace {

// cuCtxRecordEvent is the youngest of the functions, and none has changed its type since. One did
// with that version, and is taken as it was.
constexpr unsigned kFunctionsOf = 12050;
constexpr unsigned version_of(std::string_view name) {
  return name == "cuStreamGetCtx" ? 9020 : kFunctionsOf;
}

struct DeviceState {
  std::atomic<CUcontext> context{nullptr};
  std::atomic<bool> is_lost{false};
  std::exception_ptr lost;  // guarded by Found::lock
};

struct Found {
  int devices = 0;
  cudaError_t status = cudaSuccess;
  const char* missing = nullptr;
  Driver driver;
  std::unique_ptr<DeviceState[]> states;
  std::atomic<bool> any_fault{false};
  SpinLock lock;
};

// The name of the first function that the driver lacks, nullptr if it has all.
const char* load(Driver& driver) {
  const char* missing = nullptr;
  const auto load_one = [&](auto& function, const char* name) {
    void* address = nullptr;
    static_cast<void>(
        cudaGetDriverEntryPointByVersion(name, &address, version_of(name), cudaEnableLegacyStream));
    if (address == nullptr && missing == nullptr) missing = name;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
#define PENSTOCK_LOAD(name) load_one(driver.name, #name);
  PENSTOCK_DRIVER_FUNCTIONS(PENSTOCK_LOAD)
#undef PENSTOCK_LOAD
  return missing;
}

// Leaked on purpose: threads may end after static destruction.
Found& found() {
  static Found* const kFound = [] {
    auto* result = new Found;
    // By default 8 streams share the hardware's queues, and wait for each other there.
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);  // NOLINT(concurrency-mt-unsafe)
    result->status = cudaGetDeviceCount(&result->devices);
    if (result->status == cudaSuccess && result->devices > 0) {
      result->missing = load(result->driver);
      result->states = std::make_unique<DeviceState[]>(static_cast<unsigned>(result->devices));
    }
    if (result->status != cudaSuccess || result->missing != nullptr) result->devices = 0;
    static_cast<void>(cudaGetLastError());
    return result;
  }();
  return *kFound;
}

std::string_view name_of(std::string_view call) {
  const std::size_t begin = call.find("cu");
  call.remove_prefix(begin == std::string_view::npos ? 0 : begin);
  return call.substr(0, call.find('('));
}

std::string place_of(Place where) {
  const std::string_view path = where.file;
  const std::size_t slash = path.rfind('/');
  return fmt::format("{}:{}", slash == std::string_view::npos ? path : path.substr(slash + 1),
                     where.line);
}

[[noreturn]] void refuse(cudaError_t status, const char* missing) {
  if (missing != nullptr) {
    throw_error<DeviceError>(
        "cuda: the NVIDIA driver has no {}; update it to one of CUDA 12.5 or newer, or use device "
        "\"cpu\"",
        missing);
  }
  int version = 0;
  static_cast<void>(cudaDriverGetVersion(&version));
  if (version == 0) {
    throw DeviceError(
        "cuda: no NVIDIA driver was found (libcuda.so.1); install one, or use device \"cpu\"");
  }
  if (status == cudaErrorInsufficientDriver) {
    throw_error<DeviceError>(
        "cuda: the NVIDIA driver is for CUDA {}.{}, this build of Penstock needs {}.{}; update the "
        "driver, or use device \"cpu\"",
        version / 1000, version % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  }
  if (status == cudaSuccess || status == cudaErrorNoDevice) {
    throw DeviceError(
        "cuda: there is an NVIDIA driver, but no GPU that it may use; look at nvidia-smi and "
        "CUDA_VISIBLE_DEVICES, or use device \"cpu\"");
  }
  throw_error<DeviceError>(
      "cuda: the NVIDIA driver does not start: cudaGetDeviceCount gave {} ({}); look at "
      "nvidia-smi, "
      "or use device \"cpu\"",
      cudaGetErrorName(status), cudaGetErrorString(status));
}

const char* advice(cudaError_t status) {
  switch (status) {
    case cudaErrorMemoryAllocation:
      return "free memory on the device, or take smaller batches";
    case cudaErrorInitializationError:
      return "CUDA can't be used in a process that was forked after its first use: start processes "
             "with the method \"spawn\"";
    case cudaErrorInvalidResourceHandle:
      return "the stream or the event was destroyed, or they belong to two devices";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorCapturedEvent:
    case cudaErrorStreamCaptureWrongThread:
      return "a stream is being captured into a graph: make this call before or after the capture";
    default:
      return is_fault(status)
                 ? "the device is lost to this process: start it again; compute-sanitizer or "
                   "CUDA_LAUNCH_BLOCKING=1 names the kernel"
                 : "look the code up in CUDA's list of errors";
  }
}

std::string describe(cudaError_t status, std::string_view call, Place where) {
  return fmt::format("{} gave {} ({}) at {}: {}", name_of(call), cudaGetErrorName(status),
                     cudaGetErrorString(status), place_of(where), advice(status));
}

}  // namespace

int device_count() { return found().devices; }

const Driver& driver() {
  const Found& here = found();
  if (here.devices == 0) [[unlikely]]
    refuse(here.status, here.missing);
  return here.driver;
}

void check_device(int device) {
  static_cast<void>(driver());
  if (device >= 0 && device < device_count()) return;
  throw_error<DeviceError>("cuda: there is no device cuda:{}; there are {}, from cuda:0", device,
                           device_count());
}

CUcontext primary_context(int device) {
  check_device(device);
  std::atomic<CUcontext>& known = found().states[static_cast<std::size_t>(device)].context;
  CUcontext context = known.load(std::memory_order_acquire);
  if (context != nullptr) return context;
  exec::note_threads();  // CUDA has its own from here on, and a forked child can't use any of it
  // Two threads may both retain it: it is never released.
  CUDA_TRY(driver().cuDevicePrimaryCtxRetain(&context, device));
  known.store(context, std::memory_order_release);
  return context;
}

bool is_in_use(int device) {
  check_device(device);
  if (found().states[static_cast<std::size_t>(device)].context.load() != nullptr) return true;
  unsigned flags = 0;
  int is_active = 0;
  CUDA_TRY(driver().cuDevicePrimaryCtxGetState(device, &flags, &is_active));
  return is_active != 0;
}

void make_current(int device) {
  CUcontext wanted = primary_context(device);
  if (found().states[static_cast<std::size_t>(device)].is_lost.load(std::memory_order_acquire)) {
    std::rethrow_exception(lost(device));
  }
  CUcontext current = nullptr;
  CUDA_TRY(driver().cuCtxGetCurrent(&current));
  if (current != wanted) CUDA_TRY(cudaSetDevice(device));
}

RelaxedScope::RelaxedScope() { CUDA_TRY(driver().cuThreadExchangeStreamCaptureMode(&before_)); }

RelaxedScope::~RelaxedScope() {
  if (before_ == CU_STREAM_CAPTURE_MODE_RELAXED) return;
  static_cast<void>(driver().cuThreadExchangeStreamCaptureMode(&before_));
}

ContextScope::ContextScope(int device) {
  CUcontext wanted = primary_context(device);
  CUcontext current = nullptr;
  CUDA_TRY(driver().cuCtxGetCurrent(&current));
  if (current == wanted) return;
  CUDA_TRY(driver().cuCtxPushCurrent(wanted));
  pushed_ = true;
}

ContextScope::~ContextScope() {
  CUcontext popped = nullptr;
  if (pushed_) static_cast<void>(driver().cuCtxPopCurrent(&popped));
}

std::exception_ptr lost(int device) {
  check_device(device);
  Found& here = found();
  const DeviceState& state = here.states[static_cast<std::size_t>(device)];
  if (!state.is_lost.load(std::memory_order_acquire)) return nullptr;
  const std::lock_guard guard(here.lock);
  return state.lost;
}

bool any_fault() { return found().any_fault.load(std::memory_order_acquire); }

bool is_fault(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorIllegalAddress:
    case cudaErrorExternalDevice:
    case cudaErrorMpsClientTerminated:
    case cudaErrorContained:
    case cudaErrorTensorMemoryLeak:
      return true;
    default:
      return false;
  }
}

// A fault breaks one context, and every call in that context tells; so each is asked.
std::exception_ptr note_fault(cudaError_t status, std::string_view call, Place where) {
  Found& here = found();
  auto error = std::make_exception_ptr(DeviceError(describe(status, call, where)));
  std::exception_ptr first;
  here.any_fault.store(true, std::memory_order_release);
  for (int device = 0; device < here.devices; ++device) {
    DeviceState& state = here.states[static_cast<std::size_t>(device)];
    CUcontext context = state.context.load();
    if (context == nullptr || here.driver.cuCtxPushCurrent(context) != CUDA_SUCCESS) continue;
    const CUresult answer = here.driver.cuStreamQuery(CU_STREAM_LEGACY);
    static_cast<void>(here.driver.cuCtxPopCurrent(&context));
    if (!is_fault(static_cast<cudaError_t>(answer))) continue;
    const std::lock_guard guard(here.lock);
    if (!state.lost) state.lost = error;
    state.is_lost.store(true, std::memory_order_release);
    if (!first) first = state.lost;
  }
  return first ? first : error;
}

void fail(cudaError_t status, std::string_view call, Place where) {
  // The runtime remembers it, and whoever checks a kernel launch next would take it for his own.
  static_cast<void>(cudaGetLastError());
  if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice) refuse(status, nullptr);
  if (is_fault(status)) std::rethrow_exception(note_fault(status, call, where));
  const std::string text = describe(status, call, where);
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw DeviceError(text);
}

}  // namespace penstock::backend::cuda_detail
