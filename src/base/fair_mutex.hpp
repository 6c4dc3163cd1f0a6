// A mutex that some threads enter again and again: with std::mutex one that comes back at once
// passes those that sleep, each time anew. Satisfies BasicLockable.
//
// Whoever waits for `mutex_` has `turn_` meanwhile. So the thread that let it go sleeps too when it
// comes back, and the next in line gets it. `turn_` is held for long by the next in line only.
// Attacked by test_fair_mutex.
#pragma once

#include <mutex>

namespace penstock {

class FairMutex {
 public:
  void lock() {
    const std::lock_guard turn(turn_);
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex turn_;
  std::mutex mutex_;
};

}  // namespace penstock
