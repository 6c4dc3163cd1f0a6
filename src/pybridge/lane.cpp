#include "pybridge/lane.hpp"

#include "pybridge/python.hpp"
#include "pybridge/registry.hpp"

#include <chrono>
#include <utility>

namespace penstock::pybridge {
namespace {

thread_local int inside = 0;

}  // namespace

PythonLane& PythonLane::instance() {
  static auto* lane = new PythonLane;
  return *lane;
}

LaneGuest::LaneGuest() { ++inside; }
LaneGuest::~LaneGuest() { --inside; }

bool PythonLane::is_inside() const { return inside > 0 && !is_stopped(); }

void PythonLane::post(backend::host_detail::Strand& strand) {
  bool is_short = false;
  {
    const std::lock_guard guard(mutex_);
    posted_.push(Ref<backend::host_detail::Strand>::share(&strand));
    is_short = lacks_threads();
    wake_.notify_one();
  }
  if (is_short) wake_retire_thread();
}

void PythonLane::start() {
  if (std::exchange(started_, true)) return;  // before Python runs: others may come meanwhile
  try {
    start_retiring();
    add_thread();
  } catch (...) {
    started_ = false;
    throw;
  }
}

// With the GIL. The thread counts as idle from now on.
void PythonLane::add_thread() {
  {
    const std::lock_guard guard(mutex_);
    ++idle_;
  }
  try {
    call_or_stay([] { nb::handle(registry().start_thread)("lane"); });
  } catch (...) {
    const std::lock_guard guard(mutex_);
    --idle_;
    throw;
  }
}

void PythonLane::loop() {
  const ReleaseGil release;
  std::unique_lock guard(mutex_);
  while (true) {
    wake_.wait(guard, [this] { return stopped_ || !posted_.empty(); });
    if (stopped_) return;
    auto strand = posted_.pop();
    --idle_;
    ++taken_;
    ++running_;
    guard.unlock();
    {
      const LaneGuest guest;
      strand->run_on_lane();
    }
    strand = {};
    guard.lock();
    ++idle_;
    --running_;
    ended_.notify_all();
  }
}

bool PythonLane::stop(std::int64_t timeout_ns) {
  std::unique_lock guard(mutex_);
  stopped_ = true;
  wake_.notify_all();
  return ended_.wait_for(guard, std::chrono::nanoseconds(timeout_ns),
                         [this] { return running_ == 0; });
}

bool PythonLane::is_short() {
  const std::lock_guard guard(mutex_);
  return !stopped_ && lacks_threads();
}

bool PythonLane::relieve() {
  {
    const std::lock_guard guard(mutex_);
    if (stopped_ || !lacks_threads()) return false;
    if (std::exchange(taken_seen_, taken_) != taken_) return true;
  }
  const AcquireGil gil;
  add_thread();
  return true;
}

}  // namespace penstock::pybridge
