// What the calls of the device contract cost on a GPU, as JSON: microseconds a call, each the
// median of 9 batches. Beside them what the same memory costs when taken in other ways. With
// --fault: what the contract says after a kernel wrote to a wrong address. Fails if it is not what
// backend.hpp promises.
#include "backend/backend.hpp"
#include "backend/cuda/driver.hpp"
#include "base/time.hpp"

#include <penstock/error.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace penstock;
using namespace penstock::backend;
using penstock::backend::cuda_detail::driver;

namespace {

constexpr int kBatches = 9;
constexpr std::size_t kMegabyte = std::size_t{1} << 20;

struct Report {
  std::string text;
  void add(const std::string& name, double value) { line(name, fmt::format("{:.3f}", value)); }
  void add(const std::string& name, const std::string& value) {
    line(name, fmt::format("\"{}\"", value));
  }
  void line(const std::string& name, const std::string& value) {
    text += fmt::format("{}  \"{}\": {}", text.empty() ? "" : ",\n", name, value);
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class Body>
double time_us(Body&& body) {
  const std::int64_t start = now_ns();
  body();
  return static_cast<double>(now_ns() - start) / 1000;
}

// `before` and `after` of each batch are not timed.
template <class Body, class Around>
double per_call(int calls, Body&& body, Around&& before, Around&& after) {
  std::vector<double> batches;
  for (int batch = 0; batch < kBatches; ++batch) {
    before();
    batches.push_back(time_us([&] {
                        for (int i = 0; i < calls; ++i) body();
                      }) /
                      calls);
    after();
  }
  return median(std::move(batches));
}

std::string message_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const DeviceError& exception) {
    return exception.what();
  }
  return "";
}

template <class Body>
std::string thrown_by(Body&& body) {
  try {
    body();
  } catch (const DeviceError&) {
    return message_of(std::current_exception());
  }
  return "";
}

struct Bench {
  Report report;
  Backend& gpu = cuda();
  StreamHandle stream = gpu.create_stream(0, 0);
  StreamHandle other = gpu.create_stream(0, 0);
  EventHandle event = gpu.create_event(0);
  Reservation large = gpu.reserve(0, MemoryKind::device, 256 * kMegabyte);

  void drain() {
    for (const StreamHandle one : {stream, other}) {
      static_cast<void>(gpu.sync_stream(one, kNever));
    }
  }
  // Some 0.1 ms each.
  void keep_busy(int fills) {
    for (int i = 0; i < fills; ++i) gpu.fill(large.address, 1, large.bytes, stream);
  }
  template <class Body>
  void measure(const char* name, int calls, Body&& body) {
    const std::function<void()> drained = [this] { drain(); };
    report.add(name, per_call(calls, body, drained, drained));
  }
  template <class Body>
  void measure_busy(const char* name, int calls, Body&& body) {
    const std::function<void()> before = [this] {
      keep_busy(100);
      gpu.record(event, stream);
    };
    const std::function<void()> after = [this, name] {
      if (gpu.query(event)) report.add(std::string(name) + " invalid", "the GPU was done too soon");
      drain();
    };
    report.add(name, per_call(calls, body, before, after));
  }

