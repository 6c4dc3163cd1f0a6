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
// While a worker sleeps and watches the others: between two looks, and so many with nothing to see.
constexpr std::int64_t kLookNs = 2'000'000;
constexpr int kQuietLooks = 50;
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
  if (hint == Hint::spread) {
    queue(job);
    return;
  }
  if (Job* before = next_.exchange(job)) queue(before);
  if (!state_.watch.is_on()) state_.parking.wake_one();
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

Job* Worker::take_kept() {
  Job* job = take_next();
  return job != nullptr ? job : queue_.pop();
}

Job* Worker::steal_kept(Suspect& suspect, std::int64_t now) {
  if (Worker* victim = suspect.worker) {
    const std::uint64_t began = victim->began_.load(std::memory_order_relaxed);
    if (began == suspect.began && victim->keeps_jobs()) {
      return now - suspect.since_ns < kKeptNs ? nullptr : victim->take_kept();
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
    if (job == nullptr) job = sleep(searching);
    if (job == nullptr) continue;
    // Also where it was found after the search: whoever saw this thread search woke nobody.
    if (state_.has_work() || !state_.watch.is_on()) parking.wake_one();
    return job;
  }
  return nullptr;
}

// Until it is woken, or finds what others keep.
Job* Worker::sleep(bool& searching) {
  Parking& parking = state_.parking;
  const bool watches = !state_.options.seed && state_.watch.begin();
  parking.prepare(sleeper_, watches ? Parking::Turn::last : Parking::Turn::first);
  if (state_.has_work() || state_.stopping.load()) {
    if (watches) state_.watch.end();
    searching = !parking.cancel(sleeper_);
    return nullptr;
  }
  if (Job* job = watches ? watch() : nullptr) {
    if (!parking.cancel(sleeper_)) parking.end_search();
    return job;
  }
  parking.sleep(sleeper_);
  searching = true;
  return nullptr;
}

// Nothing once it is woken, or others have begun nothing for a while.
Job* Worker::watch() {
  do {
    Job* job = nullptr;
    for (int quiet = 0; job == nullptr && quiet < kQuietLooks; ++quiet) {
      if (state_.parking.sleep(sleeper_, now_ns() + kLookNs)) {
        state_.watch.end();
        return nullptr;
      }
      bool is_quiet = true;
      job = take_stuck(is_quiet);
      if (!is_quiet) quiet = 0;
    }
    state_.watch.end();
    if (job != nullptr) return job;
  } while (state_.keeps_jobs() && state_.watch.begin());
  return nullptr;
}

// From a worker that has begun no job since the look before.
Job* Worker::take_stuck(bool& is_quiet) {
  for (std::size_t i = 0; i < state_.workers.size(); ++i) {
    Worker& worker = *state_.workers[i];
    const bool is_same = state_.watch.is_same(i, worker.began_.load(std::memory_order_relaxed));
    is_quiet = is_quiet && is_same;
    if (!is_same || !worker.keeps_jobs()) continue;
    if (Job* job = worker.take_kept()) return job;
  }
  return nullptr;
}

}  // namespace penstock::exec
