// The simulated CUDA does what CUDA's documentation promises: what the tests over it rest on.
#include "sim_cuda.hpp"

#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace {

struct Hold {
  explicit Hold(cudaStream_t stream) : held_(sim_hold(stream)) { REQUIRE(held_ != nullptr); }
  ~Hold() { open(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  void open() {
    if (held_ != nullptr) sim_open(held_);
    held_ = nullptr;
  }

 private:
  void* held_;
};

struct RawStream {
  explicit RawStream(unsigned flags = cudaStreamNonBlocking) {
    REQUIRE(cudaStreamCreateWithFlags(&stream, flags) == cudaSuccess);
  }
  ~RawStream() { cudaStreamDestroy(stream); }
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;
  cudaStream_t stream = nullptr;
};

struct RawEvent {
  RawEvent() { REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess); }
  ~RawEvent() { cudaEventDestroy(event); }
  RawEvent(const RawEvent&) = delete;
  RawEvent& operator=(const RawEvent&) = delete;
  cudaEvent_t event = nullptr;
};

// A moment of a stream.
cudaError_t query_after(cudaStream_t stream, const RawEvent& event) {
  REQUIRE(cudaEventRecord(event.event, stream) == cudaSuccess);
  return cudaEventQuery(event.event);
}

struct Relaxed {
  Relaxed() { exchange(); }
  ~Relaxed() { exchange(); }
  void exchange() {
    using Exchange = int (*)(int*);
    reinterpret_cast<Exchange>(sim_function("cuThreadExchangeStreamCaptureMode"))(&mode_);
  }

 private:
  int mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

TEST_CASE("sim: the legacy stream is in order with blocking streams, and with no others") {
  const RawStream blocking(cudaStreamDefault), apart(cudaStreamNonBlocking);
  const RawEvent end, apart_end, legacy_end;
  SUBCASE("it waits for them") {
    Hold hold(blocking.stream);
    CHECK(query_after(cudaStreamLegacy, legacy_end) == cudaErrorNotReady);
    CHECK(query_after(nullptr, legacy_end) == cudaErrorNotReady);
    hold.open();
    CHECK(cudaEventSynchronize(legacy_end.event) == cudaSuccess);
  }
  SUBCASE("they wait for it") {
    Hold hold(cudaStreamLegacy);
    CHECK(query_after(blocking.stream, end) == cudaErrorNotReady);
    CHECK(query_after(cudaStreamPerThread, end) == cudaErrorNotReady);
    REQUIRE(cudaEventRecord(apart_end.event, apart.stream) == cudaSuccess);
    CHECK(cudaEventSynchronize(apart_end.event) == cudaSuccess);
    hold.open();
    CHECK(cudaEventSynchronize(end.event) == cudaSuccess);
  }
  SUBCASE("other streams don't mind") {
    const Hold hold(apart.stream);
    REQUIRE(cudaEventRecord(legacy_end.event, cudaStreamLegacy) == cudaSuccess);
    CHECK(cudaEventSynchronize(legacy_end.event) == cudaSuccess);
    REQUIRE(cudaEventRecord(end.event, blocking.stream) == cudaSuccess);
    CHECK(cudaEventSynchronize(end.event) == cudaSuccess);
  }
}

TEST_CASE("sim: a freed handle is the next one, with another id") {
  cudaStream_t first = nullptr, second = nullptr;
  unsigned long long first_id = 0, second_id = 0;
  REQUIRE(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking) == cudaSuccess);
  REQUIRE(cudaStreamGetId(first, &first_id) == cudaSuccess);
  REQUIRE(cudaStreamDestroy(first) == cudaSuccess);
  CHECK(cudaStreamQuery(first) == cudaErrorInvalidResourceHandle);
  CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
  CHECK(cudaGetLastError() == cudaSuccess);
  REQUIRE(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking) == cudaSuccess);
  REQUIRE(cudaStreamGetId(second, &second_id) == cudaSuccess);
  CHECK(second == first);
  CHECK(second_id != first_id);
  REQUIRE(cudaStreamDestroy(second) == cudaSuccess);
}

