// Where idle workers sleep, and who wakes whom. Each submit wakes at most one; none while enough
// workers are awake and look for work anyway ("searchers").
// Thread-safe. A Sleeper belongs to one thread and outlives its sleep.
//
// Protocol. All atomics are sequentially consistent; "queues" are the counts that has_work() reads.
//   submitter: (1) raises a queue's count; (2) reads sleepers_ and searchers_; if someone sleeps,
//              and fewer search than are allowed, takes one sleeper off the list, counts it as a
//              searcher and sets its word.
//   worker:    (3) stops searching: lowers searchers_; (4) raises sleepers_; (5) reads the queues;
//              sleeps if they are empty, otherwise takes itself off the list.
//              If it found a job, while it searched or after (5), it reads the queues once more
//              and does (2) if there is another.
// No wake-up is lost: if (2) saw no sleeper, it came before (4), so (1) came before (5), and the
// worker sees the job. If (2) saw a searcher, it came before that one's (3), so (1) came before the
// look that each searcher has after (3): before it sleeps, and, once it found a job, to wake the
// next. It needs both: two jobs can come between the last look of its search and (3); one it finds
// at (5), and may be busy with for long.
// searchers_ is raised only by a worker that goes on to (3) or together with a sleeper that is
// taken off the list, never for a moment by a submitter that then finds nobody: another submitter
// would rely on it. Attacked by "exec: no wake-up is lost" in test_exec_parking.cpp.
#pragma once

#include "base/spin_lock.hpp"
#include "base/time.hpp"

#include <atomic>
#include <cstdint>

namespace penstock::exec {

class Parking {
 public:
  struct Sleeper {
    /// 1: woken. The word that the thread sleeps on.
    std::atomic<std::uint32_t> woken{0};
    /// The list, newest first; under the lock.
    bool listed = false;
    Sleeper* newer = nullptr;
    Sleeper* older = nullptr;
  };

  explicit Parking(int max_searchers) : max_searchers_(max_searchers) {}

  /// True: the caller is one of the few that may look for work without pause, until end_search().
  [[nodiscard]] bool begin_search();
  /// Afterwards the caller looks at the queues once more.
  void end_search() { searchers_.fetch_sub(1); }

  /// Whose turn to be woken comes first, or last.
  enum class Turn : std::uint8_t { first, last };

  /// Announces that this thread is about to sleep. Then look at the queues; then cancel() or
  /// sleep().
  void prepare(Sleeper& sleeper, Turn turn = Turn::first);
  /// True: taken back. False: it was woken in between, and counts as a searcher now.
  [[nodiscard]] bool cancel(Sleeper& sleeper);
  /// True once woken; the thread counts as a searcher then. False: the deadline has passed, and it
  /// is still announced.
  bool sleep(Sleeper& sleeper, std::int64_t deadline_ns = kNever);

  /// To be called after a job was queued.
  void wake_one() {
    if (sleepers_.load() > 0 && searchers_.load() < max_searchers_) wake_newest();
  }
  void wake_all();

  [[nodiscard]] int sleeping() const { return sleepers_.load(); }
  /// Threads that sleep or search.
  [[nodiscard]] int idle() const { return sleepers_.load() + searchers_.load(); }
  /// How many sleepers were woken so far.
  [[nodiscard]] std::uint64_t wakes() const { return wakes_.load(std::memory_order_relaxed); }

 private:
  void wake_newest();
  void unlist(Sleeper& sleeper);

  const int max_searchers_;
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<int> searchers_{0};
  alignas(64) SpinLock lock_;
  Sleeper* newest_ = nullptr;
  Sleeper* oldest_ = nullptr;
  std::atomic<std::uint64_t> wakes_{0};
};

}  // namespace penstock::exec
