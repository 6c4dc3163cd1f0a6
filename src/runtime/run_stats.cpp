#include "base/time.hpp"
#include "runtime/run_state.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace penstock::runtime {
namespace {

constexpr double kSecond = 1e9;

// What runs jobs, in the order in which it is met.
class Lanes {
 public:
  explicit Lanes(const Executor& pool) : pool_(pool) {}
  int number(const Executor& executor) {
    if (&executor == &pool_) return -1;
    const auto known = std::ranges::find(lanes_, &executor);
    const auto number = static_cast<int>(known - lanes_.begin());
    if (known == lanes_.end()) lanes_.push_back(&executor);
    return number;
  }

 private:
  const Executor& pool_;
  std::vector<const Executor*> lanes_;
};

OperatorStats stats_of(const Node& node, double seconds, std::int64_t now_ns, Lanes& lanes) {
  OperatorStats stats;
  stats.name = node.planned().name;
  trace::Histogram all;
  std::int64_t busy_ns = 0;
  for (const auto& runner : node.runners()) {
    stats.activations += runner->activations();
    stats.skipped += runner->skipped();
    stats.unmatched += runner->unmatched();
    busy_ns += runner->busy_ns(now_ns);
    stats.lanes.push_back(lanes.number(runner->executor()));
    all.add(runner->times());
    if (auto error = runner->last_error()) stats.last_error = error;
  }
  if (seconds > 0) {
    stats.rate = static_cast<double>(stats.activations) / seconds;
    stats.busy = static_cast<double>(busy_ns) / kSecond / seconds;
  }
  stats.p50_s = static_cast<double>(all.quantile_ns(0.5)) / kSecond;
  stats.p99_s = static_cast<double>(all.quantile_ns(0.99)) / kSecond;
  return stats;
}

EdgeStats stats_of(const Edge& edge, double seconds, std::int64_t now_ns) {
  const double waited_s = static_cast<double>(edge.waited_ns(now_ns)) / kSecond;
  return {.from = edge.from.planned().name,
          .from_port = edge.from.spec().outputs[edge.planned.from_port].name,
          .to = edge.to.planned().name,
          .to_port = edge.to.spec().inputs[edge.planned.to_port].name,
          .passed = edge.passed(),
          .depth = static_cast<std::int64_t>(edge.ring().size()),
          .capacity = edge.ring().capacity(),
          .fill = edge.fill(),
          .blocked = seconds > 0 ? std::min(waited_s / seconds, 1.0) : 0,
          .dropped = edge.drops(),
          .unpaired = edge.unpaired(),
          .copies = edge.copies()};
}

}  // namespace

RunStats RunState::stats() const {
  RunStats stats;
  const std::int64_t ended = ended_ns_.load();
  const std::int64_t now = ended == 0 ? now_ns() : ended;
  stats.seconds = static_cast<double>(now - begun_ns_) / kSecond;
  stats.workers = pool_.workers();
  Lanes lanes(pool_);
  for (const auto& node : nodes_) {
    stats.operators.push_back(stats_of(*node, stats.seconds, now, lanes));
  }
  for (const auto& edge : edges_) stats.edges.push_back(stats_of(*edge, stats.seconds, now));
  for (std::uint32_t s = 0; s < plan_.sources.size(); ++s) {
    for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
      const trace::Histogram* times = latency(s, n);
      if (times == nullptr || times->count() == 0) continue;
      stats.latencies.push_back({.source = plan_.nodes[plan_.sources[s]].name,
                                 .sink = plan_.nodes[n].name,
                                 .count = times->count(),
                                 .p50_s = static_cast<double>(times->quantile_ns(0.5)) / kSecond,
                                 .p99_s = static_cast<double>(times->quantile_ns(0.99)) / kSecond});
    }
  }
  return stats;
}

}  // namespace penstock::runtime
