#include "backend/backend.hpp"
#include "backend/cuda/allocation.hpp"
#include "backend/cuda/driver.hpp"
#include "backend/cuda/memory.hpp"
#include "base/spin_lock.hpp"
#include "base/throw.hpp"
#include "base/time.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>

namespace penstock::backend {
namespace {

using namespace cuda_detail;

constexpr std::int64_t kSpinNs = 50'000;
constexpr std::int64_t kSleepNs = 50'000;

// Handles are CUDA's own: addresses, or small numbers for the legacy and the per-thread stream of
// the device that is current. With those goes their device.
constexpr std::uintptr_t kNumbers = 1 << 16;
constexpr unsigned kNumberBits = 8;

const auto kLegacy = reinterpret_cast<std::uintptr_t>(cudaStreamLegacy);
const auto kPerThread = reinterpret_cast<std::uintptr_t>(cudaStreamPerThread);

bool is_number(std::uintptr_t handle) { return handle < kNumbers; }
StreamHandle numbered(int device, std::uintptr_t number) {
  check_device(device);
  return static_cast<StreamHandle>(static_cast<std::uintptr_t>(device) << kNumberBits | number);
}

// As CUDA takes it, while this lives.
class NativeStream {
 public:
  explicit NativeStream(StreamHandle stream) {
    auto value = static_cast<std::uintptr_t>(stream);
    if (is_number(value)) [[unlikely]] {
      // CUDA takes a null stream for the legacy one: an empty handle must not get that far.
      if (stream == StreamHandle::none) {
        static_cast<void>(driver());
        throw StreamError("cuda: an empty stream handle; take one of create_stream()");
      }
      device_.emplace(static_cast<int>(value >> kNumberBits));
      value &= (1U << kNumberBits) - 1;
    }
    stream_ = reinterpret_cast<cudaStream_t>(value);
  }
  operator cudaStream_t() const { return stream_; }  // NOLINT(google-explicit-constructor)

 private:
  std::optional<ContextScope> device_;
  cudaStream_t stream_ = nullptr;
};

cudaEvent_t native(EventHandle event) { return reinterpret_cast<cudaEvent_t>(event); }

// CUDA has no wait with a deadline.
template <class Done>
bool poll(std::int64_t deadline_ns, Done&& done) {
  const std::int64_t start = now_ns();
  while (!done()) {
    const std::int64_t now = now_ns();
    if (now >= deadline_ns) return false;
    if (now - start < kSpinNs) {
      cpu_relax();
    } else {
      std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(kSleepNs, deadline_ns - now)));
    }
  }
  return true;
}

// The driver's query, not the runtime's: that leaves "not ready" behind as this thread's last
// error.
bool is_done(CUresult status, const char* call) {
  if (status == CUDA_ERROR_NOT_READY) return false;
  check(status, call);
  return true;
}

class CudaBackend final : public Backend {
 public:
  int device_count() override { return cuda_detail::device_count(); }
  DeviceProperties properties(int device) override {
    check_device(device);
    cudaDeviceProp found;
    CUDA_TRY(cudaGetDeviceProperties(&found, device));
    return {found.name, found.multiProcessorCount, found.major * 10 + found.minor,
            page_bytes(device)};
  }
  MemoryInfo memory_info(int device) override {
    const ContextScope scope(device);
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    CUDA_TRY(cudaMemGetInfo(&free_bytes, &total_bytes));
    return {static_cast<std::int64_t>(free_bytes), static_cast<std::int64_t>(total_bytes)};
  }
  AddressInfo address_info(const void* address) override;
  void make_current(int device) override { cuda_detail::make_current(device); }
  bool is_in_use(int device) override { return cuda_detail::is_in_use(device); }
  void enable_peer_access(int device, int peer) override {
    cuda_detail::enable_peer_access(device, peer);
  }
  std::exception_ptr lost(int device) override { return cuda_detail::lost(device); }

