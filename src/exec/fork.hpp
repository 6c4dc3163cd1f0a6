// Whether this process is a forked child whose parent had our threads. fork() copies only the
// thread that calls it, and every lock as it was, so in such a child nothing of ours may wait or
// lock. Thread-safe. A fork leaves the child fully usable if no thread of ours was started before
// and nobody but the forking thread had called in.
#pragma once

#include <atomic>

namespace penstock::exec {

namespace detail {
extern std::atomic<bool> forked;
[[noreturn]] void throw_forked(const char* where);
}  // namespace detail

/// Called by whoever is about to start a thread of ours: from here on a fork counts.
void note_threads();
/// Called by the first thread, and by each other one, that is about to take locks of ours: a fork
/// counts if some other thread than the forking one may hold them.
void note_caller();

[[nodiscard]] inline bool forked() { return detail::forked.load(std::memory_order_relaxed); }

/// Throws an Error that begins with `where` and names fork, in a forked child.
inline void throw_if_forked(const char* where) {
  if (forked()) [[unlikely]] {
    detail::throw_forked(where);
  }
}

}  // namespace penstock::exec
