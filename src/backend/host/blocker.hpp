// A thread that waits for one completion, with a deadline.
#pragma once

#include "backend/backend.hpp"
#include "base/time.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace penstock::backend::host_detail {

class Blocker : public Completion {
 public:
  Blocker() {
    fire = [](Completion* completion) {
      auto* blocker = static_cast<Blocker*>(completion);
      // Notified under the lock: the waiter may destroy the blocker as soon as it can take it.
      const std::lock_guard guard(blocker->mutex_);
      blocker->fired_ = true;
      blocker->condition_.notify_one();
    };
  }

  /// True once fired; false if the deadline came first.
  bool wait_until(std::int64_t deadline_ns) {
    std::unique_lock guard(mutex_);
    const auto fired = [this] { return fired_; };
    if (deadline_ns == kNever) {
      condition_.wait(guard, fired);
      return true;
    }
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    return condition_.wait_until(guard, deadline, fired);
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool fired_ = false;
};

}  // namespace penstock::backend::host_detail
