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

TEST_CASE("exec: stop waits for running jobs, drops queued ones, and accepts later ones") {
  for (const auto& seed : {std::optional<std::uint64_t>{}, std::optional<std::uint64_t>{7}}) {
    const auto pool = Pool::make({.workers = 2, .seed = seed});
    std::atomic<bool> go{false};
    std::atomic<int> entered{0};
    std::atomic<int> left{0};
    std::atomic<int> dropped_ran{0};
    const auto body = [&] {
      ++entered;
      static_cast<void>(eventually([&] { return go.load(); }));
      ++left;
    };
    Task a(body);
    Task b(body);
    pool->submit(&a);
    pool->submit(&b);
    REQUIRE(eventually([&] { return entered.load() == 2; }));
    auto dropped = std::make_unique<Task>([&] { ++dropped_ran; });
    pool->submit(dropped.get());
    const std::int64_t begin = now_ns();
    CHECK_FALSE(pool->stop(20'000'000));
    CHECK(now_ns() - begin >= 20'000'000);
    dropped.reset();
    Task late([&] { ++dropped_ran; });
    pool->submit(&late);
    go = true;
    CHECK(pool->stop(kPatience));
    CHECK(left.load() == 2);
    pool->submit(&late);
    sleep_for_ms(2);
    CHECK(dropped_ran.load() == 0);
    CHECK(pool->idle() == 0);
  }
}

TEST_CASE("exec: stop on a worker only asks") {
  const auto pool = Pool::make({.workers = 2, .seed = {}});
  std::atomic<int> answer{-1};
  Task job([&] { answer = pool->stop(kPatience) ? 1 : 0; });
  pool->submit(&job);
  CHECK(eventually([&] { return answer.load() >= 0; }));
  CHECK(answer.load() == 0);
  CHECK(pool->stop(kPatience));
}

TEST_CASE("exec: pools stop while threads submit") {
  for (std::size_t round = 0; round < scaled(100); ++round) {
    const auto pool =
        Pool::make({.workers = 3, .seed = {}, .spin_ns = round % 2 == 0 ? 0 : 50'000});
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        std::atomic<int> ran{0};
        Task job([&ran] { ++ran; });
        for (int sent = 0; !over;) {
          pool->submit(&job);
          ++sent;
          while (ran.load() < sent && !over) std::this_thread::yield();
        }
        static_cast<void>(pool->stop(kNever));
      });
    }
    spin_for(200'000);
    CHECK(pool->stop(kPatience));
    over = true;
    for (std::thread& thread : threads) thread.join();
  }
}
