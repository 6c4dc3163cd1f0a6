// To sleep until a word changes, with a deadline on the clock of now_ns() (std::atomic::wait has
// none). Thread-safe. Both may wake for nothing, so callers look at the word again.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock::exec {

/// Sleeps while `word` is `expected`. False if the deadline has passed.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns);
/// Wakes up to `count` threads that sleep on `word`.
void futex_wake(const std::atomic<std::uint32_t>& word, int count);

}  // namespace penstock::exec
