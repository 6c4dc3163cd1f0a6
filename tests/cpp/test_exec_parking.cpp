#include "base/random.hpp"
#include "exec/pool.hpp"
#include "exec_fixture.hpp"

#include <atomic>
#include <doctest/doctest.h>
#include <memory>
#include <optional>
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

// A worker that ends its search and finds a job then is lost to it: the next job needs another.
TEST_CASE("exec: no wake-up is lost when as many jobs come as there are workers, all for long") {
  struct Attack {
    int workers;
    std::int64_t spin_ns;
    std::optional<std::uint64_t> seed;
  };
  for (const Attack& attack : {Attack{2, 0, {}}, Attack{2, 2'000, {}}, Attack{4, 2'000, {}},
                               Attack{2, 50'000, {}}, Attack{2, 2'000, 1}}) {
    const auto pool =
        Pool::make({.workers = attack.workers, .seed = attack.seed, .spin_ns = attack.spin_ns});
    CAPTURE(attack.workers);
    CAPTURE(attack.spin_ns);
    Random random(7);
    const std::int64_t until = now_ns() + static_cast<std::int64_t>(scaled(2 * kSecond));
    for (std::size_t round = 0; round < scaled(20'000) && now_ns() < until; ++round) {
      std::atomic<int> entered{0};
      std::atomic<int> left{0};
      std::atomic<bool> given_up{false};
      std::vector<std::unique_ptr<Task>> jobs;
      const auto all_entered = [&] { return entered.load() == attack.workers; };
      for (int i = 0; i < attack.workers; ++i) {
        jobs.push_back(std::make_unique<Task>([&] {
          ++entered;
          while (!all_entered() && !given_up) std::this_thread::yield();
          ++left;
        }));
      }
      for (const auto& job : jobs) pool->submit(job.get());
      const bool lost = !eventually(all_entered);
      given_up = lost;
      REQUIRE(eventually([&] { return left.load() == attack.workers; }));
      REQUIRE_FALSE(lost);
      // Mostly at once, sometimes about when the workers end their search.
      if (random.below(4) == 0) {
        spin_for(attack.spin_ns + static_cast<std::int64_t>(random.below(8'000)));
      }
    }
  }
}

TEST_CASE("exec: what was to be next does not wait for a long job that came in between") {
  for (const std::int64_t spin_ns : {0, 2'000, 50'000}) {
    const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = spin_ns});
    CAPTURE(spin_ns);
    const std::int64_t until = now_ns() + static_cast<std::int64_t>(scaled(kSecond));
    for (std::size_t round = 0; round < scaled(500) && now_ns() < until; ++round) {
      std::atomic<int> turns{0};
      std::atomic<int> ended{0};
      std::atomic<bool> enough{false};
      Task chain([&] {
        ++turns;
        if (enough) {
          ++ended;
        } else {
          pool->submit(&chain, Hint::next);
        }
      });
      bool went_on = false;
      Task longer([&] {
        const int seen = turns.load();
        went_on = eventually([&] { return turns.load() > seen + 1; });
        enough = true;
        ++ended;
      });
      pool->submit(&chain);
      REQUIRE(eventually([&] { return turns.load() > 100 && pool->sleeping() == 1; }));
      pool->submit(&longer);
      REQUIRE(eventually([&] { return ended.load() == 2; }, 2 * kPatience));
      REQUIRE(went_on);
    }
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
