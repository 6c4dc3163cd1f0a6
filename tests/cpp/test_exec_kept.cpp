// What a worker keeps for itself: who is woken for it, who takes it, and when.
#include "base/random.hpp"
#include "exec/pool.hpp"
#include "exec_fixture.hpp"

#include <atomic>
#include <doctest/doctest.h>
#include <memory>
#include <thread>
#include <vector>

using namespace penstock;
using namespace exec_test;
using exec::Hint;
using exec::Pool;

TEST_CASE("exec: what a worker keeps wakes nobody, what it spreads does") {
  const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
  pool->start();
  const auto woken_by = [&](Hint hint, std::size_t count) {
    std::uint64_t wakes = 0;
    bool is_watched = false;
    // After a pause the first that is kept does wake one, to watch.
    for (int attempt = 0; attempt < 100 && !is_watched; ++attempt) {
      REQUIRE(eventually([&] { return pool->sleeping() == 2; }));
      std::atomic<std::size_t> ran{0};
      std::vector<std::unique_ptr<Task>> jobs(count + 1);
      for (auto& job : jobs) job = std::make_unique<Task>([&ran] { ++ran; });
      Task first([&] {
        std::uint64_t before = pool->wakes();
        pool->submit(jobs[0].get(), Hint::light);
        is_watched = pool->wakes() == before;
        before = pool->wakes();
        for (std::size_t i = 1; i <= count; ++i) pool->submit(jobs[i].get(), hint);
        wakes = pool->wakes() - before;
      });
      pool->submit(&first);
      REQUIRE(eventually([&] { return ran.load() == count + 1; }));
    }
    CHECK(is_watched);
    return wakes;
  };
  CHECK(woken_by(Hint::next, 1) == 0);
  CHECK(woken_by(Hint::next, 2) == 1);
  CHECK(woken_by(Hint::light, 5) == 0);
  CHECK(woken_by(Hint::spread, 1) == 1);
}

TEST_CASE("exec: an idle worker takes what a busy one keeps") {
  for (const Hint hint : {Hint::next, Hint::light}) {
    const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = kPatience});
    std::atomic<bool> ran{false};
    std::atomic<int> ran_meanwhile{-1};
    Task kept([&ran] { ran = true; });
    Task busy([&] {
      pool->submit(&kept, hint);
      ran_meanwhile = eventually([&] { return ran.load(); });
    });
    pool->submit(&busy);
    Task nothing([] {});
    pool->submit(&nothing);  // so that the other worker is awake
    CHECK(eventually([&] { return ran_meanwhile.load() >= 0; }, 2 * kPatience));
    CHECK(ran_meanwhile.load() == 1);
    CHECK(pool->stop(kPatience));
  }
}

