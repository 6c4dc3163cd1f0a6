#include <penstock/penstock.hpp>
#include <penstock/version.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>

namespace ps = penstock;

// A small graph: the even ones of ten numbers, doubled and summed.
static int sum_of_evens() {
  int sum = 0;
  const ps::Flow numbers = ps::source([n = 0]() mutable { return n++; }, {.count = 10});
  const ps::Flow evens =
      numbers >> [](int v) { return v % 2 == 0 ? std::optional(v * 2) : std::nullopt; };
  ps::run(evens >> [&sum](int v) { sum += v; });
  return sum;
}

// One stream writes an image, another shrinks it; nobody says that the second waits for the first.
int main() {
  const ps::Stream fill{ps::Device::cpu()};
  const ps::Stream shrink{ps::Device::cpu()};
  const ps::Tensor image = ps::Tensor::empty({64, 96, 3}, ps::u8, "HWC", fill);
  fill.launch([&] { std::memset(image.data(), 7, static_cast<std::size_t>(image.nbytes())); },
              ps::writes(image));
  const ps::Tensor small = ps::resize(image, {32, 48}, {.stream = shrink});
  small.sync();

  const auto* bytes = static_cast<const std::uint8_t*>(small.data());
  for (std::int64_t i = 0; i < small.nbytes(); ++i) {
    if (bytes[i] != 7) {
      std::printf("byte %lld is %d, not 7\n", static_cast<long long>(i), bytes[i]);
      return 1;
    }
  }
  if (sum_of_evens() != 40) {
    std::printf("the graph's sum is %d, not 40\n", sum_of_evens());
    return 1;
  }
  std::printf("penstock %s, as %s: %lld bytes\n", ps::version(), ps::kVersion,
              static_cast<long long>(small.nbytes()));
  return std::strcmp(ps::version(), ps::kVersion);
}
