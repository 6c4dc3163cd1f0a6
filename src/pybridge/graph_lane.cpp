#include "pybridge/graph_lane.hpp"

#include "base/settings.hpp"
#include "base/spin_lock.hpp"
#include "base/time.hpp"
#include "exec/futex.hpp"
#include "exec/thread_start.hpp"
#include "pybridge/gil_turn.hpp"
#include "pybridge/registry.hpp"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace penstock::pybridge {
namespace {

constexpr int kMaxInARow = 16;
// How long an idle lane looks for work before it sleeps, where a core is left for it: of those that
// became idle last, one for every four cores.
constexpr std::int64_t kSpinNs = 50'000;
constexpr unsigned kCoresForOne = 4;

thread_local LaneServer* current_server = nullptr;
std::atomic<unsigned> times_idle{0};

// Python threads that wait for a lane to serve.
struct Threads {
  std::mutex mutex;
  std::condition_variable wake;
  RingQueue<std::shared_ptr<GraphLane>> unserved;
  int idle = 0;
  bool stopped = false;
};

Threads& threads() {
  static auto* all = new Threads;
  return *all;
}

}  // namespace

void find_thread(std::shared_ptr<GraphLane> lane) {
  bool is_short = false;
  {
    const std::lock_guard guard(threads().mutex);
    threads().unserved.push(std::move(lane));
    is_short = threads().idle < static_cast<int>(threads().unserved.size());
    threads().wake.notify_one();
  }
  if (is_short) {
    call_or_stay([] { nb::handle(registry().start_thread)("graph"); });
  }
}

GraphLane* GraphLane::current() {
  return current_server == nullptr ? nullptr : current_server->lane.get();
}

GraphLane::GraphLane() : random_(settings().seed.value_or(0) + 17) {}

void GraphLane::post(exec::Job* job, exec::Hint hint) {
  static_cast<void>(hint);
  if (current() == this) {
    local_.push(job);
    return;
  }
  job->next = inbox_.load(std::memory_order_relaxed);
  while (!inbox_.compare_exchange_weak(job->next, job)) {
  }
  if (sleeps_.load() != 0) {
    if (sleeps_.exchange(0) != 0) exec::futex_wake(sleeps_, 1);
  } else if (looks_.load(std::memory_order_relaxed) && current() != nullptr) {
    GilTurn::expect_looker();
  }
}

void GraphLane::between() { GilTurn::offer(); }

void GraphLane::stop() {
  stopped_.store(true);
  sleeps_.store(0);
  exec::futex_wake(sleeps_, 1);
}

void GraphLane::take_inbox() {
  exec::Job* newest = inbox_.exchange(nullptr);
  exec::Job* oldest = nullptr;
  while (newest != nullptr) {
    exec::Job* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    exec::Job* next = oldest->next;
    local_.push(oldest);
    oldest = next;
  }
}

exec::Job* GraphLane::take() {
  if (local_.empty() || ++in_a_row_ >= kMaxInARow) {
    in_a_row_ = 0;
    if (inbox_.load(std::memory_order_relaxed) != nullptr) take_inbox();
  }
  if (local_.empty()) return nullptr;
  if (settings().seed) {  // any of them
    for (auto turns = random_.below(local_.size()); turns > 0; --turns) local_.push(local_.pop());
  }
  return local_.pop();
}

void GraphLane::serve(LaneServer& server) {
  current_server = &server;
  server.lane->server_ = &server;
  clockid_t clock = 0;
  if (pthread_getcpuclockid(pthread_self(), &clock) == 0) server.lane->thread_clock_.store(clock);
  const GilTurn::Work work;
  while (true) {
    {
      const RetireHere scope;
      while (exec::Job* job = server.lane->take()) {
        job->run(job);
        GilTurn::offer();
      }
    }
    drain_retired();
    const std::shared_ptr<GraphLane> lane = server.lane;
    const GilTurn::Idle idle;
    lane->wait();
    if (lane->stopped_.load() && lane->inbox_.load() == nullptr) break;
  }
  current_server = nullptr;
}

void GraphLane::look_for_news() {
  static const unsigned cores = std::thread::hardware_concurrency();
  static const unsigned most = std::max(1U, cores / kCoresForOne);
  const unsigned number = times_idle.fetch_add(1);
  const auto is_welcome = [number] {
    return times_idle.load(std::memory_order_relaxed) - number <= most &&
           GilTurn::working() < cores;
  };
  looks_.store(true, std::memory_order_relaxed);
  const std::int64_t until = now_ns() + kSpinNs;
  while (!has_news() && is_welcome() && now_ns() < until) cpu_relax();
  looks_.store(false, std::memory_order_relaxed);
}

// Without the GIL, until there may be a job.
void GraphLane::wait() {
  look_for_news();
  while (!has_news()) {
    sleeps_.store(1);
    if (has_news()) break;
    exec::futex_wait(sleeps_, 1, kNever);
  }
  sleeps_.store(0);
}

std::int64_t GraphLane::thread_ns() const {
  timespec time{};
  if (clock_gettime(thread_clock_.load(), &time) != 0) return 0;
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

void GraphLane::enter_body(runtime::Runner& runner) {
  running_.store(&runner, std::memory_order_relaxed);
  activity_.store(activity_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}
void GraphLane::leave_body() {
  activity_.store(activity_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void graph_lane_loop() {
  Threads& all = threads();
  const ReleaseGil release;
  exec::begin_thread("penstock-graph");
  std::unique_lock guard(all.mutex);
  while (true) {
    ++all.idle;
    all.wake.wait(guard, [&] { return all.stopped || !all.unserved.empty(); });
    --all.idle;
    if (all.stopped) return;
    LaneServer server{all.unserved.pop()};
    guard.unlock();
    {
      const AcquireGil gil;
      GraphLane::serve(server);
    }
    server.lane = {};
    guard.lock();
  }
}

void stop_graph_lanes() {
  const std::lock_guard guard(threads().mutex);
  threads().stopped = true;
  threads().wake.notify_all();
}

}  // namespace penstock::pybridge
