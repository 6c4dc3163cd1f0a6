// A host stream: a FIFO of tasks and waits that runs on the pool, one at a time, never holding a
// thread while it waits. Its operations are numbered from 1; a record is just the pair (strand,
// number of operations submitted), so recording and querying cost an atomic load each.
//
// Thread-safe. Reference-counted: the stream's handle, queue entries, records and waits hold it.
#pragma once

#include "backend/backend.hpp"
#include "base/ref.hpp"
#include "base/ring_queue.hpp"
#include "base/spin_lock.hpp"
#include "exec/pool.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace penstock::backend::host_detail {

class Strand : public RefCounted<Strand>, private exec::Job {
 public:
  [[nodiscard]] static Ref<Strand> make();
  /// Every strand that has a handle or work, with the number of its newest operation.
  [[nodiscard]] static std::vector<std::pair<Ref<Strand>, std::uint64_t>> all();

  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// Number of the newest operation submitted: what a record made now captures.
  [[nodiscard]] std::uint64_t submitted() const { return submitted_.load(); }
  [[nodiscard]] bool is_done(std::uint64_t sequence) const { return done_.load() >= sequence; }

  void submit(std::unique_ptr<HostTask> task);
  /// Later operations run after operation `sequence` of `other`.
  void submit_wait(Strand& other, std::uint64_t sequence);

  /// Blocks until operation `sequence` is done, at most until `deadline_ns`, and runs what it
  /// depends on meanwhile; with a deadline only where the calling thread may be the one worker
  /// there is, or has a Helper. SelfWaitError if that would wait for the calling task itself.
  [[nodiscard]] bool block_until(std::uint64_t sequence, std::int64_t deadline_ns);
  /// Fires the completion once `sequence` is done. False: it is done, and nothing is fired.
  [[nodiscard]] bool add_waiter(Completion& completion, std::uint64_t sequence);

  /// The error that a record of `sequence` carries, empty if none.
  [[nodiscard]] std::exception_ptr error_at(std::uint64_t sequence);
  /// Gives the first error and clears it: operations submitted later run again, and records made
  /// later are without it.
  [[nodiscard]] std::exception_ptr take_error();

  /// Runs the head, a task of the lane that the calling thread is. For Lane's implementations.
  void run_on_lane() { run_on_lane(kAll); }

  /// True if the calling thread is inside a task of the strand, and not inside one that this task
  /// runs because it waits for it.
  [[nodiscard]] static bool is_running(const Strand& strand);

 private:
  friend class RefCounted<Strand>;

  // The state word. Only a thread that moved it to `running` touches the head of the queue.
  //   idle -> queued        submit(), under lock_; then it links the strand, whoever runs it by
  //   then queued -> running     compare-exchange by a worker or by a blocked thread that helps
  //   running -> idle       the runner found the queue empty, under lock_
  //   running -> parked     the runner, before it registers with what it waits for
  //   parked -> queued      whoever fires; or the runner itself if registering came too late
  //   running -> at_lane    the head names a lane; at_lane -> running by that lane's thread
  // A strand that is parked or running is made queued by one thread alone, and that one keeps it
  // alive: as soon as it is queued a helper may run it to its end.
  // A queued strand is linked in the pool at most once: entry_ says so, because a helper may have
  // claimed it and left the link behind. Attacked by test_host_stream "crossing waits" and "threads
  // push and help".
  enum class State : std::uint8_t { idle, queued, running, parked, at_lane };

  struct Operation {
    std::unique_ptr<HostTask> task;  // empty for a wait
    Ref<Strand> other;
    std::uint64_t other_sequence = 0;
    std::int64_t delay_until_ns = 0;  // of the seeded schedule; 0: not drawn yet
  };
  // The operations of [from, to] carry the error; `to` is open until it was taken.
  struct Failure {
    std::uint64_t from;
    std::uint64_t to;
    std::exception_ptr error;
  };
  // An operation of a strand; of none: nothing.
  struct Dependency {
    Ref<Strand> strand;
    std::uint64_t sequence = 0;
  };
  static constexpr std::uint64_t kAll = UINT64_MAX;
  struct Frame;
  class BlockedTask;

  Strand();
  ~Strand() = default;
  void dispose();

  void push(Operation operation);
  void make_queued(exec::Hint hint);
  void link(exec::Hint hint);
  void run_claimed(std::uint64_t until);
  void run_on_lane(std::uint64_t until);
  void give_up();
  bool take_next();
  bool step();
  bool step_wait();
  [[nodiscard]] bool step_delay();
  void step_task();
  void finish_operation();
  void fail(std::uint64_t sequence, std::exception_ptr error);
  void fire_waiters();
  [[nodiscard]] bool remove_waiter(Completion& completion);
  [[nodiscard]] bool has_current() const { return current_.task || current_.other; }
  [[nodiscard]] bool help(std::uint64_t sequence);
  [[nodiscard]] bool lane_is_here();
  void refuse_deadlock(std::uint64_t sequence);
  [[nodiscard]] Dependency waits_for(std::uint64_t sequence);

  const std::uint64_t id_;
  std::size_t place_ = 0;  // in the list of all strands, under its lock
  std::atomic<std::uint64_t> submitted_{0};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<State> state_{State::idle};
  std::atomic<bool> entry_{false};
  std::atomic<std::uint32_t> waiter_count_{0};
  std::atomic<bool> has_failures_{false};

  SpinLock lock_;  // guards what follows
  RingQueue<Operation> operations_;
  Operation current_;      // taken from the queue, not done; written by the runner
  Dependency blocked_on_;  // what the current task waits for, blocked and without a deadline
  Completion* waiters_ = nullptr;
  std::vector<Failure> failures_;

  struct ParkedCompletion : Completion {
    Strand* strand = nullptr;
  } parked_completion_;
};

// The strands that this thread runs, innermost first: a blocked task may help.
struct Strand::Frame {
  explicit Frame(Strand& runs) : strand(runs), outer(top) { top = this; }
  ~Frame() { top = outer; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  /// Who is to run a strand that became ready: this thread next, unless it has more to do first.
  [[nodiscard]] static exec::Hint hint() {
    const bool busy = top != nullptr && (top->goes_on || top->outer != nullptr);
    return busy ? exec::Hint::spread : exec::Hint::next;
  }

  /// This strand's next task may be long: what was fired in this turn and left to this worker is
  /// everybody's from here on.
  static void share_fired() {
    if (std::exchange(top->has_fired, false)) exec::Pool::before_blocking();
  }

  Strand& strand;
  Frame* outer;
  bool goes_on = false;
  bool has_fired = false;
  static thread_local Frame* top;
};

}  // namespace penstock::backend::host_detail
