#include "exec/futex.hpp"

#include "base/time.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace penstock::exec {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns) {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  timespec deadline{};
  deadline.tv_sec = deadline_ns / kSecondNs;
  deadline.tv_nsec = deadline_ns % kSecondNs;
  // With a bitset the deadline is absolute, on the monotonic clock.
  const long result =
      syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
              deadline_ns == kNever ? nullptr : &deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

void futex_wake(const std::atomic<std::uint32_t>& word, int count) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace penstock::exec
