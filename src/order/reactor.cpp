#include "order/reactor.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "exec/thread_start.hpp"

#include <sys/prctl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace penstock::order {
namespace {

constexpr std::int64_t kSpinNs = 50'000;
constexpr std::chrono::microseconds kSleep{50};
// With nothing to ask it looks for news for a while: to wake it would cost those that bring them
// more than all the rest.
constexpr std::int64_t kLingerNs = 1'000'000;
constexpr std::chrono::microseconds kLook{20};

struct Watched {
  Ref<Mark> mark;
  backend::Completion* completion;
};

}  // namespace

struct Reactor::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable ended;
  std::vector<Watched> added;
  std::atomic<bool> has_news{false};  // something was added, or the thread is to end
  std::atomic<std::int64_t> rounds{0};
  bool started = false;
  bool stopping = false;
  bool over = false;

  void run();
  [[nodiscard]] bool take_added(std::vector<Watched>& watched, bool wait);
  [[nodiscard]] bool ask(std::vector<Watched>& watched);
};

Reactor& Reactor::instance() {
  static auto* reactor = new Reactor;
  return *reactor;
}

Reactor::Reactor() : state_(new State) {}

void Reactor::add(Ref<Mark> mark, backend::Completion& completion) {
  if (exec::forked()) return;  // the thread is the parent's: what is waited for never comes
  const std::lock_guard guard(state_->mutex);
  if (!state_->started) {
    exec::note_threads();
    try {
      std::thread([state = state_] { state->run(); }).detach();
    } catch (const std::system_error& error) {
      throw_error<Error>("gate: the system gives no thread ({}); is a limit on processes reached?",
                         error.what());
    }
    state_->started = true;
  }
  state_->added.push_back({std::move(mark), &completion});
  state_->has_news.store(true);
  state_->wake.notify_one();
}

std::int64_t Reactor::rounds() const { return state_->rounds.load(); }

bool Reactor::stop(std::int64_t timeout_ns) {
  std::unique_lock guard(state_->mutex);
  if (!state_->started) return true;
  state_->stopping = true;
  state_->has_news.store(true);
  state_->wake.notify_one();
  return state_->ended.wait_for(guard, std::chrono::nanoseconds(timeout_ns),
                                [this] { return state_->over; });
}

void Reactor::State::run() {
  exec::begin_thread("penstock-react");
  prctl(PR_SET_TIMERSLACK, 1'000);  // else 50 us are added to each of its sleeps
  // This thread queries events; a capture of somebody's elsewhere must not mind.
  backend::host().exchange_capture_mode(backend::CaptureMode::relaxed);
  if (backend::cuda().device_count() > 0) {
    backend::cuda().exchange_capture_mode(backend::CaptureMode::relaxed);
  }
  std::vector<Watched> watched;
  std::int64_t last_news = now_ns();
  while (take_added(watched, watched.empty() && now_ns() - last_news > kLingerNs)) {
    rounds.fetch_add(1, std::memory_order_relaxed);
    if (ask(watched)) {
      last_news = now_ns();
    } else if (watched.empty()) {
      std::this_thread::sleep_for(kLook);
    } else if (now_ns() - last_news > kSpinNs) {
      std::this_thread::sleep_for(kSleep);
    }
  }
  const std::lock_guard guard(mutex);
  over = true;
  ended.notify_all();
}

bool Reactor::State::take_added(std::vector<Watched>& watched, bool wait) {
  if (!wait && !has_news.load()) return true;
  std::unique_lock guard(mutex);
  if (wait) this->wake.wait(guard, [this] { return !added.empty() || stopping; });
  if (stopping) return false;
  for (Watched& one : added) watched.push_back(std::move(one));
  added.clear();
  has_news.store(false);
  return true;
}

// One round; true if something was complete. A device that is lost completes everything.
bool Reactor::State::ask(std::vector<Watched>& watched) {
  bool news = false;
  for (std::size_t i = 0; i < watched.size();) {
    const Mark& mark = *watched[i].mark;
    bool complete = true;
    try {
      complete = mark.backend().query(mark.event());
    } catch (...) {
      news = true;
    }
    if (!complete) {
      ++i;
      continue;
    }
    news = true;
    Slot::complete(mark);
    backend::Completion* completion = watched[i].completion;
    watched[i] = std::move(watched.back());
    watched.pop_back();
    completion->fire(completion);
  }
  return news;
}

}  // namespace penstock::order
