#include "exec/pool.hpp"

#include "base/settings.hpp"
#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "exec/futex.hpp"
#include "exec/worker.hpp"

#include <algorithm>
#include <cassert>
#include <system_error>

namespace penstock::exec {
namespace {

// Looking for work takes a core from whoever could give some: one worker at a time, unless there
// are cores to spare.
int max_searchers(int workers) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return workers >= cores || cores <= 2 ? 1 : std::max(1, cores / 4);
}

PoolOptions complete(PoolOptions options) {
  if (options.workers <= 0) options.workers = settings().workers;
  return options;
}

std::int64_t after(std::int64_t timeout_ns) {
  const std::int64_t now = now_ns();
  return timeout_ns > kNever - now ? kNever : now + timeout_ns;
}

}  // namespace

PoolState::PoolState(Pool& pool, const PoolOptions& given)
    : options(complete(given)),
      parking(max_searchers(options.workers)),
      watch(static_cast<std::size_t>(options.workers)) {
  for (int i = 0; i < options.workers; ++i) {
    workers.push_back(std::make_unique<Worker>(pool, *this, i));
  }
}

bool PoolState::has_work() const {
  if (options.seed) return seeded.has_any();
  if (injected.has_shared()) return true;
  return std::any_of(workers.begin(), workers.end(), [](const auto& w) { return w->has_shared(); });
}

bool PoolState::keeps_jobs() const {
  return std::any_of(workers.begin(), workers.end(), [](const auto& w) { return w->keeps_jobs(); });
}

void PoolState::close() {
  injected.close();
  seeded.close();
  for (const auto& worker : workers) worker->close();
}

Pool& Pool::instance() {
  static auto* pool = new Pool({.workers = 0, .seed = settings().seed});
  return *pool;
}

std::unique_ptr<Pool> Pool::make(const PoolOptions& options) {
  return std::unique_ptr<Pool>(new Pool(options));
}

Pool::Pool(const PoolOptions& options) : state_(std::make_unique<PoolState>(*this, options)) {}

Pool::~Pool() {
  assert(&current() != this || !on_worker());
  if (forked()) {
    static_cast<void>(state_.release());  // its threads are the parent's
  } else {
    stop(kNever);
  }
}

void Pool::submit(Job* job, Hint hint) {
  throw_if_forked("submit");
  Worker* worker = Worker::current();
  if (worker != nullptr && &worker->pool() == this && !state_->options.seed) {
    worker->submit(job, hint);
    return;
  }
  if (!state_->started.load(std::memory_order_acquire)) start();
  if (state_->options.seed) {
    state_->seeded.push(job);
  } else {
    job->light = false;
    state_->injected.push(job);
  }
  state_->parking.wake_one();
}

void Pool::start() {
  throw_if_forked("start");
  const std::lock_guard guard(state_->mutex);
  if (state_->started.load() || state_->stopping.load()) return;
  note_threads();
  for (const auto& worker : state_->workers) {
    state_->alive.fetch_add(1);
    try {
      state_->threads.emplace_back([&worker] { worker->run(); });
    } catch (const std::system_error& error) {
      state_->alive.fetch_sub(1);
      if (!state_->threads.empty()) break;  // fewer will do
      throw_error<Error>(
          "workers: the system gives no thread ({}); is a limit on processes reached?",
          error.what());
    }
  }
  state_->started.store(true, std::memory_order_release);
}

int Pool::workers() const { return state_->options.workers; }

int Pool::idle() const {
  if (forked() || state_->stopping.load()) return 0;
  return state_->started.load(std::memory_order_acquire) ? state_->parking.idle() : workers();
}

int Pool::sleeping() const { return state_->parking.sleeping(); }

std::uint64_t Pool::wakes() const { return state_->parking.wakes(); }

bool Pool::on_worker() { return Worker::current() != nullptr; }

Pool& Pool::current() {
  Worker* worker = Worker::current();
  return worker != nullptr ? worker->pool() : instance();
}

void Pool::before_blocking() {
  if (Worker* worker = Worker::current()) worker->share_all();
}

bool Pool::stop(std::int64_t timeout_ns) {
  if (forked()) return true;
  PoolState& state = *state_;
  {
    const std::lock_guard guard(state.mutex);
    state.stopping.store(true);
  }
  state.close();
  state.parking.wake_all();
  if (on_worker() && &current() == this) return false;
  const std::int64_t deadline_ns = after(timeout_ns);
  while (const std::uint32_t alive = state.alive.load()) {
    if (!futex_wait(state.alive, alive, deadline_ns)) return false;
  }
  const std::lock_guard guard(state.mutex);
  for (std::thread& thread : state.threads) thread.join();
  state.threads.clear();
  return true;
}

}  // namespace penstock::exec
