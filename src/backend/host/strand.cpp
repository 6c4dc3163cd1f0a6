#include "backend/host/strand.hpp"

#include "backend/lane.hpp"
#include "base/random.hpp"
#include "base/settings.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace penstock::backend::host_detail {
namespace {

// Operations that one turn on a worker runs before others get theirs.
constexpr int kTurn = 16;
constexpr std::uint64_t kOpen = UINT64_MAX;
constexpr std::size_t kFailuresKept = 16;

std::atomic<std::uint64_t> next_id{1};

// Raw pointers: a strand takes itself out when its last reference goes.
struct Registry {
  SpinLock lock;
  std::vector<Strand*> alive;
};

Registry& registry() {
  static auto* strands = new Registry;
  return *strands;
}

Random& schedule_random() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local Random random(settings().seed.value_or(0) * 1000003 + threads.fetch_add(1));
  return random;
}

}  // namespace

thread_local Strand::Frame* Strand::Frame::top = nullptr;

bool Strand::is_running(const Strand& strand) {
  return Frame::top != nullptr && &Frame::top->strand == &strand;
}

Ref<Strand> Strand::make() {
  auto strand = Ref<Strand>::adopt(new Strand);
  Registry& strands = registry();
  const std::lock_guard guard(strands.lock);
  strand->place_ = strands.alive.size();
  strands.alive.push_back(strand.get());
  return strand;
}

void Strand::dispose() {
  if (exec::forked()) return;  // the list's lock is as another thread had it
  {
    Registry& strands = registry();
    const std::lock_guard guard(strands.lock);
    strands.alive[place_] = strands.alive.back();
    strands.alive[place_]->place_ = place_;
    strands.alive.pop_back();
  }
  delete this;
}

std::vector<std::pair<Ref<Strand>, std::uint64_t>> Strand::all() {
  std::vector<std::pair<Ref<Strand>, std::uint64_t>> all;
  Registry& strands = registry();
  const std::lock_guard guard(strands.lock);
  all.reserve(strands.alive.size());
  for (Strand* strand : strands.alive) {
    // One whose last reference goes right now has nothing left to do.
    if (strand->try_retain()) all.emplace_back(Ref<Strand>::adopt(strand), strand->submitted());
  }
  return all;
}

Strand::Strand() : id_(next_id.fetch_add(1)) {
  Job::run = [](exec::Job* job) {
    auto strand = Ref<Strand>::adopt(static_cast<Strand*>(job));
    strand->entry_.store(false);
    State expected = State::queued;
    if (strand->state_.compare_exchange_strong(expected, State::running)) strand->run_claimed(kAll);
  };
  parked_completion_.strand = this;
  parked_completion_.fire = [](Completion* completion) {
    static_cast<ParkedCompletion*>(completion)->strand->make_queued(Frame::hint());
  };
}

void Strand::submit(std::unique_ptr<HostTask> task) { push(Operation{std::move(task), {}, 0}); }

void Strand::submit_wait(Strand& other, std::uint64_t sequence) {
  const bool over = other.is_done(sequence) && !other.error_at(sequence);
  if (&other == this || over) return;
  push(Operation{nullptr, Ref<Strand>::share(&other), sequence});
}

void Strand::push(Operation operation) {
  bool was_idle = false;
  {
    const std::lock_guard guard(lock_);
    operations_.push(std::move(operation));
    submitted_.store(submitted_.load(std::memory_order_relaxed) + 1);
    was_idle = state_.load() == State::idle;
    if (was_idle) {
      retain();  // while there is work the strand holds itself
      state_.store(State::queued);
    }
  }
  if (!was_idle) return;
  retain();
  link(Frame::hint());
}

// From parked or running: the caller is the only one who may change the state.
void Strand::make_queued(exec::Hint hint) {
  retain();
  state_.store(State::queued);
  link(hint);
}

// Into the pool, unless it is there already. Takes over a reference.
void Strand::link(exec::Hint hint) {
  if (entry_.exchange(true)) {
    release();
  } else {
    exec::Pool::instance().submit(this, hint);
  }
}

// A turn, or until that operation is done: beyond what a helper waits for there may be work that
// waits for the helper's own task.
void Strand::run_claimed(std::uint64_t until) {
  const Frame frame(*this);
  for (int turn = 0; turn < kTurn; ++turn) {
    if (!step()) return;
    if (is_done(until)) break;
  }
  give_up();
}

void Strand::give_up() {
  bool is_idle = false;
  {
    const std::lock_guard guard(lock_);
    is_idle = !has_current() && operations_.empty();
    if (is_idle) state_.store(State::idle);
  }
  if (is_idle) {
    release();
  } else {
    Frame::share_fired();
    make_queued(exec::Hint::next);
  }
}

// Moves the oldest operation to current_, unless one is there already. False: nothing is left, and
// the strand is idle.
bool Strand::take_next() {
  {
    const std::lock_guard guard(lock_);
    if (has_current()) return true;
    if (!operations_.empty()) {
      current_ = operations_.pop();
      return true;
    }
    state_.store(State::idle);
  }
  release();
  return false;
}

// One operation. False: the strand is no longer this thread's.
bool Strand::step() {
  if (!take_next()) return false;
  if ((settings().seed || settings().block_once) && !step_delay()) return false;
  if (!current_.task) return step_wait();
  if (Lane* lane = current_.task->lane(); lane != nullptr && !lane->is_inside()) {
    const auto keep = Ref<Strand>::share(this);
    state_.store(State::at_lane);
    lane->post(*this);
    return false;
  }
  step_task();
  return true;
}

