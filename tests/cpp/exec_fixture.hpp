// What the tests of the exec room share: a job made of a callable, and waiting with a deadline.
// For tests only. A Task must outlive its run.
#pragma once

#include "base/spin_lock.hpp"
#include "base/time.hpp"
#include "exec/pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>

namespace exec_test {

constexpr std::int64_t kSecond = 1'000'000'000;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr double kSanitizerScale = kSanitized ? 0.2 : 1;

// Nothing here takes so long unless a wake-up was lost.
constexpr std::int64_t kPatience = (kSanitized ? 60 : 20) * kSecond;

/// How often a random loop runs: PENSTOCK_TEST_SCALE multiplies.
inline std::size_t scaled(std::size_t count) {
  const char* text = std::getenv("PENSTOCK_TEST_SCALE");
  const double scale = (text == nullptr ? 1.0 : std::atof(text)) * kSanitizerScale;
  return std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(count) * scale));
}

struct Task : penstock::exec::Job {
  explicit Task(std::function<void()> given) : body(std::move(given)) {
    run = [](penstock::exec::Job* job) { static_cast<Task*>(job)->body(); };
  }
  std::function<void()> body;
};

// False if it does not come: then a wake-up was lost.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, std::int64_t within_ns = kPatience) {
  const std::int64_t until = penstock::now_ns() + within_ns;
  for (int i = 0; !condition(); ++i) {
    if (penstock::now_ns() > until) return false;
    if (i > 20'000) {  // what is waited for may need the core
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    } else if (i > 1000) {
      std::this_thread::yield();
    }
  }
  return true;
}

inline void spin_for(std::int64_t ns) {
  for (const std::int64_t until = penstock::now_ns() + ns; penstock::now_ns() < until;) {
    penstock::cpu_relax();
  }
}

inline void sleep_for_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

/// Runs `body` as a job of the pool and waits for it.
inline void on_pool(penstock::exec::Pool& pool, const std::function<void()>& body) {
  std::atomic<bool> over{false};
  Task job([&] {
    body();
    over = true;
  });
  pool.submit(&job);
  REQUIRE(eventually([&] { return over.load(); }));
}

}  // namespace exec_test
