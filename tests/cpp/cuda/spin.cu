#include "spin.hpp"

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace penstock::test {
namespace {

constexpr int kThreads = 256;

__device__ void spin(long long cycles) {
  const long long begin = clock64();
  while (clock64() - begin < cycles) {
  }
}

__global__ void fill(int* target, int value, int count, long long cycles) {
  spin(cycles);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    target[i] = value;
  }
}

__global__ void check(const int* source, int value, int count, long long cycles, int* wrong) {
  spin(cycles);
  int is_bad = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    is_bad |= static_cast<int>(source[i] != value);
  }
  if (__syncthreads_or(is_bad) != 0 && threadIdx.x == 0) atomicAdd(wrong, 1);
}

cudaStream_t native(std::uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

void throw_if_failed(const char* kernel) {
  const cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(kernel) + ": " + cudaGetErrorString(status));
}

}  // namespace

void spin_fill(std::uintptr_t stream, int* target, int value, int count, long long cycles) {
  fill<<<1, kThreads, 0, native(stream)>>>(target, value, count, cycles);
  throw_if_failed("spin_fill");
}

void spin_check(std::uintptr_t stream, const int* source, int value, int count, long long cycles,
                int* wrong) {
  check<<<1, kThreads, 0, native(stream)>>>(source, value, count, cycles, wrong);
  throw_if_failed("spin_check");
}

}  // namespace penstock::test
