// A graph that runs: its options, its handle, what it counts. A Run is thread-safe, but for moving
// it; when it goes out of scope the run is stopped and waited for.
#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>
#include <penstock/options.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

namespace penstock {

namespace runtime {
class Run;
}

struct RunOptions {
  /// Threads; 0: the pool of the process.
  int workers = 0;
  Device device = {};
  StreamPolicy streams = StreamPolicy::chain;
  /// For operators that say nothing.
  OnError on_error = OnError::raise;
  std::function<void(const std::exception_ptr&, const Message&)> on_error_call = nullptr;
  /// Older messages are dropped; negative: none.
  double max_age_ms = -1;
};

struct OperatorStats {
  std::int64_t activations = 0;
  /// Activations a second.
  double rate = 0;
  /// Share of the time that its instances ran, 0 to the number of instances.
  double busy = 0;
  /// Seconds of an activation.
  double p50 = 0;
  double p99 = 0;
  /// Activations whose error was passed over.
  std::int64_t skipped = 0;
  /// Messages that a route had no output for.
  std::int64_t unmatched = 0;
  std::exception_ptr last_error;
};

struct EdgeStats {
  std::int64_t passed = 0;
  /// Mean share of its room that was taken, 0 to 1.
  double fill = 0;
  /// By its policy or its age.
  std::int64_t dropped = 0;
  /// Discarded because their partner never came.
  std::int64_t unpaired = 0;
  /// Copied because they are written.
  std::int64_t copies = 0;
};

/// From a source's emission to the end of a sink's work, seconds.
struct Latency {
  std::int64_t count = 0;
  double p50 = 0;
  double p99 = 0;
};

/// A snapshot.
struct PENSTOCK_API RunStats {
  /// An edge: from, port, to, port.
  using Edge = std::tuple<std::string, std::string, std::string, std::string>;

  double seconds = 0;
  std::map<std::string, OperatorStats, std::less<>> operators;
  std::map<Edge, EdgeStats> edges;
  std::map<std::pair<std::string, std::string>, Latency> latencies;

  /// All zero where nothing went from that source to that sink.
  [[nodiscard]] Latency latency(std::string_view source, std::string_view sink) const;
};

class PENSTOCK_API Run {
 public:
  explicit Run(std::shared_ptr<runtime::Run> started) : run_(std::move(started)) {}
  Run(Run&&) noexcept = default;
  Run& operator=(Run&& other) noexcept;
  ~Run();

  /// Sources end, the rest drains.
  void stop();
  /// Until it is over. Rethrows the first error, each time.
  void wait();
  /// The same; false if it is not over by then.
  [[nodiscard]] bool wait_for(double seconds);
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] RunStats stats() const;
  /// The compiled graph, for people.
  [[nodiscard]] std::string plan() const;

 private:
  void finish() noexcept;

  std::shared_ptr<runtime::Run> run_;
};

}  // namespace penstock
