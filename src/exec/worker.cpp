#include "exec/worker.hpp"

#include "base/time.hpp"
#include "exec/futex.hpp"
#include "exec/thread_start.hpp"

#include <fmt/format.h>

#include <climits>
#include <cstdio>
#include <exception>

namespace penstock::exec {
namespace {

// So many jobs may hand over to the next in place before the queues get a turn.
constexpr int kMaxInARow = 16;
// A worker that is busy with one job for so long is no longer trusted with what it keeps.
constexpr std::int64_t kKeptNs = 5'000;
// Looks at the queues between two looks at the clock.
constexpr int kLooks = 8;
constexpr int kPauses = 8;

thread_local Worker* current_worker = nullptr;

[[noreturn]] void end_process(const char* what) {
  fmt::print(stderr, "penstock: a job threw out of run(), which must not throw: {}\n", what);
  std::terminate();
}

void run_job(Job* job) noexcept {
  try {
    job->run(job);
  } catch (const std::exception& error) {
    end_process(error.what());
  } catch (...) {
    end_process("not a std::exception");
  }
}

}  // namespace

Worker::Worker(Pool& pool, PoolState& state, int index)
    : pool_(pool),
      state_(state),
      index_(index),
      random_(state.options.seed.value_or(0) * 1000003 + static_cast<std::uint64_t>(index)) {}

Worker* Worker::current() { return current_worker; }

void Worker::run() {
  begin_thread(fmt::format("penstock-w{}", index_).c_str());
  current_worker = this;
  while (!state_.stopping.load(std::memory_order_relaxed)) {
    Job* job = take();
    if (job == nullptr) job = wait_for_job();
    if (job == nullptr) break;
    began_.store(began_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // What is kept here would wait for this one, which may be long, or wait for what is kept.
    if (!job->light) share_all();
    run_job(job);
  }
  current_worker = nullptr;
  state_.alive.fetch_sub(1);
  futex_wake(state_.alive, INT_MAX);
}

void Worker::submit(Job* job, Hint hint) {
  job->light = hint == Hint::light;
  if (hint != Hint::spread) {
    job = next_.exchange(job, std::memory_order_acq_rel);
    if (job == nullptr) return;
  }
  queue(job);
}

void Worker::queue(Job* job) {
  // Once it is in the queue the job may be run and freed by another worker.
  const bool light = job->light;
  queue_.push(job);
  if (!light) state_.parking.wake_one();
}

void Worker::share_all() {
  Job* kept = take_next();
  if (kept != nullptr) {
    kept->light = false;
    queue_.push(kept);
  }
  // Somebody was woken for the others when they came.
  if (queue_.share_all() || kept != nullptr) state_.parking.wake_one();
}

// The queues take turns, so that a job which is always there again starves none in the other.
Job* Worker::take() {
  if (state_.options.seed) return state_.seeded.pick(random_);
  if (in_a_row_ < kMaxInARow) {
    ++in_a_row_;
    if (Job* job = take_next()) return job;
  }
  in_a_row_ = 0;
  injected_first_ = !injected_first_;
  JobQueue& first = injected_first_ ? state_.injected : queue_;
  JobQueue& second = injected_first_ ? queue_ : state_.injected;
  Job* job = first.pop();
  if (job == nullptr) job = second.pop();
  return job != nullptr ? job : take_next();
}

Job* Worker::take_next() {
  if (next_.load(std::memory_order_relaxed) == nullptr) return nullptr;
  return next_.exchange(nullptr, std::memory_order_acq_rel);
}

// In all places where jobs wait for anybody. With a seed, chance is for picking alone.
Job* Worker::look() {
  if (Job* job = take()) return job;
  return state_.options.seed ? nullptr : steal();
}

Job* Worker::steal() {
  const std::size_t count = state_.workers.size();
  const std::size_t start = random_.below(count);
  for (std::size_t i = 0; i < count; ++i) {
    Worker& victim = *state_.workers[(start + i) % count];
    if (!victim.has_shared()) continue;
    if (Job* job = victim.queue_.pop()) return job;
  }
  return nullptr;
}

bool Worker::keeps_jobs() const {
  return next_.load(std::memory_order_relaxed) != nullptr || queue_.has_any();
}

Job* Worker::steal_kept(Suspect& suspect, std::int64_t now) {
  if (Worker* victim = suspect.worker) {
    const std::uint64_t began = victim->began_.load(std::memory_order_relaxed);
    if (began == suspect.began && victim->keeps_jobs()) {
      if (now - suspect.since_ns < kKeptNs) return nullptr;
      if (Job* job = victim->take_next()) return job;
      return victim->queue_.pop();
    }
  }
  suspect = {};
  const std::size_t count = state_.workers.size();
  const std::size_t start = random_.below(count);
  for (std::size_t i = 0; i < count && suspect.worker == nullptr; ++i) {
    Worker& worker = *state_.workers[(start + i) % count];
    if (!worker.keeps_jobs()) continue;
    suspect = {&worker, worker.began_.load(std::memory_order_relaxed), now};
  }
  return nullptr;
}

// For spin_ns at most.
Job* Worker::search() {
  const std::int64_t until = now_ns() + state_.options.spin_ns;
  Suspect suspect;
  while (!state_.stopping.load(std::memory_order_relaxed)) {
    for (int looks = 0; looks < kLooks; ++looks) {
      if (Job* job = look()) return job;
      for (int j = 0; j < kPauses; ++j) cpu_relax();
    }
    const std::int64_t now = now_ns();
    if (now >= until) return nullptr;
    Job* kept = state_.options.seed ? nullptr : steal_kept(suspect, now);
    if (kept != nullptr) return kept;
    // Somebody may need this core to give us work.
    std::this_thread::yield();
  }
  return nullptr;
}

Job* Worker::wait_for_job() {
  Parking& parking = state_.parking;
  bool searching = parking.begin_search();
  while (!state_.stopping.load()) {
    Job* job = searching ? search() : look();
    if (searching) parking.end_search();
    if (job != nullptr) {
      // Also where it was found after the search: whoever saw this thread search woke nobody.
      if (state_.has_work()) parking.wake_one();
      return job;
    }
    parking.prepare(sleeper_);
    if (state_.has_work() || state_.stopping.load()) {
      searching = !parking.cancel(sleeper_);
    } else {
      parking.sleep(sleeper_);
      searching = true;
    }
  }
  return nullptr;
}

}  // namespace penstock::exec