  Reservation reserve(int device, MemoryKind kind, std::size_t bytes) override {
    return cuda_detail::reserve(device, kind, bytes);
  }
  void release(const Reservation& reservation) override { cuda_detail::release(reservation); }
  void map(const Reservation& reservation, std::size_t offset, std::size_t bytes) override {
    cuda_detail::map(reservation, offset, bytes);
  }
  void unmap(const Reservation& reservation, std::size_t offset, std::size_t bytes) override {
    cuda_detail::unmap(reservation, offset, bytes);
  }
  MemoryExport export_memory(const Reservation& reservation, std::size_t offset,
                             std::size_t bytes) override {
    return cuda_detail::export_memory(reservation, offset, bytes);
  }
  Reservation open_memory(int device, const MemoryExport& exported) override {
    return cuda_detail::open_memory(device, exported);
  }

  StreamHandle create_stream(int device, int priority) override {
    const ContextScope scope(device);
    cudaStream_t stream = nullptr;
    CUDA_TRY(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority));
    return static_cast<StreamHandle>(reinterpret_cast<std::uintptr_t>(stream));
  }
  void destroy_stream(StreamHandle stream) override {
    CUDA_TRY(cudaStreamDestroy(NativeStream(stream)));
  }
  std::uint64_t stream_id(StreamHandle stream) override {
    unsigned long long id = 0;
    CUDA_TRY(cudaStreamGetId(NativeStream(stream), &id));
    return id;
  }
  bool runs_here(StreamHandle) override { return false; }
  StreamHandle legacy_stream(int device) override { return numbered(device, kLegacy); }
  StreamHandle per_thread_stream(int device) override { return numbered(device, kPerThread); }
  StreamHandle stream_of(int device, std::uintptr_t native) override {
    if (!is_number(native)) return static_cast<StreamHandle>(native);
    if (native == kLegacy || native == kPerThread) return numbered(device, native);
    throw_error<StreamError>(
        "cuda: {} is no stream; 1 is the legacy one, 2 the per-thread one, others are addresses",
        native);
  }
  std::uintptr_t native_stream(StreamHandle stream) override {
    const auto value = static_cast<std::uintptr_t>(stream);
    return is_number(value) ? value & ((1U << kNumberBits) - 1) : value;
  }
  int stream_device(std::uintptr_t native) override;
  bool sync_stream(StreamHandle stream, std::int64_t deadline_ns) override {
    const NativeStream native_stream(stream);
    const RelaxedScope relaxed;
    return poll(deadline_ns,
                [&] { return is_done(driver().cuStreamQuery(native_stream), "cuStreamQuery"); });
  }

  std::exception_ptr take_error(StreamHandle) override { return nullptr; }

  EventHandle create_event(int device) override {
    const ContextScope scope(device);
    cudaEvent_t event = nullptr;
    CUDA_TRY(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return static_cast<EventHandle>(reinterpret_cast<std::uintptr_t>(event));
  }
  void destroy_event(EventHandle event) override { CUDA_TRY(cudaEventDestroy(native(event))); }
  void record(EventHandle event, StreamHandle stream) override {
    CUDA_TRY(cudaEventRecord(native(event), NativeStream(stream)));
  }
  void record_context(EventHandle event, int device) override {
    CUcontext context = primary_context(device);
    CUDA_TRY(driver().cuCtxRecordEvent(context, native(event)));
  }
  void wait(StreamHandle stream, EventHandle event) override {
    CUDA_TRY(cudaStreamWaitEvent(NativeStream(stream), native(event), 0));
  }
  bool query(EventHandle event) override {
    const RelaxedScope relaxed;
    const CUresult status = driver().cuEventQuery(native(event));
    if (is_fault(static_cast<cudaError_t>(status))) [[unlikely]] {
      note_fault(static_cast<cudaError_t>(status), "cuEventQuery");
      return true;
    }
    return is_done(status, "cuEventQuery");
  }
  std::exception_ptr error(EventHandle event) override {
    static_cast<void>(driver());
    if (!any_fault()) return nullptr;
    const RelaxedScope relaxed;
    const auto status = static_cast<cudaError_t>(driver().cuEventQuery(native(event)));
    return is_fault(status) ? note_fault(status, "cuEventQuery") : nullptr;
  }
  bool sync(EventHandle event, std::int64_t deadline_ns) override {
    return poll(deadline_ns, [&] { return query(event); });
  }
  bool notify(EventHandle, Completion&) override {
    static_cast<void>(driver());
    return false;
  }

  void copy(void* target, const void* source, std::size_t bytes, StreamHandle stream) override {
    CUDA_TRY(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, NativeStream(stream)));
  }
  void copy_rows(void* target, std::size_t target_pitch, const void* source,
                 std::size_t source_pitch, std::size_t row_bytes, std::size_t rows,
                 StreamHandle stream) override {
    CUDA_TRY(cudaMemcpy2DAsync(target, target_pitch, source, source_pitch, row_bytes, rows,
                               cudaMemcpyDefault, NativeStream(stream)));
  }
  void fill(void* target, std::uint8_t value, std::size_t bytes, StreamHandle stream) override {
    CUDA_TRY(cudaMemsetAsync(target, value, bytes, NativeStream(stream)));
  }
  void launch(StreamHandle, std::unique_ptr<HostTask>) override {
    static_cast<void>(driver());
    throw DeviceError(
        "launch: CUDA has no host tasks in stream order; record an event and wait for it, or use a "
        "stream of the host");
  }

  CaptureMode exchange_capture_mode(CaptureMode mode) override {
    if (device_count() == 0) return mode;
    auto native_mode = static_cast<CUstreamCaptureMode>(mode);
    CUDA_TRY(driver().cuThreadExchangeStreamCaptureMode(&native_mode));
    return static_cast<CaptureMode>(native_mode);
  }
  bool is_capturing(StreamHandle stream) override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaError_t answer = cudaStreamIsCapturing(NativeStream(stream), &status);
    if (answer == cudaErrorStreamCaptureImplicit) {
      // The legacy stream while a blocking stream is captured: it can't be used either.
      static_cast<void>(cudaGetLastError());
      return true;
    }
    check(answer, "cudaStreamIsCapturing");
    return status != cudaStreamCaptureStatusNone;
  }
};

