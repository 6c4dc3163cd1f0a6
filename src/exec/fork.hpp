// Whether this process is a forked child whose parent had our threads. fork() copies only the
// thread that calls it, and every lock as it was, so in such a child nothing of ours may wait or
// lock. Thread-safe. A fork before the first thread was started leaves the child fully usable.
#pragma once

#include <atomic>

namespace penstock::exec {

namespace detail {
extern std::atomic<bool> forked;
[[noreturn]] void throw_forked(const char* where);
}  // namespace detail

/// Called by whoever is about to start a thread of ours: from here on a fork counts.
void note_threads();

[[nodiscard]] inline bool forked() { return detail::forked.load(std::memory_order_relaxed); }

/// Throws an Error that begins with `where` and names fork, in a forked child.
inline void throw_if_forked(const char* where) {
  if (forked()) [[unlikely]] {
    detail::throw_forked(where);
  }
}

}  // namespace penstock::exec