TEST_CASE("sim: a query of a thread voids another's capture, unless one of the two is relaxed") {
  const RawStream captured, other;
  const RawEvent event;
  REQUIRE(cudaEventRecord(event.event, other.stream) == cudaSuccess);
  const auto capture = [&](cudaStreamCaptureMode mode, auto&& meanwhile) {
    REQUIRE(cudaStreamBeginCapture(captured.stream, mode) == cudaSuccess);
    std::thread(meanwhile).join();
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(captured.stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    return status;
  };
  cudaError_t answer = cudaSuccess;
  const auto query = [&] { answer = cudaEventQuery(event.event); };
  const auto relaxed_query = [&] {
    const Relaxed relaxed;
    query();
  };
  CHECK(capture(cudaStreamCaptureModeGlobal, query) == cudaErrorStreamCaptureInvalidated);
  CHECK(answer == cudaErrorStreamCaptureUnsupported);
  CHECK(capture(cudaStreamCaptureModeGlobal, relaxed_query) == cudaSuccess);
  CHECK((answer == cudaSuccess || answer == cudaErrorNotReady));
  CHECK(capture(cudaStreamCaptureModeThreadLocal, query) == cudaSuccess);
  CHECK(capture(cudaStreamCaptureModeRelaxed, query) == cudaSuccess);
}

TEST_CASE("sim: a capture takes in streams that wait for it, runs nothing, and is to be joined") {
  const RawStream origin, branch;
  const RawEvent fork, join;
  void* memory = nullptr;
  REQUIRE(cudaMalloc(&memory, 64) == cudaSuccess);
  std::memset(memory, 1, 64);
  for (const bool is_joined : {true, false}) {
    REQUIRE(cudaStreamBeginCapture(origin.stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    REQUIRE(cudaEventRecord(fork.event, origin.stream) == cudaSuccess);
    REQUIRE(cudaStreamWaitEvent(branch.stream, fork.event, 0) == cudaSuccess);
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    REQUIRE(cudaStreamIsCapturing(branch.stream, &status) == cudaSuccess);
    CHECK(status == cudaStreamCaptureStatusActive);
    REQUIRE(cudaMemsetAsync(memory, 2, 64, branch.stream) == cudaSuccess);
    REQUIRE(cudaEventRecord(join.event, branch.stream) == cudaSuccess);
    {
      const Relaxed relaxed;
      CHECK(cudaEventQuery(join.event) == cudaErrorCapturedEvent);
    }
    if (is_joined) REQUIRE(cudaStreamWaitEvent(origin.stream, join.event, 0) == cudaSuccess);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(origin.stream, &graph) ==
          (is_joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
    CHECK((graph != nullptr) == is_joined);
    if (is_joined) CHECK(sim_graph_nodes(graph) > 0);
    if (graph != nullptr) cudaGraphDestroy(graph);
    CHECK(*static_cast<char*>(memory) == 1);
  }
  static_cast<void>(cudaGetLastError());
  REQUIRE(cudaFree(memory) == cudaSuccess);
}

TEST_CASE("sim: a copy to pageable memory comes in stream order, or is waited for") {
  const RawStream stream;
  void* memory = nullptr;
  REQUIRE(cudaMalloc(&memory, 64) == cudaSuccess);
  std::vector<char> found(64, 0);
  {
    const Hold hold(stream.stream);
    REQUIRE(cudaMemsetAsync(memory, 7, 64, stream.stream) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(found.data(), memory, 64, cudaMemcpyDefault, stream.stream) ==
            cudaSuccess);
    CHECK(found[0] == 0);
  }
  REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
  CHECK(found == std::vector<char>(64, 7));
  sim_pageable_waits(1);
  REQUIRE(cudaMemsetAsync(memory, 8, 64, stream.stream) == cudaSuccess);
  REQUIRE(cudaMemcpyAsync(found.data(), memory, 64, cudaMemcpyDefault, stream.stream) ==
          cudaSuccess);
  sim_pageable_waits(0);
  CHECK(found == std::vector<char>(64, 8));
  REQUIRE(cudaFree(memory) == cudaSuccess);
  CHECK(cudaMemsetAsync(memory, 1, 1, stream.stream) == cudaErrorInvalidValue);
}

TEST_CASE("sim: calls are counted by name") {
  const RawStream stream;
  const long before = sim_calls("cudaStreamSynchronize");
  REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
  CHECK(sim_calls("cudaStreamSynchronize") == before + 1);
  CHECK(sim_calls("cudaNothing") == 0);
  CHECK(sim_function("cudaNothing") == nullptr);
}

// Device 1: a device that is lost stays so.
TEST_CASE("sim: a fault is every later call's answer on that device, and on no other") {
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  RawStream lost;
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  const RawStream well;
  REQUIRE(sim_fault(lost.stream, cudaErrorIllegalAddress) == cudaSuccess);
  CHECK(cudaStreamSynchronize(lost.stream) == cudaErrorIllegalAddress);
  CHECK(cudaStreamQuery(lost.stream) == cudaErrorIllegalAddress);
  CHECK(sim_delay(lost.stream, 1) == cudaErrorIllegalAddress);
  CHECK(cudaStreamSynchronize(well.stream) == cudaSuccess);
  static_cast<void>(cudaGetLastError());
}
