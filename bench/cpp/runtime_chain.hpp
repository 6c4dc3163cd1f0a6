// Chains of C++ operators that the runtime's benchmarks run: a source of ints, some that pass them
// on, and a sink that adds them up.
#pragma once

#include <penstock/graph.hpp>

#include "base/time.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace penstock::bench {

struct Chain {
  int hops = 1;
  int messages = 100'000;
  int workers = 1;
  int batch = 1;
  int instances = 1;
  /// Each hop is busy for that long.
  std::int64_t work_ns = 0;
  /// Called by the sink, with how many came.
  std::function<void(int)> at_sink = nullptr;
};

inline void be_busy(std::int64_t duration_ns) {
  if (duration_ns == 0) return;
  const std::int64_t until = now_ns() + duration_ns;
  while (now_ns() < until) {
  }
}

inline Flow add_hop(const Flow& flow, const Chain& chain) {
  OperatorOptions options{.batch = chain.batch, .instances = chain.instances};
  if (chain.batch > 1) {
    options.capacity = 2 * chain.batch;
    return flow >> op([](const std::vector<int>& values) { return values; }, options);
  }
  const std::int64_t work_ns = chain.work_ns;
  return flow >> op([work_ns](int value) { return be_busy(work_ns), value; }, options);
}

/// Seconds from the first message to the end; negative if a message was lost or came twice.
inline double run_chain_s(const Chain& chain) {
  auto sum = std::make_shared<std::int64_t>(0);
  auto count = std::make_shared<int>(0);
  auto begun_ns = std::make_shared<std::int64_t>(0);
  Flow flow = source([next = 0, begun_ns, messages = chain.messages]() mutable {
    if (next == 0) *begun_ns = now_ns();
    return next == messages ? std::nullopt : std::optional<int>(next++);
  });
  for (int i = 0; i < chain.hops; ++i) flow = add_hop(flow, chain);
  OperatorOptions options;
  if (chain.batch > 1) options.capacity = 2 * chain.batch;
  flow = flow >> op(
                     [sum, count, at_sink = chain.at_sink](int value) {
                       *sum += value;
                       ++*count;
                       if (at_sink) at_sink(*count);
                     },
                     options);
  run(flow, {.workers = chain.workers});
  const double elapsed_s = static_cast<double>(now_ns() - *begun_ns) * 1e-9;
  const std::int64_t expected = std::int64_t{chain.messages} * (chain.messages - 1) / 2;
  return *sum == expected && *count == chain.messages ? elapsed_s : -1;
}

}  // namespace penstock::bench
