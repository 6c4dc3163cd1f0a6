#include <penstock/error.hpp>

#include "base/random.hpp"
#include "base/spin_lock.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "exec/parallel_for.hpp"
#include "exec/parking.hpp"
#include "exec/pool.hpp"
#include "exec/thread_start.hpp"
#include "exec/timers.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace penstock;
using exec::Hint;
using exec::Pool;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// Nothing here takes so long unless a wake-up was lost.
constexpr std::int64_t kPatience = 20 * kSecond;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr double kSanitizerScale = 0.2;
#else
constexpr double kSanitizerScale = 1;
#endif

int scaled(int count) {
  const char* text = std::getenv("PENSTOCK_TEST_SCALE");
  const double scale = (text == nullptr ? 1.0 : std::atof(text)) * kSanitizerScale;
  return std::max(1, static_cast<int>(count * scale));
}

struct Task : exec::Job {
  explicit Task(std::function<void()> given) : body(std::move(given)) {
    run = [](exec::Job* job) { static_cast<Task*>(job)->body(); };
  }
  std::function<void()> body;
};

template <class Condition>
bool eventually(Condition condition, std::int64_t within_ns = kPatience) {
  const std::int64_t until = now_ns() + within_ns;
  for (int i = 0; !condition(); ++i) {
    if (now_ns() > until) return false;
    if (i > 1000) std::this_thread::yield();
  }
  return true;
}

void spin_for(std::int64_t ns) {
  for (const std::int64_t until = now_ns() + ns; now_ns() < until;) cpu_relax();
}

void sleep_for_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

struct Ended {
  int code = -1;
  std::string output;
};

Ended wait_for_child(pid_t child, int output) {
  Ended ended;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(output, buffer, sizeof buffer)) > 0;) ended.output.append(buffer, n);
  close(output);
  int status = 0;
  waitpid(child, &status, 0);
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  return ended;
}

