#include "exec/fork.hpp"

#include "base/throw.hpp"

#include <pthread.h>

namespace penstock::exec {

constinit std::atomic<bool> detail::forked{false};

void detail::throw_forked(const char* where) {
  throw_error<Error>(
      "{}: this process was forked after threads had begun to work with Penstock; use the spawn "
      "start "
      "method, or import penstock in the child",
      where);
}

namespace {

std::atomic<bool> has_threads{false};
std::atomic<bool> has_caller{false};
pthread_t first_caller{};  // written once, before has_caller is

void look_for_forks() {
  static const int kRegistered = pthread_atfork(nullptr, nullptr, [] {
    const bool alone = !has_caller.load() || pthread_equal(first_caller, pthread_self()) != 0;
    if (has_threads.load() || !alone) detail::forked.store(true, std::memory_order_relaxed);
  });
  if (kRegistered != 0) throw_error<Error>("threads: pthread_atfork failed with {}", kRegistered);
}

}  // namespace

void note_threads() {
  look_for_forks();
  has_threads.store(true);
}

void note_caller() {
  if (forked() || has_threads.load(std::memory_order_relaxed)) return;
  static const bool kFirst = [] {
    look_for_forks();
    first_caller = pthread_self();
    has_caller.store(true);
    return true;
  }();
  static_cast<void>(kFirst);
  if (pthread_equal(first_caller, pthread_self()) == 0) note_threads();
}

}  // namespace penstock::exec
