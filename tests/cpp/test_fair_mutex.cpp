#include "base/fair_mutex.hpp"
#include "exec_fixture.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <doctest/doctest.h>
#include <mutex>
#include <thread>
#include <vector>

using namespace penstock;
using namespace exec_test;

namespace {

std::vector<int> allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

// The calling thread, for its life.
void stay_on(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  static_cast<void>(sched_setaffinity(0, sizeof one, &one));
}

}  // namespace

// Each has a core of its own, so that no scheduler helps the one that sleeps.
TEST_CASE("fair mutex: a thread that comes back at once does not pass one that waits") {
  const std::vector<int> cpus = allowed_cpus();
  if (cpus.size() < 2) return;
  constexpr int kMost = 20'000;
  constexpr std::size_t kRounds = 100;
  FairMutex mutex;
  std::atomic<int> entered{0};
  std::atomic<bool> over{false};
  std::thread greedy([&] {
    stay_on(cpus[0]);
    while (!over && entered < kMost) {
      const std::lock_guard guard(mutex);
      entered.fetch_add(1);
      spin_for(20'000);
    }
  });
  std::vector<int> passed;  // how often it came in while the other wanted to
  std::thread([&] {
    stay_on(cpus[1]);
    do {
      const int seen = entered;
      static_cast<void>(eventually([&] { return entered != seen || entered >= kMost; }));
      const int before = entered;
      const std::lock_guard guard(mutex);
      passed.push_back(entered - before);
    } while (passed.size() < kRounds && entered < kMost);
  }).join();
  over = true;
  greedy.join();
  // Not each time: a thread may lose its core before it is in line.
  const auto most = passed.begin() + static_cast<std::ptrdiff_t>(passed.size() * 3 / 4);
  std::nth_element(passed.begin(), most, passed.end());
  CHECK(*most <= 2);
}

TEST_CASE("fair mutex: one thread at a time") {
  FairMutex mutex;
  constexpr int kThreads = 4;
  int inside = 0;
  int entered = 0;
  int wrong = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < scaled(20'000); ++i) {
        const std::lock_guard guard(mutex);
        if (++inside != 1) ++wrong;
        ++entered;
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(entered == kThreads * static_cast<int>(scaled(20'000)));
}