// Runs a test case that is skipped otherwise, in a fresh process.
Ended run_alone(const char* name) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const std::string filter = std::string("--test-case=") + name;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    execl("/proc/self/exe", "tests", filter.c_str(), "--no-skip", nullptr);
    _exit(99);
  }
  close(ends[1]);
  return wait_for_child(child, ends[0]);
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("exec: every job runs exactly once") {
  for (const int workers : {1, 2, 8}) {
    for (const Hint hint : {Hint::next, Hint::spread, Hint::light}) {
      const auto pool = Pool::make({.workers = workers, .seed = {}});
      struct Counted : exec::Job {
        std::atomic<int> runs{0};
      };
      constexpr int kSubmitters = 4;
      const int each = scaled(20'000);
      std::vector<Counted> jobs(static_cast<std::size_t>(kSubmitters * each));
      for (Counted& job : jobs) {
        job.run = [](exec::Job* job) { static_cast<Counted*>(job)->runs.fetch_add(1); };
      }
      // Half come from outside, half from jobs.
      std::vector<std::unique_ptr<Task>> feeders;
      std::vector<std::thread> threads;
      for (int s = 0; s < kSubmitters; ++s) {
        auto feed = [&, s] {
          for (int i = 0; i < each; ++i) {
            pool->submit(&jobs[static_cast<std::size_t>(s * each + i)], hint);
          }
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

TEST_CASE("exec: no wake-up is lost") {
  struct Attack {
    int workers;
    std::int64_t spin_ns;
    int count;
  };
  // Without spinning every job comes while its worker goes to sleep, sleeps or wakes.
  for (const Attack& attack : {Attack{1, 0, 60'000}, Attack{2, 0, 60'000}, Attack{8, 0, 40'000},
                               Attack{2, 2'000, 40'000}, Attack{1, 50'000, 5'000}}) {
    const auto pool = Pool::make({.workers = attack.workers, .seed = {}, .spin_ns = attack.spin_ns});
    std::atomic<int> ran{0};
    Task job([&ran] { ran.fetch_add(1); });
    Random random(42);
    int submitted = 0;
    bool lost = false;
    for (int i = 0; i < scaled(attack.count) && !lost; ++i) {
      // Mostly at once, sometimes about when the worker ends its spin.
      const std::uint64_t kind = random.below(8);
      if (kind == 0) spin_for(static_cast<std::int64_t>(random.below(4'000)));
      if (kind == 1) spin_for(attack.spin_ns + static_cast<std::int64_t>(random.below(2'000)));
      pool->submit(&job);
      ++submitted;
      lost = !eventually([&] { return ran.load() == submitted; });
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
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        Random random(static_cast<std::uint64_t>(t));
        std::atomic<int> ran{0};
        Task last([&ran] { ran.fetch_add(1); });
        Task spread([&] { pool->submit(&last, Hint::spread); });
        Task first([&] { pool->submit(&spread, Hint::next); });
        for (int i = 0; i < scaled(4'000) && !lost; ++i) {
          spin_for(static_cast<std::int64_t>(random.below(3'000)));
          pool->submit(&first);
          if (!eventually([&] { return ran.load() == i + 1; })) lost = true;
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
  for (int i = 0; i < scaled(500); ++i) {
    REQUIRE(eventually([&] { return pool->idle() == 8; }));
    const std::uint64_t before = pool->wakes();
    std::atomic<bool> ran{false};
    Task job([&ran] { ran = true; });
    pool->submit(&job);
    REQUIRE(eventually([&] { return ran.load() && pool->idle() == 8; }));
    CHECK(pool->wakes() - before <= 1);
  }
  CHECK(pool->wakes() > 0);
}

TEST_CASE("exec: what a worker keeps wakes nobody, what it spreads does") {
  const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
  pool->start();
  const auto woken_by = [&](Hint hint, int count) {
    REQUIRE(eventually([&] { return pool->idle() == 2; }));
    sleep_for_ms(1);
    std::uint64_t wakes = 0;
    std::atomic<int> ran{0};
    std::vector<std::unique_ptr<Task>> jobs;
    for (int i = 0; i < count; ++i) jobs.push_back(std::make_unique<Task>([&ran] { ++ran; }));
    Task first([&] {
      const std::uint64_t before = pool->wakes();
      for (auto& job : jobs) pool->submit(job.get(), hint);
      wakes = pool->wakes() - before;
    });
    pool->submit(&first);
    REQUIRE(eventually([&] { return ran.load() == count; }));
    REQUIRE(eventually([&] { return pool->idle() == 2; }));
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
    std::atomic<bool> ran_meanwhile{false};
    Task kept([&ran] { ran = true; });
    Task busy([&] {
      pool->submit(&kept, hint);
      ran_meanwhile = eventually([&] { return ran.load(); });
    });
    pool->submit(&busy);
    CHECK(eventually([&] { return ran_meanwhile.load(); }));
  }
}

TEST_CASE("exec: a job that will block hands over what its worker keeps") {
  const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
  pool->start();
  REQUIRE(eventually([&] { return pool->idle() == 2; }));
  std::atomic<int> ran{0};
  std::atomic<int> ran_meanwhile{-1};
  Task one([&ran] { ++ran; });
  Task two([&ran] { ++ran; });
  Task blocking([&] {
    pool->submit(&one, Hint::light);
    pool->submit(&two, Hint::light);
    Pool::before_blocking();
    static_cast<void>(eventually([&] { return ran.load() == 2; }));
    ran_meanwhile = ran.load();
  });
  pool->submit(&blocking);
  CHECK(eventually([&] { return ran_meanwhile.load() >= 0; }));
  CHECK(ran_meanwhile.load() == 2);
}

TEST_CASE("exec: jobs that submit themselves and each other are stolen and never lost") {
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}, .spin_ns = 5'000});
    const int rounds = scaled(4'000);
    constexpr int kJobs = 16;
    struct Walker : exec::Job {
      Pool* pool = nullptr;
      Random random{0};
      int left = 0;
      std::atomic<bool> inside{false};
      std::atomic<int>* over = nullptr;
      std::atomic<bool>* twice = nullptr;
    };
    std::atomic<int> over{0};
    std::atomic<bool> twice{false};
    std::vector<Walker> walkers(kJobs);
    for (int i = 0; i < kJobs; ++i) {
      Walker& walker = walkers[static_cast<std::size_t>(i)];
      walker.pool = pool.get();
      walker.random = Random(static_cast<std::uint64_t>(i));
      walker.left = rounds;
      walker.over = &over;
      walker.twice = &twice;
      walker.run = [](exec::Job* job) {
        auto& self = *static_cast<Walker*>(job);
        if (self.inside.exchange(true)) self.twice->store(true);
        if (self.random.below(64) == 0) spin_for(static_cast<std::int64_t>(self.random.below(8'000)));
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
    std::atomic<int> outside{0};
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
    for (int i = 0; i < scaled(200); ++i) {
      pool->submit(&from_outside);
      REQUIRE(eventually([&] { return outside.load() == i + 1; }));
    }
    enough = true;
    CHECK(pool->stop(kPatience));
  }
}

TEST_CASE("exec: stop waits for running jobs, drops queued ones, and accepts later ones") {
  for (const std::optional<std::uint64_t> seed : {std::optional<std::uint64_t>{}, {7u}}) {
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
  for (int round = 0; round < scaled(100); ++round) {
    const auto pool = Pool::make({.workers = 3, .seed = {}, .spin_ns = round % 2 == 0 ? 0 : 50'000});
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

TEST_CASE("exec: threads have names and run the hook") {
  static std::atomic<int> hooked{0};
  exec::set_thread_start_hook([] { ++hooked; });
  {
    const auto pool = Pool::make({.workers = 3, .seed = {}});
    const auto timers = exec::Timers::make(*pool);
    std::atomic<bool> ran{false};
    std::string name(16, '\0');
    Task job([&] {
      pthread_getname_np(pthread_self(), name.data(), name.size());
      ran = true;
    });
    exec::Timer timer{.job = &job};
    timers->arm(timer, now_ns());
    CHECK(eventually([&] { return ran.load(); }));
    CHECK(name.substr(0, 10) == "penstock-w");
    CHECK(eventually([&] { return hooked.load() == 4; }));
  }
  exec::set_thread_start_hook(nullptr);
}

namespace {

// In which order 40 jobs run that one job submits to a pool of one worker.
std::vector<int> seeded_order(std::uint64_t seed, Hint hint) {
  const auto pool = Pool::make({.workers = 1, .seed = seed});
  std::vector<int> order;
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<Task>> jobs;
  for (int i = 0; i < 40; ++i) {
    jobs.push_back(std::make_unique<Task>([&, i] {
      order.push_back(i);
      ++ran;
    }));
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
  std::atomic<int> ran{0};
  const int each = scaled(10'000);
  std::vector<std::unique_ptr<Task>> jobs;
  for (int i = 0; i < 2 * each; ++i) jobs.push_back(std::make_unique<Task>([&ran] { ++ran; }));
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) pool->submit(jobs[static_cast<std::size_t>(t * each + i)].get());
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(eventually([&] { return ran.load() == 2 * each; }));
}

TEST_CASE("exec: timers fire in the order of their deadlines, not before") {
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  const auto timers = exec::Timers::make(*pool);
  constexpr int kTimers = 200;
  std::vector<int> order;
  std::atomic<int> fired{0};
  std::atomic<int> early{0};
  std::vector<std::unique_ptr<Task>> jobs;
  std::vector<exec::Timer> armed(kTimers);
  const std::int64_t begin = now_ns() + 20'000'000;
  for (int i = 0; i < kTimers; ++i) {
    jobs.push_back(std::make_unique<Task>([&, i] {
      if (now_ns() < armed[static_cast<std::size_t>(i)].deadline_ns) ++early;
      order.push_back(i);
      ++fired;
    }));
    armed[static_cast<std::size_t>(i)].job = jobs.back().get();
  }
  std::vector<int> shuffled(kTimers);
  std::iota(shuffled.begin(), shuffled.end(), 0);
  Random random(3);
  for (std::size_t i = kTimers; i > 1; --i) std::swap(shuffled[i - 1], shuffled[random.below(i)]);
  for (const int i : shuffled) timers->arm(armed[static_cast<std::size_t>(i)], begin + i * 50'000);
  // Every third is taken out again, from the middle of the heap.
  int cancelled = 0;
  for (int i = 0; i < kTimers; i += 3) cancelled += timers->cancel(armed[static_cast<std::size_t>(i)]);
  CHECK(cancelled == (kTimers + 2) / 3);
  CHECK(timers->pending() == static_cast<std::size_t>(kTimers - cancelled));
  CHECK(eventually([&] { return fired.load() == kTimers - cancelled; }));
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(std::none_of(order.begin(), order.end(), [](int i) { return i % 3 == 0; }));
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
  std::atomic<int> fired{0};
  int cancelled = 0;
  const int rounds = scaled(3'000);
  for (int i = 0; i < rounds; ++i) {
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

namespace {

// Runs `body` as a job of the pool and waits for it.
void on_pool(Pool& pool, const std::function<void()>& body) {
  std::atomic<bool> over{false};
  Task job([&] {
    body();
    over = true;
  });
  pool.submit(&job);
  REQUIRE(eventually([&] { return over.load(); }));
}

}  // namespace

TEST_CASE("exec: parallel_for covers the range once, in pieces of at least the grain") {
  Random random(9);
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}});
    for (int i = 0; i < scaled(300); ++i) {
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
  REQUIRE(eventually([&] { return pool->idle() == 3; }));
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
    const int jobs_count = scaled(200);
    std::atomic<int> over{0};
    std::vector<std::unique_ptr<Task>> jobs;
    for (int i = 0; i < jobs_count; ++i) {
      jobs.push_back(std::make_unique<Task>([&] {
        exec::parallel_for(0, 20, 1, [&](std::int64_t from, std::int64_t to) {
          for (std::int64_t k = from; k < to; ++k) {
            exec::parallel_for(0, 10, 2, [&](std::int64_t a, std::int64_t b) { sum += b - a; });
          }
        });
        ++over;
      }));
    }
    for (auto& job : jobs) pool->submit(job.get());
    CHECK(eventually([&] { return over.load() == jobs_count; }));
    CHECK(sum.load() == jobs_count * 200);
  }
}

TEST_CASE("exec: parallel_for on the pool of the process, from several threads") {
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> threads;
  const int rounds = scaled(2'000);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        exec::parallel_for(0, 64, 4, [&](std::int64_t from, std::int64_t to) { sum += to - from; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum.load() == 3 * 64 * rounds);
}

TEST_CASE("exec: parallel_for does not wait for a helper that has not begun") {
  const auto pool = Pool::make({.workers = 2, .seed = {}, .spin_ns = 0});
  pool->start();
  for (int i = 0; i < scaled(200); ++i) {
    REQUIRE(eventually([&] { return pool->idle() == 2; }));
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
      std::int64_t sum = 0;
      std::atomic<std::int64_t> total{0};
      exec::parallel_for(0, 8, 1, [&](std::int64_t from, std::int64_t to) { total += to - from; });
      sum = total.load();
      CHECK(sum == 8);
      go = true;
    });
    REQUIRE(eventually([&] { return !blocked.load() || released.load(); }));
    REQUIRE(eventually([&] { return pool->idle() == 2; }));
    CHECK(released);
  }
}

TEST_CASE("exec: parallel_for rethrows the first exception and begins no more pieces") {
  for (const int workers : {1, 2, 8}) {
    const auto pool = Pool::make({.workers = workers, .seed = {}});
    for (int i = 0; i < scaled(300); ++i) {
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
      CHECK(contains(what, "piece"));
      CHECK(calls.load() <= workers);
    }
  }
}

TEST_CASE("exec: a forked child gets an error, not a hang") {
  std::atomic<bool> ran{false};
  Task job([&ran] { ran = true; });
  Pool::instance().submit(&job);
  REQUIRE(eventually([&] { return ran.load(); }));
  CHECK_FALSE(exec::forked());
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    int code = 1;
    try {
      Pool::instance().submit(&job);
    } catch (const Error& error) {
      code = contains(error.what(), "submit: this process was forked") ? 0 : 2;
      static_cast<void>(!write(ends[1], error.what(), std::string(error.what()).size()));
    }
    int rows = 0;
    exec::parallel_for(0, 100, 1, [&](std::int64_t from, std::int64_t to) { rows += to - from; });
    if (rows != 100) code = 3;
    exec::Timer timer{.job = &job};
    try {
      exec::Timers::instance().arm(timer, 0);
      code = 4;
    } catch (const Error&) {
    }
    if (!Pool::instance().stop(kNever) || Pool::instance().idle() != 0) code = 5;
    _exit(exec::forked() ? code : 6);
  }
  close(ends[1]);
  const Ended ended = wait_for_child(child, ends[0]);
  CHECK(ended.code == 0);
  CHECK(ended.output ==
        "submit: this process was forked after Penstock had started its threads; use the spawn "
        "start method, or import penstock in the child");
  CHECK_FALSE(exec::forked());
}

TEST_CASE("exec: (alone) fork before the first use" * doctest::skip()) {
  CHECK(Pool::instance().workers() > 0);
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<bool> ran{false};
    Task job([&ran] { ran = true; });
    Pool::instance().submit(&job);
    const bool usable = eventually([&] { return ran.load(); }) && !exec::forked();
    _exit(usable && Pool::instance().stop(kPatience) ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("exec: a fork before the first use leaves the child usable") {
  const Ended ended = run_alone("exec: (alone) fork before the first use");
  CAPTURE(ended.output);
  CHECK(ended.code == 0);
  CHECK(contains(ended.output, "1 passed"));
}

TEST_CASE("exec: (alone) a job throws" * doctest::skip()) {
  std::set_terminate([] { _exit(42); });
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  Task job([] { throw std::runtime_error("no frame"); });
  pool->submit(&job);
  sleep_for_ms(60'000);
}

TEST_CASE("exec: a job that throws ends the process, which says why") {
  const Ended ended = run_alone("exec: (alone) a job throws");
  CHECK(ended.code == 42);
  CHECK(contains(ended.output, "a job threw out of run(), which must not throw: no frame"));
}
