#include "pybridge/retire.hpp"

#include "pybridge/graph_lane.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/python.hpp"
#include "pybridge/registry.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace penstock::pybridge {
namespace {

struct Retired {
  void (*call)(void* context);
  void* context;
  Retired* next;
};

// Producers push by compare-exchange; whoever empties takes the whole list by exchange, so there is
// no ABA. The thread raises `parked` before it looks at the list for the last time, a producer
// looks at `parked` after it pushed, both sequentially consistent: one of them sees the other, and
// no entry waits for ever; the lane's lack of threads is the same kind of entry. While there are
// some the thread looks every millisecond and nobody wakes it.
struct List {
  std::atomic<Retired*> head{nullptr};
  std::atomic<bool> parked{false};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable ended;
  bool is_running = false;  // the thread is in its loop; under the mutex
};

List*& current_list() {
  static auto* entries = new List;
  return entries;
}
List& list() { return *current_list(); }

bool has_thread = false;  // under the GIL

constexpr std::chrono::milliseconds kTick{1};
constexpr int kIdleTicks = 50;

thread_local int here = 0;

class Running {
 public:
  explicit Running(List& entries) : entries_(entries) { set(true); }
  ~Running() { set(false); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  void set(bool value) {
    const std::lock_guard guard(entries_.mutex);
    entries_.is_running = value;
    entries_.ended.notify_all();
  }
  List& entries_;
};

// With the GIL; an exception of Python's is reported and does not stop the rest.
void run(Retired* entries) {
  Retired* oldest_first = nullptr;
  while (entries != nullptr) {
    Retired* next = entries->next;
    entries->next = oldest_first;
    oldest_first = entries;
    entries = next;
  }
  while (oldest_first != nullptr) {
    Retired* next = oldest_first->next;
    call_or_stay([&] { oldest_first->call(oldest_first->context); });
    delete oldest_first;
    oldest_first = next;
  }
}

}  // namespace

RetireHere::RetireHere() { ++here; }
RetireHere::~RetireHere() { --here; }

RetireLater::RetireLater() : outer_(std::exchange(here, 0)) {}
RetireLater::~RetireLater() { here = outer_; }

void retire(void (*call)(void* context), void* context) {
  if (here > 0) {
    // What is called is anybody's code: it may give up the GIL, and what it drops then has to wait.
    const int outer = std::exchange(here, 0);
    call_or_stay([&] { call(context); });
    here = outer;
    return;
  }
  List& entries = list();
  if (entries.stopped.load()) return;
  auto* entry = new Retired{call, context, entries.head.load(std::memory_order_relaxed)};
  while (!entries.head.compare_exchange_weak(entry->next, entry)) {
  }
  wake_retire_thread();
}

void retire(PyObject* object) {
  retire([](void* context) { Py_DECREF(static_cast<PyObject*>(context)); }, object);
}

void drain_retired() {
  List& entries = list();
  if (entries.head.load(std::memory_order_relaxed) == nullptr) return;
  run(entries.head.exchange(nullptr));
}

void start_retiring() {
  if (std::exchange(has_thread, true)) return;  // before Python runs: others may come meanwhile
  try {
    call_or_stay([] { nb::handle(registry().start_thread)("retire"); });
  } catch (...) {
    has_thread = false;
    throw;
  }
}

void retire_loop() {
  List& entries = list();
  PythonLane& lane = PythonLane::instance();
  const ReleaseGil release;
  const Running running(entries);
  int idle = 0;
  while (!entries.stopped.load()) {
    bool has_news = lane.relieve();
    has_news = LaneSet::watch_all() || has_news;
    if (entries.head.load() != nullptr) {
      const AcquireGil gil;
      drain_retired();
      has_news = true;
    }
    idle = has_news ? 0 : idle + 1;
    std::unique_lock guard(entries.mutex);
    if (idle < kIdleTicks) {
      entries.wake.wait_for(guard, kTick, [&] { return entries.stopped.load(); });
      continue;
    }
    entries.parked.store(true);
    entries.wake.wait(guard, [&] {
      return entries.stopped.load() || entries.head.load() != nullptr || !entries.parked.load() ||
             lane.is_short();
    });
    entries.parked.store(false);
    idle = 0;
  }
}

void wake_retire_thread() {
  List& entries = list();
  if (!entries.parked.load() || !entries.parked.exchange(false)) return;
  const std::lock_guard guard(entries.mutex);
  entries.wake.notify_one();
}

bool stop_retiring(std::int64_t timeout_ns) {
  List& entries = list();
  std::unique_lock guard(entries.mutex);
  entries.stopped.store(true);
  entries.wake.notify_all();
  return entries.ended.wait_for(guard, std::chrono::nanoseconds(timeout_ns),
                                [&] { return !entries.is_running; });
}

void forget_retire_thread() {
  auto* fresh = new List;
  fresh->head.store(list().head.load());
  current_list() = fresh;
  has_thread = false;
}

}  // namespace penstock::pybridge