bool Strand::step_wait() {
  const auto other = current_.other;
  state_.store(State::parked);
  if (other->add_waiter(parked_completion_, current_.other_sequence)) return false;
  state_.store(State::running);
  if (auto error = other->error_at(current_.other_sequence)) fail(done_.load() + 1, error);
  finish_operation();
  return true;
}

// Under a schedule for tests: the seeded one lets some operations wait for up to 200 us, block_once
// sets every one aside once. The strand goes round in the pool meanwhile, where helpers find it.
// True when the operation may run; else the strand is no longer this thread's.
bool Strand::step_delay() {
  if (current_.delay_until_ns == 0) {
    const Settings& schedule = settings();
    if (!schedule.block_once && schedule_random().below(8) != 0) {
      current_.delay_until_ns = 1;
      return true;
    }
    const auto delay_ns = schedule.seed ? schedule_random().below(200'000) : 0;
    current_.delay_until_ns = now_ns() + static_cast<std::int64_t>(delay_ns);
  } else if (now_ns() >= current_.delay_until_ns) {
    return true;
  }
  make_queued(exec::Hint::spread);
  return false;
}

void Strand::step_task() {
  const std::uint64_t sequence = done_.load() + 1;
  Frame::top->goes_on = true;
  Frame::share_fired();
  try {
    const auto error = error_at(sequence);
    if (error) {
      current_.task->skip(error);
    } else {
      current_.task->run();
    }
  } catch (...) {
    fail(sequence, std::current_exception());
  }
  finish_operation();
}

void Strand::run_on_lane(std::uint64_t until) {
  State expected = State::at_lane;
  if (!state_.compare_exchange_strong(expected, State::running)) return;
  const auto keep = Ref<Strand>::share(this);
  const Frame frame(*this);
  const Lane* lane = current_.task->lane();
  for (int turn = 0; turn < kTurn; ++turn) {
    step_task();
    if (!take_next()) return;
    if (!current_.task || current_.task->lane() != lane || settings().seed) break;
    if (is_done(until)) break;
  }
  give_up();
}

// What the task captured is let go before its end can be seen.
void Strand::finish_operation() {
  Operation over;
  {
    const std::lock_guard guard(lock_);
    over = std::move(current_);
    current_ = {};
    Frame::top->goes_on = !operations_.empty();
  }
  over = {};
  done_.store(done_.load(std::memory_order_relaxed) + 1);
  if (waiter_count_.load() != 0) fire_waiters();
}

// No wake-up is lost: a waiter raises waiter_count_ before it reads done_, the runner stores done_
// before it reads waiter_count_, all sequentially consistent, so one of the two sees the other.
bool Strand::add_waiter(Completion& completion, std::uint64_t sequence) {
  if (is_done(sequence)) return false;
  const std::lock_guard guard(lock_);
  waiter_count_.fetch_add(1);
  if (is_done(sequence)) {
    waiter_count_.fetch_sub(1);
    return false;
  }
  completion.sequence = sequence;
  completion.next = waiters_;
  waiters_ = &completion;
  return true;
}

bool Strand::remove_waiter(Completion& completion) {
  const std::lock_guard guard(lock_);
  for (Completion** link = &waiters_; *link != nullptr; link = &(*link)->next) {
    if (*link != &completion) continue;
    *link = completion.next;
    waiter_count_.fetch_sub(1);
    return true;
  }
  return false;
}

void Strand::fire_waiters() {
  Completion* ready = nullptr;
  {
    const std::lock_guard guard(lock_);
    for (Completion** link = &waiters_; *link != nullptr;) {
      Completion* completion = *link;
      if (!is_done(completion->sequence)) {
        link = &completion->next;
        continue;
      }
      *link = completion->next;
      completion->next = ready;
      ready = completion;
      waiter_count_.fetch_sub(1);
    }
  }
  if (ready != nullptr) Frame::top->has_fired = true;
  while (ready != nullptr) {
    Completion* next = ready->next;
    ready->fire(ready);
    ready = next;
  }
}

void Strand::fail(std::uint64_t sequence, std::exception_ptr error) {
  const std::lock_guard guard(lock_);
  if (!failures_.empty() && failures_.back().to == kOpen) return;
  if (failures_.size() == kFailuresKept) failures_.erase(failures_.begin());
  failures_.push_back({sequence, kOpen, std::move(error)});
  has_failures_.store(true);
}

std::exception_ptr Strand::error_at(std::uint64_t sequence) {
  if (!has_failures_.load()) return nullptr;
  const std::lock_guard guard(lock_);
  for (const Failure& failure : failures_) {
    if (failure.from <= sequence && sequence <= failure.to) return failure.error;
  }
  return nullptr;
}

std::exception_ptr Strand::take_error() {
  if (!has_failures_.load()) return nullptr;
  const std::lock_guard guard(lock_);
  if (failures_.empty() || failures_.back().to != kOpen) return nullptr;
  failures_.back().to = submitted_.load();
  // With nothing left to do one operation passes unseen, so that the next record is beyond the
  // error.
  if (done_.load() == submitted_.load()) {
    submitted_.store(submitted_.load() + 1);
    done_.store(submitted_.load());
  }
  return failures_.back().error;
}

}  // namespace penstock::backend::host_detail
