#include "exec/timers.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "exec/thread_start.hpp"
#include "exec/timer_heap.hpp"

#include <cassert>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace penstock::exec {

struct Timers::State {
  explicit State(Pool& given) : pool(given) {}

  void run();
  void start();

  Pool& pool;
  std::mutex mutex;
  std::condition_variable changed;
  TimerHeap heap;
  bool stopping = false;
  std::thread thread;
};

void Timers::State::start() {
  if (thread.joinable() || stopping) return;
  note_threads();
  try {
    thread = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw_error<Error>("timers: the system gives no thread ({}); is a limit on processes reached?",
                       error.what());
  }
}

void Timers::State::run() {
  begin_thread("penstock-timer");
  std::unique_lock guard(mutex);
  while (!stopping) {
    if (heap.empty()) {
      changed.wait(guard);
      continue;
    }
    Timer& timer = heap.top();
    if (timer.deadline_ns > now_ns()) {
      const std::chrono::nanoseconds deadline{timer.deadline_ns};
      changed.wait_until(guard, std::chrono::steady_clock::time_point{deadline});
      continue;
    }
    heap.remove(timer);
    Job* job = timer.job;  // once the lock is let go, the timer may be gone
    guard.unlock();
    pool.submit(job);
    guard.lock();
  }
}

Timers& Timers::instance() {
  static auto* timers = new Timers(Pool::instance());
  return *timers;
}

std::unique_ptr<Timers> Timers::make(Pool& pool) {
  return std::unique_ptr<Timers>(new Timers(pool));
}

Timers::Timers(Pool& pool) : state_(std::make_unique<State>(pool)) {}

Timers::~Timers() {
  if (forked()) {
    static_cast<void>(state_.release());  // its thread is the parent's
  } else {
    stop();
  }
}

void Timers::arm(Timer& timer, std::int64_t deadline_ns) {
  throw_if_forked("timer");
  const std::lock_guard guard(state_->mutex);
  assert(!TimerHeap::contains(timer));
  state_->start();
  timer.deadline_ns = deadline_ns;
  state_->heap.push(timer);
  if (&state_->heap.top() == &timer) state_->changed.notify_one();
}

bool Timers::cancel(Timer& timer) {
  if (forked()) return true;
  const std::lock_guard guard(state_->mutex);
  if (!TimerHeap::contains(timer)) return false;
  state_->heap.remove(timer);
  return true;
}

std::size_t Timers::pending() const {
  if (forked()) return 0;
  const std::lock_guard guard(state_->mutex);
  return state_->heap.size();
}

void Timers::stop() {
  if (forked()) return;
  std::thread thread;
  {
    const std::lock_guard guard(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_one();
    thread = std::move(state_->thread);
  }
  if (thread.joinable()) thread.join();
}

}  // namespace penstock::exec
