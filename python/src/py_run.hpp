// A run, as Python sees it. With the GIL, which is given up while something is waited for.
#pragma once

#include "pybridge/python.hpp"
#include "runtime/run.hpp"

#include <memory>

namespace penstock::pybridge {

class PyRun {
 public:
  PyRun(std::shared_ptr<graph::Graph> graph, runtime::RunOptions options);
  PyRun(PyRun&&) = default;
  PyRun& operator=(PyRun&&) = delete;
  ~PyRun();

  void stop();
  void abort();
  /// True once it is over; False after `timeout_s`. Does not raise what the run failed with.
  [[nodiscard]] bool wait(nb::handle timeout_s);
  [[nodiscard]] bool is_over() const { return run_->is_over(); }
  /// The exception that ended it, with notes; None if there was none.
  [[nodiscard]] nb::object failure() const;
  void on_end(nb::handle call);
  [[nodiscard]] nb::dict stats() const;
  [[nodiscard]] std::string plan_text() const { return run_->plan().text(); }

 private:
  std::shared_ptr<runtime::Run> run_;
};

/// Ends all runs there are, at the end of the interpreter; false if that took longer. Without the
/// GIL.
bool end_all_runs(std::int64_t timeout_ns);

}  // namespace penstock::pybridge
