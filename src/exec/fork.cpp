#include "exec/fork.hpp"

#include "base/throw.hpp"

#include <pthread.h>

namespace penstock::exec {

constinit std::atomic<bool> detail::forked{false};

void detail::throw_forked(const char* where) {
  throw_error<Error>(
      "{}: this process was forked after Penstock had started its threads; use the spawn start "
      "method, or import penstock in the child",
      where);
}

void note_threads() {
  static const int kRegistered = pthread_atfork(
      nullptr, nullptr, [] { detail::forked.store(true, std::memory_order_relaxed); });
  if (kRegistered != 0) throw_error<Error>("threads: pthread_atfork failed with {}", kRegistered);
}

}  // namespace penstock::exec
