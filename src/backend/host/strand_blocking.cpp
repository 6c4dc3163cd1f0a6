// Threads that wait for a strand: they help, and are refused where they would wait for themselves.
#include "backend/host/blocker.hpp"
#include "backend/host/strand.hpp"
#include "backend/lane.hpp"
#include "base/settings.hpp"
#include "base/throw.hpp"
#include "base/time.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

namespace penstock::backend::host_detail {
namespace {

// A blocked worker looks again this often: what it waits for may need a worker, and it is one.
constexpr std::int64_t kLookAgainNs = 200'000;
// Longer chains than this are taken for circles that somebody else is about to refuse.
constexpr int kLongestChain = 1024;

thread_local int helpers = 0;  // of this thread that live

}  // namespace

// While it lives others can see what the calling thread's task waits for.
class Strand::BlockedTask {
 public:
  BlockedTask(Strand& other, std::uint64_t sequence) {
    set({Ref<Strand>::share(&other), sequence});
  }
  ~BlockedTask() { set({}); }
  BlockedTask(const BlockedTask&) = delete;
  BlockedTask& operator=(const BlockedTask&) = delete;

 private:
  static void set(Dependency dependency) {
    if (Frame::top == nullptr) return;
    Strand& strand = Frame::top->strand;
    const std::lock_guard guard(strand.lock_);
    std::swap(strand.blocked_on_, dependency);
  }
};

// What keeps operation `sequence` from being done right now, as far as it is another strand. Read
// under the lock the operation at the head is the one after done_, so it comes before `sequence`.
Strand::Dependency Strand::waits_for(std::uint64_t sequence) {
  const std::lock_guard guard(lock_);
  if (is_done(sequence)) return {};
  if (current_.other) return {current_.other, current_.other_sequence};
  return blocked_on_;
}

// Runs a strand that operation `sequence` depends on, if one can be run here. Only what is depended
// on: anything else might wait for the task below it on this very stack.
bool Strand::help(std::uint64_t sequence) {
  Dependency next{Ref<Strand>::share(this), sequence};
  for (int depth = 0; next.strand && depth < kLongestChain; ++depth) {
    Strand& strand = *next.strand;
    if (strand.is_done(next.sequence)) return false;
    State expected = State::queued;
    if ((!settings().seed || exec::Pool::on_worker()) &&
        strand.state_.compare_exchange_strong(expected, State::running)) {
      strand.run_claimed(next.sequence);
      return true;
    }
    if (strand.state_.load() == State::at_lane && strand.lane_is_here()) {
      strand.run_on_lane(next.sequence);
      return true;
    }
    next = strand.waits_for(next.sequence);
  }
  return false;
}

bool Strand::lane_is_here() {
  const std::lock_guard guard(lock_);
  return current_.task && current_.task->lane() != nullptr && current_.task->lane()->is_inside();
}

// A chain of waits that ends in a task below us on this stack would never end.
void Strand::refuse_deadlock(std::uint64_t sequence) {
  Dependency next{Ref<Strand>::share(this), sequence};
  for (int depth = 0; next.strand && depth < kLongestChain; ++depth) {
    for (const Frame* frame = Frame::top; frame != nullptr; frame = frame->outer) {
      if (&frame->strand == next.strand.get() && !next.strand->is_done(next.sequence)) {
        throw_error<SelfWaitError>(
            "sync: the calling task runs on host stream {} and would wait for itself; wait outside "
            "of the task, or queue the rest with launch()",
            next.strand->id());
      }
    }
    next = next.strand->waits_for(next.sequence);
  }
}

bool Strand::block_until(std::uint64_t sequence, std::int64_t deadline_ns) {
  if (is_done(sequence)) return true;
  const bool has_deadline = deadline_ns != kNever;
  const bool needed = Frame::top != nullptr || exec::Pool::on_worker();
  std::optional<BlockedTask> blocked;
  if (!has_deadline) blocked.emplace(*this, sequence);
  const bool may_help = needed || !has_deadline || helpers > 0;
  while (!is_done(sequence)) {
    if (needed) refuse_deadlock(sequence);
    if (has_deadline && now_ns() >= deadline_ns) return false;
    const bool helped = may_help && help(sequence);
    // What this worker has kept for itself must not wait for what it does next.
    exec::Pool::before_blocking();
    if (helped) continue;
    Blocker blocker;
    if (!add_waiter(blocker, sequence)) break;
    const auto until = needed ? std::min(deadline_ns, now_ns() + kLookAgainNs) : deadline_ns;
    if (blocker.wait_until(until)) break;
    if (!remove_waiter(blocker)) {
      static_cast<void>(blocker.wait_until(kNever));  // it is being fired right now
      break;
    }
  }
  return true;
}

}  // namespace penstock::backend::host_detail

namespace penstock::backend {

Helper::Helper() { ++host_detail::helpers; }
Helper::~Helper() { --host_detail::helpers; }

}  // namespace penstock::backend
