#include "base/random.hpp"
#include "exec/pool.hpp"
#include "exec/timers.hpp"
#include "exec_fixture.hpp"

#include <algorithm>
#include <atomic>
#include <doctest/doctest.h>
#include <memory>
#include <numeric>
#include <vector>

using namespace penstock;
using namespace exec_test;
using exec::Hint;
using exec::Pool;

TEST_CASE("exec: timers fire in the order of their deadlines, not before") {
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  const auto timers = exec::Timers::make(*pool);
  constexpr std::size_t kTimers = 200;
  std::vector<std::size_t> order;
  std::atomic<std::size_t> fired{0};
  std::atomic<int> early{0};
  std::vector<std::unique_ptr<Task>> jobs(kTimers);
  std::vector<exec::Timer> armed(kTimers);
  const std::int64_t begin = now_ns() + 20'000'000;
  for (std::size_t i = 0; i < kTimers; ++i) {
    jobs[i] = std::make_unique<Task>([&, i] {
      if (now_ns() < armed[i].deadline_ns) ++early;
      order.push_back(i);
      ++fired;
    });
    armed[i].job = jobs[i].get();
  }
  std::vector<std::size_t> shuffled(kTimers);
  std::iota(shuffled.begin(), shuffled.end(), 0);
  Random random(3);
  for (std::size_t i = kTimers; i > 1; --i) std::swap(shuffled[i - 1], shuffled[random.below(i)]);
  for (const std::size_t i : shuffled) {
    timers->arm(armed[i], begin + static_cast<std::int64_t>(i) * 50'000);
  }
  // Every third is taken out again, from the middle of the heap.
  std::size_t cancelled = 0;
  for (std::size_t i = 0; i < kTimers; i += 3) cancelled += timers->cancel(armed[i]) ? 1 : 0;
  CHECK(cancelled == (kTimers + 2) / 3);
  CHECK(timers->pending() == kTimers - cancelled);
  CHECK(eventually([&] { return fired.load() == kTimers - cancelled; }));
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(std::none_of(order.begin(), order.end(), [](std::size_t i) { return i % 3 == 0; }));
  CHECK(early.load() == 0);
  CHECK(timers->pending() == 0);
}

TEST_CASE("exec: a new timer that is due first does not wait for an older one") {
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  const auto timers = exec::Timers::make(*pool);
  std::atomic<bool> ran{false};
  Task never([] {});
  Task soon([&ran] { ran = true; });
  exec::Timer far{.job = &never};
  exec::Timer near{.job = &soon};
  timers->arm(far, now_ns() + 1000 * kSecond);
  sleep_for_ms(2);
  timers->arm(near, now_ns() + 1'000'000);
  CHECK(eventually([&] { return ran.load(); }));
  CHECK(timers->cancel(far));
  CHECK_FALSE(timers->cancel(far));
  CHECK_FALSE(timers->cancel(near));
}

TEST_CASE("exec: a timer fires or is cancelled, never both and never neither") {
  const auto pool = Pool::make({.workers = 2, .seed = {}});
  const auto timers = exec::Timers::make(*pool);
  Random random(5);
  std::atomic<std::size_t> fired{0};
  std::size_t cancelled = 0;
  const std::size_t rounds = scaled(3'000);
  for (std::size_t i = 0; i < rounds; ++i) {
    std::atomic<bool> ran{false};
    Task job([&] {
      ++fired;
      ran = true;
    });
    exec::Timer timer{.job = &job};
    timers->arm(timer, now_ns() + static_cast<std::int64_t>(random.below(60'000)));
    spin_for(static_cast<std::int64_t>(random.below(120'000)));
    if (timers->cancel(timer)) {
      ++cancelled;
      CHECK_FALSE(ran);
    } else {
      REQUIRE(eventually([&] { return ran.load(); }));
    }
  }
  CHECK(fired.load() + cancelled == rounds);
  CHECK(fired.load() > 0);
  CHECK(cancelled > 0);
}

TEST_CASE("exec: stopped timers never fire") {
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  const auto timers = exec::Timers::make(*pool);
  std::atomic<bool> ran{false};
  Task job([&ran] { ran = true; });
  exec::Timer before{.job = &job};
  exec::Timer after{.job = &job};
  timers->arm(before, now_ns() + 3'000'000);
  timers->stop();
  timers->arm(after, now_ns());
  sleep_for_ms(6);
  CHECK_FALSE(ran);
  CHECK(timers->cancel(before));
  CHECK(timers->cancel(after));
}
