// Three C++ operators: two launch CUDA kernels of their own, each on its own stream, the third
// checks the results on the host. Nobody waits for the GPU but the run.
#include <penstock/penstock.hpp>

#include <cstdio>
#include <stdexcept>

namespace ps = penstock;

constexpr int kCount = 1 << 20;
constexpr int kThreads = 256;

__global__ void ramp(float* out, int first) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  out[i] = static_cast<float>(first + i % 1000);
}

__global__ void square(const float* in, float* out) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  out[i] = in[i] * in[i];
}

void check_cuda() {
  if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess)
    throw std::runtime_error(cudaGetErrorString(status));
}

cudaStream_t native(const ps::Stream& s) { return reinterpret_cast<cudaStream_t>(s.handle()); }

float* floats(const ps::Tensor& tensor) { return static_cast<float*>(tensor.data()); }

struct Ramp : ps::Operator {
  int number = 0;
  void setup(ps::Spec& spec) override { spec.output("out").type<ps::Tensor>(); }
  void compute(ps::Inputs&, ps::Outputs& outputs, ps::Context& context) override {
    const ps::Stream stream = context.stream();
    const ps::Tensor out = ps::Tensor::empty({kCount}, ps::f32, {}, stream);
    ramp<<<kCount / kThreads, kThreads, 0, native(stream)>>>(floats(out), number++);
    check_cuda();
    outputs.emit(out);
  }
};

struct Square : ps::Operator {
  void setup(ps::Spec& spec) override {
    spec.input("in").type<ps::Tensor>();
    spec.output("out").type<ps::Tensor>();
  }
  void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context& context) override {
    const ps::Stream stream = context.stream();
    const ps::Tensor in = *inputs.receive<ps::Tensor>();
    const ps::Tensor squares = ps::Tensor::empty({kCount}, ps::f32, {}, stream);
    const ps::Tensor out = ps::Tensor::empty({kCount}, ps::f32);  // on the host
    square<<<kCount / kThreads, kThreads, 0, native(stream)>>>(floats(in), floats(squares));
    check_cuda();
    squares.copy_to(out, stream);
    outputs.emit(out);
  }
};

int main() try {
  const auto verify = [number = 0](const ps::Tensor& squares) mutable {
    for (int i = 0; i < kCount; ++i) {
      const auto root = static_cast<float>(number + i % 1000);
      if (floats(squares)[i] != root * root) throw std::runtime_error("a square is wrong");
    }
    std::printf("message %d: %d squares are right\n", number++, kCount);
  };
  ps::run(ps::op<Ramp>({.count = 10})() >> ps::op<Square>() >> verify,
          {.device = ps::Device::cuda(), .streams = ps::StreamPolicy::per_operator});
} catch (const std::exception& error) {
  std::fprintf(stderr, "squares: %s\n", error.what());
  return 1;
}
