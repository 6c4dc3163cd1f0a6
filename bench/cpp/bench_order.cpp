// What single steps of order cost on the host, as JSON: nanoseconds for each, medians of 21
// batches.
#include "order/stream.hpp"

#include "base/time.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

namespace {

using penstock::Device;
using penstock::Ref;
using penstock::order::Stream;

constexpr int kBatch = 20'000;

template <class Step>
double median_ns(Step&& step) {
  std::array<double, 21> batches{};
  for (double& batch : batches) {
    const std::int64_t begin = penstock::now_ns();
    for (int i = 0; i < kBatch; ++i) step();
    batch = static_cast<double>(penstock::now_ns() - begin) / kBatch;
  }
  std::sort(batches.begin(), batches.end());
  return batches[batches.size() / 2];
}

}  // namespace

int main() {
  const auto producer = Stream::make(Device::cpu());
  const auto consumer = Stream::make(Device::cpu());
  const double use = median_ns([&] { static_cast<void>(producer->use()); });
  const double mark = median_ns([&] {
    static_cast<void>(producer->use());
    static_cast<void>(producer->mark());
  });
  const auto point = producer->use();
  static_cast<void>(producer->mark());
  consumer->wait(point);
  const double covered = median_ns([&] { consumer->wait(point); });
  // Each use needs a mark of its own, and the consumer a wait for it.
  const double edge = median_ns([&] { consumer->wait(producer->use()); });
  std::printf("{\"use\": %.2f, \"mark\": %.2f, \"covered wait\": %.2f, \"other wait\": %.2f}\n",
              use, mark - use, covered, edge - mark);
}
