#include "pybridge/retire.hpp"

#include "pybridge/python.hpp"

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
// no ABA. The thread raises `parked` before it looks at the list for the last time, a producer looks
// at `parked` after it pushed, both sequentially consistent: one of them sees the other, and no entry
// waits for ever. While entries keep coming the thread looks every millisecond and nobody wakes it.
struct List {
  std::atomic<Retired*> head{nullptr};
  std::atomic<bool> parked{false};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable wake;
};

List& list() {
  static auto* entries = new List;
  return *entries;
}

constexpr std::chrono::milliseconds kTick{1};
constexpr int kIdleTicks = 50;

thread_local int here = 0;

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
    oldest_first->call(oldest_first->context);
    delete oldest_first;
    oldest_first = next;
  }
}

}  // namespace

RetireHere::RetireHere() { ++here; }
RetireHere::~RetireHere() { --here; }

void retire(void (*call)(void* context), void* context) {
  if (here > 0) {
    // What is called is anybody's code: it may give up the GIL, and what it drops then has to wait.
    const int outer = std::exchange(here, 0);
    call(context);
    here = outer;
    return;
  }
  List& entries = list();
  if (entries.stopped.load()) return;
  auto* entry = new Retired{call, context, entries.head.load(std::memory_order_relaxed)};
  while (!entries.head.compare_exchange_weak(entry->next, entry)) {
  }
  if (entries.parked.load() && entries.parked.exchange(false)) {
    const std::lock_guard guard(entries.mutex);
    entries.wake.notify_one();
  }
}

void retire(PyObject* object) {
  retire([](void* context) { Py_DECREF(static_cast<PyObject*>(context)); }, object);
}

void drain_retired() {
  List& entries = list();
  if (entries.head.load(std::memory_order_relaxed) == nullptr) return;
  run(entries.head.exchange(nullptr));
}

void retire_loop() {
  List& entries = list();
  int idle = 0;
  while (!entries.stopped.load()) {
    if (entries.head.load() != nullptr) {
      drain_retired();
      idle = 0;
    }
    const nb::gil_scoped_release release;
    std::unique_lock guard(entries.mutex);
    if (++idle < kIdleTicks) {
      entries.wake.wait_for(guard, kTick, [&] { return entries.stopped.load(); });
      continue;
    }
    entries.parked.store(true);
    entries.wake.wait(guard, [&] {
      return entries.stopped.load() || entries.head.load() != nullptr || !entries.parked.load();
    });
    entries.parked.store(false);
    idle = 0;
  }
}

void stop_retiring() {
  List& entries = list();
  const std::lock_guard guard(entries.mutex);
  entries.stopped.store(true);
  entries.wake.notify_all();
}

}  // namespace penstock::pybridge
