#include "exec/parking.hpp"

#include "base/time.hpp"
#include "exec/futex.hpp"

#include <mutex>

namespace penstock::exec {

bool Parking::begin_search() {
  int searchers = searchers_.load();
  while (searchers < max_searchers_) {
    if (searchers_.compare_exchange_weak(searchers, searchers + 1)) return true;
  }
  return false;
}

void Parking::prepare(Sleeper& sleeper, Turn turn) {
  const std::lock_guard guard(lock_);
  sleeper.woken.store(0, std::memory_order_relaxed);
  sleeper.listed = true;
  const bool is_newest = turn == Turn::first;
  sleeper.newer = is_newest ? nullptr : oldest_;
  sleeper.older = is_newest ? newest_ : nullptr;
  (sleeper.newer != nullptr ? sleeper.newer->older : newest_) = &sleeper;
  (sleeper.older != nullptr ? sleeper.older->newer : oldest_) = &sleeper;
  sleepers_.fetch_add(1);
}

bool Parking::cancel(Sleeper& sleeper) {
  const std::lock_guard guard(lock_);
  if (!sleeper.listed) return false;
  unlist(sleeper);
  return true;
}

bool Parking::sleep(Sleeper& sleeper, std::int64_t deadline_ns) {
  while (sleeper.woken.load() == 0) {
    if (!futex_wait(sleeper.woken, 0, deadline_ns)) return sleeper.woken.load() != 0;
  }
  return true;
}

void Parking::wake_newest() {
  Sleeper* sleeper = nullptr;
  {
    const std::lock_guard guard(lock_);
    sleeper = newest_;
    if (sleeper == nullptr || !begin_search()) return;
    unlist(*sleeper);
    wakes_.fetch_add(1, std::memory_order_relaxed);
    sleeper->woken.store(1);
  }
  futex_wake(sleeper->woken, 1);
}

void Parking::wake_all() {
  for (;;) {
    Sleeper* sleeper = nullptr;
    {
      const std::lock_guard guard(lock_);
      sleeper = newest_;
      if (sleeper == nullptr) return;
      searchers_.fetch_add(1);
      unlist(*sleeper);
      sleeper->woken.store(1);
    }
    futex_wake(sleeper->woken, 1);
  }
}

void Parking::unlist(Sleeper& sleeper) {
  (sleeper.newer != nullptr ? sleeper.newer->older : newest_) = sleeper.older;
  (sleeper.older != nullptr ? sleeper.older->newer : oldest_) = sleeper.newer;
  sleeper.listed = false;
  sleepers_.fetch_sub(1);
}

}  // namespace penstock::exec