TEST_CASE("exec: a kept job runs once, whoever takes it") {
  const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = kPatience});
  Random random(1);
  int sent = 0;
  std::atomic<int> ran{0};
  int on_others = 0;
  std::atomic<bool> other_awake{false};
  std::atomic<int> over{0};
  std::thread::id owner;
  Task kept([&] {
    ++ran;
    if (std::this_thread::get_id() != owner) ++on_others;
    ++over;
  });
  Task owning([&] {
    owner = std::this_thread::get_id();
    static_cast<void>(eventually([&] { return other_awake.load(); }));
    pool->submit(&kept, Hint::light);
    // The owner comes back for it at about the time when the other may take it; sometimes after.
    spin_for(4'000 + static_cast<std::int64_t>(random.below(6'000)));
    if (random.below(64) == 0) static_cast<void>(eventually([&] { return ran.load() == sent; }));
    ++over;
  });
  Task waker([&] { other_awake = true; });
  for (sent = 1; sent <= static_cast<int>(scaled(5'000)); ++sent) {
    other_awake = false;
    over = 0;
    pool->submit(&owning);
    pool->submit(&waker);
    REQUIRE(eventually([&] { return over.load() == 2; }));
    REQUIRE(ran.load() == sent);
  }
  CHECK(on_others > 0);
  CHECK(on_others < ran.load());
}

TEST_CASE("exec: a job that will block hands over what its worker keeps") {
  for (const bool next_is_kept : {true, false}) {
    const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
    pool->start();
    REQUIRE(eventually([&] { return pool->sleeping() == 2; }));
    std::atomic<bool> ran{false};
    std::atomic<int> ran_meanwhile{-1};
    Task kept([&ran] { ran = true; });
    Task blocking([&] {
      if (next_is_kept) pool->submit(&kept, Hint::light);
      Pool::before_blocking();
      ran_meanwhile = eventually([&] { return ran.load(); }) ? 1 : 0;
    });
    // Or it is kept in the queue: the blocking job took its place.
    Task first([&] {
      if (!next_is_kept) pool->submit(&kept, Hint::light);
      pool->submit(&blocking, Hint::light);
    });
    pool->submit(&first);
    CHECK(eventually([&] { return ran_meanwhile.load() >= 0; }, 2 * kPatience));
    CHECK(ran_meanwhile.load() == 1);
    CHECK(pool->stop(kPatience));
  }
}

TEST_CASE("exec: light jobs don't wait for a long one, where all others sleep") {
  for (const bool is_next : {true, false}) {
    const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
    pool->start();
    REQUIRE(eventually([&] { return pool->sleeping() == 2; }));
    std::atomic<bool> ran{false};
    std::atomic<int> ran_meanwhile{-1};
    Task light([&ran] { ran = true; });
    Task longer([&] { ran_meanwhile = eventually([&] { return ran.load(); }) ? 1 : 0; });
    // The long one takes the light one's place; or it is in the queue before.
    Task first([&] {
      if (is_next) pool->submit(&light, Hint::light);
      pool->submit(&longer, Hint::next);
      if (!is_next) pool->submit(&light, Hint::light);
    });
    pool->submit(&first);
    CHECK(eventually([&] { return ran_meanwhile.load() >= 0; }, 2 * kPatience));
    CHECK(ran_meanwhile.load() == 1);
    CHECK(pool->stop(kPatience));
  }
}

TEST_CASE("exec: what a worker keeps does not wait for its job, where all others sleep") {
  for (const int workers : {2, 4}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}, .spin_ns = 0});
    Random random(7);
    for (std::size_t round = 0; round < scaled(200); ++round) {
      std::atomic<bool> go{false};
      std::atomic<int> over{0};
      std::atomic<int> in_time{0};
      std::vector<std::unique_ptr<Task>> jobs;
      // Now and then the first is busy for so long that nobody watches any more, or just ends that.
      const int busy_ms = random.below(16) == 0 ? 90 + static_cast<int>(random.below(40)) : 0;
      // One worker is left for what the others keep. Some keep nothing, and wait for the first.
      std::atomic<bool> first_ran{false};
      for (int i = 1; i < workers; ++i) {
        const bool is_first = i == 1;
        const bool keeps = is_first || random.below(2) == 0;
        const auto hint = random.below(2) == 0 ? Hint::next : Hint::light;
        auto ran = std::make_shared<std::atomic<bool>>(false);
        jobs.push_back(std::make_unique<Task>([&first_ran, ran, is_first] {
          if (is_first) first_ran = true;
          ran->store(true);
        }));
        Task* kept = jobs.back().get();
        jobs.push_back(std::make_unique<Task>([&, kept, hint, ran, is_first, keeps] {
          if (is_first) sleep_for_ms(busy_ms);
          go = true;
          if (keeps) pool->submit(kept, hint);
          if (eventually([&] { return first_ran && (!keeps || ran->load()); })) ++in_time;
          ++over;
        }));
        // The others come while whoever is woken to watch is about to look for work.
        if (i > 1) REQUIRE(eventually([&] { return go.load(); }));
        pool->submit(jobs.back().get());
      }
      REQUIRE(eventually([&] { return over.load() == workers - 1; }, 2 * kPatience));
      REQUIRE(in_time.load() == workers - 1);
    }
    CHECK(pool->stop(kPatience));
  }
}
