// The kernels of the GPU tests, as host code that a simulated stream runs.
#include "spin.hpp"

#include "sim_cuda.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

namespace penstock::test {
namespace {

void spin(long long cycles) {
  std::this_thread::sleep_for(std::chrono::nanoseconds(cycles / 2));  // at 2 GHz
}

template <class Kernel>
void launch(std::uintptr_t stream, Kernel kernel) {
  auto* queued = new Kernel(std::move(kernel));
  const int status = sim_launch(
      reinterpret_cast<void*>(stream),
      [](void* argument) { (*std::unique_ptr<Kernel>(static_cast<Kernel*>(argument)))(); }, queued);
  if (status == 0) return;
  delete queued;
  throw std::runtime_error("the kernel is not queued");
}

}  // namespace

void spin_fill(std::uintptr_t stream, int* target, int value, int count, long long cycles) {
  launch(stream, [=] {
    spin(cycles);
    std::fill_n(target, count, value);
  });
}

void spin_check(std::uintptr_t stream, const int* source, int value, int count, long long cycles,
                int* wrong) {
  launch(stream, [=] {
    spin(cycles);
    const bool is_good =
        std::all_of(source, source + count, [=](int number) { return number == value; });
    if (!is_good) std::atomic_ref(*wrong).fetch_add(1);
  });
}

}  // namespace penstock::test