static_assert(static_cast<int>(CaptureMode::global) == CU_STREAM_CAPTURE_MODE_GLOBAL &&
              static_cast<int>(CaptureMode::thread_local_) == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL &&
              static_cast<int>(CaptureMode::relaxed) == CU_STREAM_CAPTURE_MODE_RELAXED);

// The driver's question, not the runtime's: that would make a context.
AddressInfo CudaBackend::address_info(const void* address) {
  if (device_count() == 0) return {MemoryKind::host, Device::cpu()};
  unsigned type = 0;
  unsigned is_managed = 0;
  int device = 0;
  std::array<CUpointer_attribute, 3> which{CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                           CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                           CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
  std::array<void*, 3> answers{&type, &is_managed, &device};
  const CUresult status = driver().cuPointerGetAttributes(
      which.size(), which.data(), answers.data(), reinterpret_cast<CUdeviceptr>(address));
  if (status != CUDA_ERROR_INVALID_CONTEXT) check(status, "cuPointerGetAttributes");
  if (status != CUDA_SUCCESS || type == 0) return {MemoryKind::host, Device::cpu()};
  if (is_managed != 0) return {MemoryKind::managed, Device::cuda(device)};
  if (type == CU_MEMORYTYPE_HOST) return {MemoryKind::pinned, Device::cpu()};
  return {MemoryKind::device, Device::cuda(device)};
}

// Of a number that of the current device, as CUDA has it.
int CudaBackend::stream_device(std::uintptr_t native) {
  if (device_count() < 2) return 0;
  CUcontext context = nullptr;
  if (is_number(native)) {
    CUDA_TRY(driver().cuCtxGetCurrent(&context));
  } else {
    CUDA_TRY(driver().cuStreamGetCtx(reinterpret_cast<CUstream>(native), &context));
  }
  if (context == nullptr) return 0;
  CUdevice device = 0;
  CUDA_TRY(driver().cuCtxPushCurrent(context));
  const CUresult status = driver().cuCtxGetDevice(&device);
  static_cast<void>(driver().cuCtxPopCurrent(&context));
  check(status, "cuCtxGetDevice");
  return device;
}

}  // namespace

Backend& cuda() {
  static auto* backend = new CudaBackend;
  return *backend;
}

}  // namespace penstock::backend
