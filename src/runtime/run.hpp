// A graph that runs: its nodes, who runs them, how it ends. start() returns at once; the work is
// done by the pool and by lanes. Thread-safe; dropped when its last reference and its last job are
// gone.
#pragma once

#include "graph/plan.hpp"
#include "runtime/executor.hpp"
#include "runtime/stats.hpp"

#include <cstdint>
#include <exception>
#include <memory>

namespace penstock::runtime {

struct RunOptions {
  /// 0: the pool of the process.
  int workers = 0;
  Device device;
  StreamPolicy streams = StreamPolicy::chain;
  /// For operators that say nothing.
  OnError on_error = OnError::raise;
  std::function<void(const std::exception_ptr&, const Message&)> on_error_call;
  double max_age_ms = -1;
  /// In place of `workers`, for tests; must outlive the run.
  exec::Pool* pool = nullptr;
  /// Gives lanes; may be empty if no node needs one.
  std::shared_ptr<LaneProvider> lanes;
};

class Run {
 public:
  /// Validates, compiles and starts. Throws GraphError.
  [[nodiscard]] static std::shared_ptr<Run> start(std::shared_ptr<const graph::Graph> graph,
                                                  RunOptions options);
  virtual ~Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Sources end; the rest drains.
  virtual void stop() = 0;
  /// Ends at once: what is in flight is dropped. The error comes out of wait(), if it is the first.
  virtual void abort(std::exception_ptr error) = 0;
  /// Until the run has ended, at most until `deadline_ns`; false if that came first. Looks for
  /// deadlocks meanwhile. Rethrows the first error, each time.
  [[nodiscard]] virtual bool wait(std::int64_t deadline_ns) = 0;
  [[nodiscard]] virtual bool is_over() const = 0;
  /// The first error, with where it came from; empty if there is none.
  [[nodiscard]] virtual Failure failure() const = 0;
  /// Called once, on any thread, when the run is over; at once if it is.
  virtual void on_end(std::function<void()> call) = 0;
  [[nodiscard]] virtual RunStats stats() const = 0;
  [[nodiscard]] virtual const graph::Plan& plan() const = 0;

 protected:
  Run() = default;
};

}  // namespace penstock::runtime