  void calls();
  void memory();
  void pieces(const Reservation& range, std::size_t megabytes, bool busy);
  void two_pieces();
  void pinned();
  void handles();
};

void Bench::calls() {
  const auto fresh = [this] { gpu.destroy_event(gpu.create_event(0)); };
  measure("record", 500, [this] { gpu.record(event, stream); });
  measure("wait, event complete", 500, [this] { gpu.wait(other, event); });
  measure_busy("wait, event pending", 200, [this] { gpu.wait(other, event); });
  measure("query, complete", 500, [this] { static_cast<void>(gpu.query(event)); });
  measure_busy("query, pending", 200, [this] { static_cast<void>(gpu.query(event)); });
  measure("record and wait", 500, [this] {
    gpu.record(event, stream);
    gpu.wait(other, event);
  });
  measure("error", 500, [this] { static_cast<void>(gpu.error(event)); });
  measure("create and destroy event", 500, fresh);
  measure("stream id", 500, [this] { static_cast<void>(gpu.stream_id(stream)); });
  measure("create and destroy stream", 20, [this] { gpu.destroy_stream(gpu.create_stream(0, 0)); });
  measure("record context", 200, [this] { gpu.record_context(event, 0); });
  measure("exchange capture mode", 500,
          [this] { gpu.exchange_capture_mode(CaptureMode::relaxed); });
  measure("is capturing", 500, [this] { static_cast<void>(gpu.is_capturing(stream)); });
  measure("make current, already so", 500, [this] { gpu.make_current(0); });
  measure("fill of 4 KB", 200, [this] { gpu.fill(large.address, 1, 4096, stream); });
  measure("copy of 4 KB on the device", 200, [this] {
    gpu.copy(large.address, static_cast<char*>(large.address) + kMegabyte, 4096, stream);
  });
  measure("address info, device", 500,
          [this] { static_cast<void>(gpu.address_info(large.address)); });
  measure("address info, host", 500, [this] { static_cast<void>(gpu.address_info(this)); });
  measure("memory info", 50, [this] { static_cast<void>(gpu.memory_info(0)); });
  measure("properties", 3, [this] { static_cast<void>(gpu.properties(0)); });
}

void Bench::memory() {
  measure("reserve and release addresses of 64 GB", 5,
          [this] { gpu.release(gpu.reserve(0, MemoryKind::device, std::size_t{64} << 30)); });
  const Reservation range = gpu.reserve(0, MemoryKind::device, 256 * kMegabyte);
  for (const std::size_t megabytes : {2, 32, 256}) {
    for (const bool busy : {false, true}) pieces(range, megabytes, busy);
  }
  gpu.release(range);
  std::vector<double> take, give;
  for (int batch = 0; batch < kBatches; ++batch) {
    void* plain = nullptr;
    take.push_back(time_us([&] { CUDA_TRY(cudaMalloc(&plain, range.bytes)); }));
    give.push_back(time_us([&] { CUDA_TRY(cudaFree(plain)); }));
  }
  report.add("256 MB: cudaMalloc", median(std::move(take)));
  report.add("256 MB: cudaFree", median(std::move(give)));
}

void Bench::pieces(const Reservation& range, std::size_t megabytes, bool busy) {
  const std::string what = fmt::format("one piece of {} MB{}", megabytes, busy ? ", GPU busy" : "");
  std::vector<double> map, unmap;
  for (int batch = 0; batch < kBatches; ++batch) {
    if (busy) keep_busy(400);
    gpu.record(event, stream);
    map.push_back(time_us([&] { gpu.map(range, 0, megabytes * kMegabyte); }));
    unmap.push_back(time_us([&] { gpu.unmap(range, 0, megabytes * kMegabyte); }));
    if (busy && gpu.query(event)) report.add(what + " invalid", "the GPU was done too soon");
    drain();
  }
  report.add("map " + what, median(std::move(map)));
  report.add("unmap " + what, median(std::move(unmap)));
}

// What the driver makes of a call on two pieces side by side; the contract asks for neither.
void Bench::two_pieces() {
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::pinned}) {
    const std::size_t page = gpu.properties(0).page_bytes;
    const Reservation range = gpu.reserve(0, kind, 2 * page);
    gpu.map(range, 0, page);
    gpu.map(range, page, page);
    const char* what = kind == MemoryKind::device ? "device" : "pinned";
    const auto note = [&](const char* call, const std::string& error) {
      report.add(fmt::format("{} over two pieces, {}", call, what),
                 error.empty() ? "accepted" : "refused");
      drain();
    };
    note("fill", thrown_by([&] { gpu.fill(range.address, 1, 2 * page, stream); }));
    note("copy", thrown_by([&] { gpu.copy(large.address, range.address, 2 * page, stream); }));
    gpu.release(range);
  }
}

// A piece of pinned memory against cudaHostAlloc: what they cost and how fast they are copied.
void Bench::pinned() {
  const std::size_t bytes = 64 * kMegabyte;
  const auto gigabytes_per_s = [&](void* source) {
    std::vector<double> speeds;
    for (int batch = 0; batch < kBatches; ++batch) {
      const double us = time_us([&] {
        for (int i = 0; i < 4; ++i) gpu.copy(large.address, source, bytes, stream);
        drain();
      });
      speeds.push_back(4 * static_cast<double>(bytes) / us / 1000);
    }
    return median(std::move(speeds));
  };
  const Reservation range = gpu.reserve(0, MemoryKind::pinned, bytes);
  report.add("pinned: map one piece of 64 MB", time_us([&] { gpu.map(range, 0, bytes); }));
  report.add("pinned: host writes 64 MB, first time",
             time_us([&] { std::memset(range.address, 1, bytes); }));
  report.add("pinned: GB/s to the device", gigabytes_per_s(range.address));
  report.add("pinned: unmap one piece of 64 MB", time_us([&] { gpu.unmap(range, 0, bytes); }));
  gpu.release(range);

  void* plain = nullptr;
  report.add("cudaHostAlloc 64 MB",
             time_us([&] { CUDA_TRY(cudaHostAlloc(&plain, bytes, cudaHostAllocPortable)); }));
  report.add("cudaHostAlloc: host writes 64 MB, first time",
             time_us([&] { std::memset(plain, 1, bytes); }));
  report.add("cudaHostAlloc: GB/s to the device", gigabytes_per_s(plain));
  report.add("cudaFreeHost 64 MB", time_us([&] { CUDA_TRY(cudaFreeHost(plain)); }));
  for (const auto& [name, which] :
       {std::pair{"attribute: host pages",
                  CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED},
        std::pair{"attribute: host NUMA node", CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID},
        std::pair{"attribute: file descriptors",
                  CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED}}) {
    int value = 0;
    CUDA_TRY(driver().cuDeviceGetAttribute(&value, which, 0));
    report.line(name, std::to_string(value));
  }
}

