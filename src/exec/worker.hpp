// One thread of the pool, and what the threads of a pool share. Private to the pool.
// A worker's own members are for its thread alone, but for the two places that others steal from.
// Both live until the pool is destroyed, after the threads have ended.
#pragma once

#include "base/random.hpp"
#include "exec/job_queue.hpp"
#include "exec/parking.hpp"
#include "exec/watch.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace penstock::exec {

class Worker {
 public:
  Worker(Pool& pool, PoolState& state, int index);

  /// The body of the thread.
  void run();
  /// On this worker's thread only.
  void submit(Job* job, Hint hint);
  void share_all();
  /// From any thread: drops what is queued here.
  void close() { queue_.close(); }

  [[nodiscard]] Pool& pool() const { return pool_; }
  [[nodiscard]] bool has_shared() const { return queue_.has_shared(); }
  /// True if any job waits here.
  [[nodiscard]] bool keeps_jobs() const { return next_.load() != nullptr || queue_.has_any(); }
  [[nodiscard]] static Worker* current();

 private:
  // A worker whose jobs nobody was meant to take, seen busy with one job since then.
  struct Suspect {
    Worker* worker = nullptr;
    std::uint64_t began = 0;
    std::int64_t since_ns = 0;
  };

  void queue(Job* job);
  [[nodiscard]] Job* take();
  [[nodiscard]] Job* take_next();
  [[nodiscard]] Job* look();
  [[nodiscard]] Job* steal();
  [[nodiscard]] Job* steal_kept(Suspect& suspect, std::int64_t now);
  [[nodiscard]] Job* search();
  [[nodiscard]] Job* wait_for_job();
  [[nodiscard]] Job* sleep(bool& searching);
  [[nodiscard]] Job* watch();
  [[nodiscard]] Job* take_stuck(bool& is_quiet);
  [[nodiscard]] Job* take_kept();

  Pool& pool_;
  PoolState& state_;
  const int index_;
  Random random_;
  int in_a_row_ = 0;
  bool injected_first_ = false;
  Parking::Sleeper sleeper_;
  /// Written by the owner with each job; others only look while they search or watch.
  alignas(64) std::atomic<Job*> next_{nullptr};
  std::atomic<std::uint64_t> began_{0};
  alignas(64) JobQueue queue_;
};

struct PoolState {
  PoolState(Pool& pool, const PoolOptions& options);

  /// True if there are jobs that an idle worker should run at once.
  [[nodiscard]] bool has_work() const;
  [[nodiscard]] bool keeps_jobs() const;
  void close();

  const PoolOptions options;
  Parking parking;
  Watch watch;
  std::atomic<bool> stopping{false};
  std::atomic<bool> started{false};
  JobQueue injected;
  SeededJobs seeded;
  std::vector<std::unique_ptr<Worker>> workers;
  /// Threads that have not ended; a word to sleep on.
  std::atomic<std::uint32_t> alive{0};
  /// Guards starting and joining.
  std::mutex mutex;
  std::vector<std::thread> threads;
};

}  // namespace penstock::exec
