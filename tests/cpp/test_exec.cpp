#include "base/random.hpp"
#include "exec/pool.hpp"
#include "exec/thread_start.hpp"
#include "exec/timers.hpp"
#include "exec_fixture.hpp"

#include <algorithm>
#include <atomic>
#include <doctest/doctest.h>
#include <memory>
#include <numeric>
#include <pthread.h>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace penstock;
using namespace exec_test;
using exec::Hint;
using exec::Pool;

TEST_CASE("exec: every job runs exactly once") {
  for (const int workers : {1, 2, 8}) {
    for (const Hint hint : {Hint::next, Hint::spread, Hint::light}) {
      const auto pool = Pool::make({.workers = workers, .seed = {}});
      struct Counted : exec::Job {
        std::atomic<int> runs{0};
      };
      constexpr std::size_t kSubmitters = 4;
      const std::size_t each = scaled(20'000);
      std::vector<Counted> jobs(kSubmitters * each);
      for (Counted& job : jobs) {
        job.run = [](exec::Job* job) { static_cast<Counted*>(job)->runs.fetch_add(1); };
      }
      // Half come from outside, half from jobs.
      std::vector<std::unique_ptr<Task>> feeders;
      std::vector<std::thread> threads;
      for (std::size_t s = 0; s < kSubmitters; ++s) {
        auto feed = [&, s] {
          for (std::size_t i = 0; i < each; ++i) pool->submit(&jobs[s * each + i], hint);
        };
        if (s % 2 == 0) {
          threads.emplace_back(feed);
        } else {
          feeders.push_back(std::make_unique<Task>(feed));
          pool->submit(feeders.back().get());
        }
      }
      for (std::thread& thread : threads) thread.join();
      const auto all_ran = [&] {
        return std::all_of(jobs.begin(), jobs.end(), [](auto& job) { return job.runs.load() > 0; });
      };
      CHECK(eventually(all_ran));
      CHECK(pool->stop(kPatience));
      CHECK(std::all_of(jobs.begin(), jobs.end(), [](auto& job) { return job.runs.load() == 1; }));
    }
  }
}

TEST_CASE("exec: jobs that submit themselves and each other are stolen and never lost") {
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}, .spin_ns = 5'000});
    constexpr int kJobs = 16;
    struct Walker : exec::Job {
      Pool* pool = nullptr;
      Random random{0};
      std::size_t left = scaled(4'000);
      std::atomic<bool> inside{false};
      std::atomic<int>* over = nullptr;
      std::atomic<bool>* twice = nullptr;
    };
    std::atomic<int> over{0};
    std::atomic<bool> twice{false};
    std::vector<Walker> walkers(kJobs);
    for (Walker& walker : walkers) {
      walker.pool = pool.get();
      walker.random = Random(static_cast<std::uint64_t>(&walker - walkers.data()));
      walker.over = &over;
      walker.twice = &twice;
      walker.run = [](exec::Job* job) {
        auto& self = *static_cast<Walker*>(job);
        if (self.inside.exchange(true)) self.twice->store(true);
        if (self.random.below(64) == 0)
          spin_for(static_cast<std::int64_t>(self.random.below(8'000)));
        const auto hint = static_cast<Hint>(self.random.below(3));
        self.inside.store(false);
        if (--self.left == 0) {
          self.over->fetch_add(1);
        } else {
          self.pool->submit(job, hint);
        }
      };
    }
    for (Walker& walker : walkers) pool->submit(&walker);
    CHECK(eventually([&] { return over.load() == kJobs; }));
    CHECK_FALSE(twice);
  }
}

TEST_CASE("exec: a job that submits itself for ever starves nobody") {
  for (const Hint hint : {Hint::next, Hint::spread, Hint::light}) {
    const auto pool = Pool::make({.workers = 1, .seed = {}});
    std::atomic<bool> enough{false};
    std::atomic<std::size_t> outside{0};
    std::atomic<int> inside{0};
    std::atomic<int> turns{0};
    std::atomic<int> waited{-1};
    Task from_inside([&] {
      waited = turns.load();
      ++inside;
    });
    Task greedy([&] {
      if (turns.fetch_add(1) == 0) pool->submit(&from_inside, Hint::spread);
      if (!enough) pool->submit(&greedy, hint);
    });
    pool->submit(&greedy);
    CHECK(eventually([&] { return inside.load() == 1; }));
    CHECK(waited.load() <= 18);
    Task from_outside([&outside] { ++outside; });
    for (std::size_t sent = 1; sent <= scaled(50); ++sent) {
      pool->submit(&from_outside);
      REQUIRE(eventually([&] { return outside.load() == sent; }));
    }
    enough = true;
    CHECK(pool->stop(kPatience));
  }
}

TEST_CASE("exec: jobs from outside don't starve those of a worker") {
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  std::atomic<bool> go{false};
  std::atomic<int> ran{0};
  std::atomic<int> ran_before{-1};
  Task inside([&] { ran_before = ran.load(); });
  Task first([&] {
    static_cast<void>(eventually([&] { return go.load(); }));
    pool->submit(&inside, Hint::spread);
  });
  pool->submit(&first);
  std::vector<std::unique_ptr<Task>> outside(100);
  for (auto& job : outside) {
    job = std::make_unique<Task>([&ran] { ++ran; });
    pool->submit(job.get());
  }
  go = true;
  CHECK(eventually([&] { return ran.load() == 100; }));
  CHECK(ran_before.load() >= 0);
  CHECK(ran_before.load() <= 2);
}

TEST_CASE("exec: on_worker and current know the pool") {
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  CHECK_FALSE(Pool::on_worker());
  CHECK(&Pool::current() == &Pool::instance());
  std::atomic<int> right{-1};
  Task job([&] { right = Pool::on_worker() && &Pool::current() == pool.get() ? 1 : 0; });
  pool->submit(&job);
  CHECK(eventually([&] { return right.load() >= 0; }));
  CHECK(right.load() == 1);
}

TEST_CASE("exec: threads have names") {
  const auto pool = Pool::make({.workers = 3, .seed = {}});
  std::atomic<bool> ran{false};
  std::string name(16, '\0');
  Task job([&] {
    pthread_getname_np(pthread_self(), name.data(), name.size());
    ran = true;
  });
  pool->submit(&job);
  CHECK(eventually([&] { return ran.load(); }));
  CHECK(name.substr(0, 10) == "penstock-w");
}

namespace {

// In which order 40 jobs run that one job submits to a pool of one worker.
std::vector<int> seeded_order(std::uint64_t seed, Hint hint) {
  const auto pool = Pool::make({.workers = 1, .seed = seed});
  std::vector<int> order;
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<Task>> jobs(40);
  for (auto& job : jobs) {
    job = std::make_unique<Task>([&, i = static_cast<int>(&job - jobs.data())] {
      order.push_back(i);
      ++ran;
    });
  }
  Task first([&] {
    for (auto& job : jobs) pool->submit(job.get(), hint);
  });
  pool->submit(&first);
  CHECK(eventually([&] { return ran.load() == 40; }));
  return order;
}

}  // namespace

TEST_CASE("exec: the seeded schedule is a function of the seed") {
  std::set<std::vector<int>> orders;
  for (const std::uint64_t seed : {0, 1, 2, 3, 4}) {
    auto order = seeded_order(seed, Hint::next);
    CHECK(order == seeded_order(seed, Hint::spread));
    orders.insert(order);
    std::sort(order.begin(), order.end());
    std::vector<int> all(40);
    std::iota(all.begin(), all.end(), 0);
    CHECK(order == all);
  }
  CHECK(orders.size() == 5);
}

TEST_CASE("exec: the seeded schedule runs all, with many workers and submitters") {
  const auto pool = Pool::make({.workers = 4, .seed = 11, .spin_ns = 0});
  std::atomic<std::size_t> ran{0};
  const std::size_t each = scaled(10'000);
  std::vector<std::unique_ptr<Task>> jobs(2 * each);
  for (auto& job : jobs) job = std::make_unique<Task>([&ran] { ++ran; });
  std::vector<std::thread> threads;
  for (const std::size_t first : {std::size_t{0}, each}) {
    threads.emplace_back([&, first] {
      for (std::size_t i = first; i < first + each; ++i) pool->submit(jobs[i].get());
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(eventually([&] { return ran.load() == 2 * each; }));
}
