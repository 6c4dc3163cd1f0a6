// Which of a pool's sleeping workers looks now and then at those that run. A worker wakes nobody
// for the jobs it keeps for itself (Hint::next, Hint::light), and may turn out to be busy with one
// job for long, or to wait in it for what it keeps. At most one watches, and no other is woken for
// that while jobs come without a pause.
//
// Protocol. on_ and Worker::next_ are sequentially consistent. What moves on from next_ to the
// queue has given its place there to another job before. So a watcher that sees neither of the two
// looked after a thief had taken that other one; the thief is awake, and comes to (3) or (4).
//   keeper:  (1) keeps a job; (2) reads on_; if nobody watches, calls Parking::wake_one().
//   worker:  (3) found a job while it was awake: if nobody watches, it calls wake_one() too.
//            (4) before it sleeps: sets on_ if nobody watches, and then watches while it sleeps.
//   watcher: (5) clears on_ when it is woken or takes a job: it is awake then, and comes to (3) or
//            (4). After a quiet time it clears on_, looks at the kept jobs once more, and watches
//            on if there are any; otherwise it sleeps like the others.
// A kept job is seen: if (2) found on_ set, either the watcher is there at its next look, or (5)
// comes after (2), so after (1), and sees the job or leads to another (4). If (2) found it cleared,
// somebody is woken, or searches already, or nobody sleeps: each leads to (3) or (4) before all
// sleep but the keeper. Attacked by "exec: what a worker keeps does not wait for its job" in
// test_exec_kept.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::exec {

class Watch {
 public:
  explicit Watch(std::size_t workers) : seen_(workers) {}

  [[nodiscard]] bool is_on() const { return on_.load(); }
  /// True: the caller is the one that watches, until end().
  [[nodiscard]] bool begin() { return seen_.size() > 1 && !is_on() && !on_.exchange(true); }
  void end() { on_.store(false); }

  /// While the caller watches: true if the worker has begun no job since the look before.
  [[nodiscard]] bool is_same(std::size_t worker, std::uint64_t began) {
    const bool same = seen_[worker] == began;
    seen_[worker] = began;
    return same;
  }

 private:
  alignas(64) std::atomic<bool> on_{false};
  std::vector<std::uint64_t> seen_;
};

}  // namespace penstock::exec
