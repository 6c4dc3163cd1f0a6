#include "base/random.hpp"
#include "exec/parallel_for.hpp"
#include "exec/pool.hpp"
#include "exec_fixture.hpp"

#include <algorithm>
#include <atomic>
#include <doctest/doctest.h>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace penstock;
using namespace exec_test;
using exec::Hint;
using exec::Pool;

TEST_CASE("exec: parallel_for covers the range once, in pieces of at least the grain") {
  Random random(9);
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}});
    for (std::size_t i = 0; i < scaled(300); ++i) {
      const auto begin = static_cast<std::int64_t>(random.below(100)) - 50;
      const auto size = static_cast<std::int64_t>(random.below(1000));
      const auto grain = static_cast<std::int64_t>(1 + random.below(120));
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(size));
      std::atomic<bool> too_small{false};
      on_pool(*pool, [&] {
        exec::parallel_for(begin, begin + size, grain, [&](std::int64_t from, std::int64_t to) {
          if (to - from < std::min(grain, size)) too_small = true;
          for (std::int64_t k = from; k < to; ++k) ++seen[static_cast<std::size_t>(k - begin)];
        });
      });
      CHECK_FALSE(too_small);
      CHECK(std::all_of(seen.begin(), seen.end(), [](auto& n) { return n.load() == 1; }));
    }
  }
  exec::parallel_for(5, 5, 1, [](std::int64_t, std::int64_t) { FAIL("called for nothing"); });
  exec::parallel_for(5, 2, 1, [](std::int64_t, std::int64_t) { FAIL("called for nothing"); });
}

TEST_CASE("exec: parallel_for uses idle workers") {
  const auto pool = Pool::make({.workers = 3, .seed = {}, .spin_ns = 0});
  pool->start();
  REQUIRE(eventually([&] { return pool->sleeping() == 3; }));
  std::mutex mutex;
  std::set<std::thread::id> threads;
  on_pool(*pool, [&] {
    exec::parallel_for(0, 12, 1, [&](std::int64_t, std::int64_t) {
      const auto count = [&] {
        const std::lock_guard guard(mutex);
        threads.insert(std::this_thread::get_id());
        return threads.size();
      };
      static_cast<void>(eventually([&] { return count() == 3; }));
    });
  });
  CHECK(threads.size() == 3);
}

TEST_CASE("exec: parallel_for from threads and within itself, also with one worker") {
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}, .spin_ns = 2'000});
    std::atomic<std::int64_t> sum{0};
    std::atomic<std::size_t> over{0};
    std::vector<std::unique_ptr<Task>> jobs(scaled(200));
    for (auto& job : jobs) {
      job = std::make_unique<Task>([&] {
        exec::parallel_for(0, 20, 1, [&](std::int64_t from, std::int64_t to) {
          for (std::int64_t k = from; k < to; ++k) {
            exec::parallel_for(0, 10, 2, [&](std::int64_t a, std::int64_t b) { sum += b - a; });
          }
        });
        ++over;
      });
    }
    for (auto& job : jobs) pool->submit(job.get());
    CHECK(eventually([&] { return over.load() == jobs.size(); }));
    CHECK(sum.load() == static_cast<std::int64_t>(jobs.size() * 200));
  }
}

TEST_CASE("exec: parallel_for on the pool of the process, from several threads") {
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> threads;
  const std::size_t rounds = scaled(2'000);
  threads.reserve(3);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        exec::parallel_for(0, 64, 4, [&](std::int64_t from, std::int64_t to) { sum += to - from; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum.load() == static_cast<std::int64_t>(3 * 64 * rounds));
}

TEST_CASE("exec: parallel_for does not wait for a helper that has not begun") {
  const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
  pool->start();
  for (std::size_t i = 0; i < scaled(200); ++i) {
    REQUIRE(eventually([&] { return pool->sleeping() == 2; }));
    std::atomic<bool> go{false};
    std::atomic<bool> blocked{false};
    std::atomic<bool> released{false};
    Task blocker([&] {
      blocked = true;
      released = eventually([&] { return go.load(); });
    });
    on_pool(*pool, [&] {
      // The worker that is counted as idle gets something else first; the helper comes too late.
      pool->submit(&blocker, Hint::spread);
      std::atomic<std::int64_t> total{0};
      exec::parallel_for(0, 8, 1, [&](std::int64_t from, std::int64_t to) { total += to - from; });
      CHECK(total.load() == 8);
      go = true;
    });
    REQUIRE(eventually([&] { return !blocked.load() || released.load(); }));
    REQUIRE(eventually([&] { return pool->sleeping() == 2; }));
    CHECK(released);
  }
}

TEST_CASE("exec: parallel_for rethrows the first exception and begins no more pieces") {
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}});
    for (std::size_t i = 0; i < scaled(300); ++i) {
      std::atomic<int> calls{0};
      std::string what;
      on_pool(*pool, [&] {
        try {
          exec::parallel_for(0, 1000, 1, [&](std::int64_t from, std::int64_t) {
            ++calls;
            throw std::runtime_error(from == 0 ? "first piece" : "other piece");
          });
        } catch (const std::runtime_error& error) {
          what = error.what();
        }
      });
      CHECK((what == "first piece" || what == "other piece"));
      CHECK(calls.load() <= workers);
    }
  }
}
