#include "base/random.hpp"
#include "exec/pool.hpp"
#include "exec_fixture.hpp"

#include <atomic>
#include <doctest/doctest.h>
#include <thread>
#include <vector>

using namespace penstock;
using namespace exec_test;
using exec::Hint;
using exec::Pool;

TEST_CASE("exec: no wake-up is lost") {
  struct Attack {
    int workers;
    std::int64_t spin_ns;
    std::size_t count;
  };
  // Without spinning every job comes while its worker goes to sleep, sleeps or wakes.
  for (const Attack& attack : {Attack{1, 0, 60'000}, Attack{2, 0, 60'000}, Attack{8, 0, 40'000},
                               Attack{2, 2'000, 40'000}, Attack{1, 50'000, 5'000}}) {
    const auto pool =
        Pool::make({.workers = attack.workers, .seed = {}, .spin_ns = attack.spin_ns});
    std::atomic<std::size_t> ran{0};
    Task job([&ran] { ran.fetch_add(1); });
    Random random(42);
    bool lost = false;
    // On a loaded machine each takes long.
    const std::int64_t until = now_ns() + static_cast<std::int64_t>(scaled(kSecond));
    for (std::size_t sent = 1; sent <= scaled(attack.count) && !lost && now_ns() < until; ++sent) {
      // Mostly after some nanoseconds, sometimes about when the worker ends its spin.
      const std::uint64_t kind = random.below(16);
      if (kind == 0) spin_for(attack.spin_ns + static_cast<std::int64_t>(random.below(4'000)));
      for (std::uint64_t pauses = random.below(64); kind > 0 && pauses > 0; --pauses) cpu_relax();
      pool->submit(&job);
      lost = !eventually([&] { return ran.load() == sent; });
    }
    CAPTURE(attack.workers);
    CAPTURE(attack.spin_ns);
    CHECK_FALSE(lost);
  }
}

TEST_CASE("exec: no wake-up is lost between submitters and chains") {
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}, .spin_ns = 0});
    std::atomic<bool> lost{false};
    std::vector<std::thread> threads;
    for (const std::uint64_t seed : {0, 1, 2}) {
      threads.emplace_back([&, seed] {
        Random random(seed);
        std::atomic<std::size_t> ran{0};
        Task last([&ran] { ran.fetch_add(1); });
        Task spread([&] { pool->submit(&last, Hint::spread); });
        Task first([&] { pool->submit(&spread, Hint::next); });
        for (std::size_t sent = 1; sent <= scaled(4'000) && !lost; ++sent) {
          spin_for(static_cast<std::int64_t>(random.below(3'000)));
          pool->submit(&first);
          if (!eventually([&] { return ran.load() == sent; })) lost = true;
        }
        if (lost) static_cast<void>(pool->stop(kSecond));
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(lost);
  }
}

TEST_CASE("exec: a submit to a sleeping pool wakes exactly one worker") {
  const auto pool = Pool::make({.workers = 8, .seed = {}, .spin_ns = 0});
  pool->start();
  const std::size_t rounds = scaled(500);
  for (std::size_t i = 0; i < rounds; ++i) {
    REQUIRE(eventually([&] { return pool->sleeping() == 8; }));
    const std::uint64_t before = pool->wakes();
    std::atomic<bool> ran{false};
    Task job([&ran] { ran = true; });
    pool->submit(&job);
    REQUIRE(eventually([&] { return ran.load() && pool->sleeping() == 8; }));
    CHECK(pool->wakes() - before <= 1);
  }
  // Sometimes none: a worker that was about to sleep saw the job.
  CHECK(pool->wakes() > rounds / 2);
}
