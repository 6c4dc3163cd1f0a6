// Where jobs wait: a first-in first-out list of intrusive jobs, and the list of the seeded
// schedule. Thread-safe, each by a spin lock of a few dozen nanoseconds. They own nothing.
#pragma once

#include "base/random.hpp"
#include "base/spin_lock.hpp"
#include "exec/pool.hpp"

#include <atomic>
#include <vector>

namespace penstock::exec {

class JobQueue {
 public:
  /// A job that is not light is to be followed by Parking::wake_one().
  void push(Job* job);
  /// The oldest, or nullptr.
  [[nodiscard]] Job* pop();

  /// Counts jobs that others should help with at once; sequentially consistent with push().
  [[nodiscard]] bool has_shared() const { return shared_.load() > 0; }
  /// Any, light ones too.
  [[nodiscard]] bool has_any() const { return size_.load(std::memory_order_relaxed) > 0; }

  /// Makes light jobs into ordinary ones. True, and to be followed by Parking::wake_one(), if there
  /// were any.
  [[nodiscard]] bool share_all();
  /// Drops what is there and all that comes later: their owners may free them.
  void close();

 private:
  SpinLock lock_;
  bool closed_ = false;
  Job* oldest_ = nullptr;
  Job* newest_ = nullptr;
  std::atomic<int> size_{0};
  std::atomic<int> shared_{0};
};

class SeededJobs {
 public:
  void push(Job* job);
  /// One of them by chance, or nullptr.
  [[nodiscard]] Job* pick(Random& random);
  [[nodiscard]] bool has_any() const { return size_.load() > 0; }
  void close();

 private:
  SpinLock lock_;
  bool closed_ = false;
  std::vector<Job*> jobs_;
  std::atomic<std::size_t> size_{0};
};

}  // namespace penstock::exec
