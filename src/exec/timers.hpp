// Timers: a job that is submitted to the pool at a time. One thread, made at first use.
// Thread-safe; the timer object is owned by its user and must live until it fired or was cancelled.
#pragma once

#include "exec/pool.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace penstock::exec {

struct Timer {
  /// Submitted to the pool when the time has come.
  Job* job = nullptr;
  std::int64_t deadline_ns = 0;
  /// Place in the heap; kept by Timers.
  std::size_t heap_index = SIZE_MAX;
};

class Timers {
 public:
  /// The timers of the process, which fire into Pool::instance().
  [[nodiscard]] static Timers& instance();
  /// Timers of one's own, for tests. The pool must outlive them.
  [[nodiscard]] static std::unique_ptr<Timers> make(Pool& pool);
  ~Timers();

  /// Arms an idle timer for `deadline_ns` on the clock of now_ns(). Throws in a forked child, and
  /// if there is no thread to be had.
  void arm(Timer& timer, std::int64_t deadline_ns);
  /// True if the timer will not fire; false if it has fired or was not armed.
  bool cancel(Timer& timer);
  /// Armed timers.
  [[nodiscard]] std::size_t pending() const;
  /// Ends the thread; armed timers never fire, and can still be cancelled.
  void stop();

  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

 private:
  explicit Timers(Pool& pool);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace penstock::exec
