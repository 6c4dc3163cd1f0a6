#include "runtime/public_run.hpp"

#include "base/time.hpp"

#include <utility>

namespace penstock {
namespace runtime {

RunOptions from_public(const penstock::RunOptions& options) {
  RunOptions own;
  own.workers = options.workers;
  own.device = options.device;
  own.streams = options.streams;
  own.on_error = options.on_error_call ? OnError::call : options.on_error;
  own.on_error_call = options.on_error_call;
  own.max_age_ms = options.max_age_ms;
  return own;
}

penstock::RunStats to_public(const RunStats& stats) {
  penstock::RunStats result;
  result.seconds = stats.seconds;
  for (const OperatorStats& s : stats.operators) {
    result.operators[s.name] = {.activations = s.activations,
                                .rate = s.rate,
                                .busy = s.busy,
                                .p50 = s.p50_s,
                                .p99 = s.p99_s,
                                .skipped = s.skipped,
                                .unmatched = s.unmatched,
                                .last_error = s.last_error};
  }
  for (const EdgeStats& s : stats.edges) {
    result.edges[{s.from, s.from_port, s.to, s.to_port}] = {.passed = s.passed,
                                                            .fill = s.fill,
                                                            .dropped = s.dropped,
                                                            .unpaired = s.unpaired,
                                                            .copies = s.copies};
  }
  for (const LatencyStats& s : stats.latencies) {
    result.latencies[{s.source, s.sink}] = {.count = s.count, .p50 = s.p50_s, .p99 = s.p99_s};
  }
  return result;
}

}  // namespace runtime

Latency RunStats::latency(std::string_view source, std::string_view sink) const {
  const auto found = latencies.find({std::string(source), std::string(sink)});
  return found == latencies.end() ? Latency{} : found->second;
}

Run& Run::operator=(Run&& other) noexcept {
  finish();
  run_ = std::move(other.run_);
  return *this;
}

Run::~Run() { finish(); }

void Run::finish() noexcept {
  if (!run_) return;
  try {
    run_->stop();
    static_cast<void>(run_->wait(kNever));
  } catch (...) {
    // Whoever wants the error calls wait().
  }
  run_.reset();
}

void Run::stop() { run_->stop(); }
void Run::wait() { static_cast<void>(run_->wait(kNever)); }
bool Run::wait_for(double seconds) {
  return run_->wait(now_ns() + static_cast<std::int64_t>(seconds * 1e9));
}
bool Run::is_over() const { return run_->is_over(); }
RunStats Run::stats() const { return runtime::to_public(run_->stats()); }
std::string Run::plan() const { return run_->plan().text(); }

}  // namespace penstock