void Bench::handles() {
  std::set<StreamHandle> handles;
  for (int i = 0; i < 100; ++i) {
    const StreamHandle fresh = gpu.create_stream(0, 0);
    handles.insert(fresh);
    gpu.destroy_stream(fresh);
  }
  report.line("different handles of 100 streams made one after another",
              std::to_string(handles.size()));
}

int floor_of_contract(double count_us) {
  Report start;
  start.add("device count, first call", count_us);
  start.add("make current, first call", time_us([] { cuda().make_current(0); }));
  Bench bench;
  bench.report.text = start.text;
  bench.report.add("device", bench.gpu.properties(0).name);
  bench.gpu.map(bench.large, 0, bench.large.bytes);
  bench.calls();
  bench.memory();
  bench.two_pieces();
  bench.pinned();
  bench.handles();
  std::printf("{\n%s\n}\n", bench.report.text.c_str());
  return 0;
}

constexpr const char* kFaultingKernel =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry fault() {\n"
    "  .reg .u64 %rd1;\n  .reg .u32 %r1;\n"
    "  mov.u64 %rd1, 16;\n  mov.u32 %r1, 1;\n  st.global.u32 [%rd1], %r1;\n  ret;\n}\n";

int after_a_fault() {
  Backend& gpu = cuda();
  gpu.make_current(0);
  const StreamHandle stream = gpu.create_stream(0, 0);
  const EventHandle event = gpu.create_event(0);
  // So that the kernel starts after the record behind it was queued.
  const Reservation large = gpu.reserve(0, MemoryKind::device, 256 * kMegabyte);
  gpu.map(large, 0, large.bytes);
  cudaLibrary_t library = nullptr;
  cudaKernel_t kernel = nullptr;
  CUDA_TRY(
      cudaLibraryLoadData(&library, kFaultingKernel, nullptr, nullptr, 0, nullptr, nullptr, 0));
  CUDA_TRY(cudaLibraryGetKernel(&kernel, library, "fault"));
  for (int i = 0; i < 100; ++i) gpu.fill(large.address, 1, large.bytes, stream);
  CUDA_TRY(cudaLaunchKernel(kernel, {1, 1, 1}, {1, 1, 1}, nullptr, 0,
                            reinterpret_cast<cudaStream_t>(stream)));
  gpu.record(event, stream);
  const bool complete = gpu.sync(event, now_ns() + 10'000'000'000);
  const std::string carried = message_of(gpu.error(event));
  const std::string first = message_of(gpu.lost(0));
  const std::string current = thrown_by([&] { gpu.make_current(0); });
  const std::string later = thrown_by([&] { gpu.record(event, stream); });
  const bool right =
      complete && !first.empty() && carried == first && current == first && later == first &&
      !thrown_by([&] { static_cast<void>(gpu.sync_stream(stream, kNever)); }).empty();
  Report report;
  report.line("complete", complete ? "true" : "false");
  report.add("lost", first);
  report.add("error of the event", carried);
  report.add("make_current", current);
  report.add("record", later);
  std::printf("{\n%s\n}\n", report.text.c_str());
  return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int devices = 0;
  const double count_us = time_us([&] { devices = cuda().device_count(); });
  if (devices == 0) {
    std::fprintf(stderr, "cuda_floor: there is no GPU here\n");
    return 2;
  }
  const bool fault = argc > 1 && std::strcmp(argv[1], "--fault") == 0;
  return fault ? after_a_fault() : floor_of_contract(count_us);
}
