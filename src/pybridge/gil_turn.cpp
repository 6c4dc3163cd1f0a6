#include "pybridge/gil_turn.hpp"

#include "base/spin_lock.hpp"
#include "base/time.hpp"

namespace penstock::pybridge {
namespace {

// A lane that works may be in code that is free of the GIL: then looking for an offer is in vain.
constexpr std::int64_t kLookNs = 3'000;
constexpr std::int64_t kOfferNs = 1'000;
// A lane that was offered it has work in Python, often a few microseconds of it.
constexpr std::int64_t kLookBackNs = 20'000;
// How long the GIL is left to a sleeper that wakes, and how often.
constexpr std::int64_t kWakeNs = 100'000;
constexpr std::int64_t kWakeEachNs = 1'000'000;

}  // namespace

void GilTurn::come_back(PyThreadState* state) { take(state, kLookNs); }

void GilTurn::take(PyThreadState* state, std::int64_t look_ns) {
  const bool asks = !look(look_ns);
  if (asks) sleepers.fetch_add(1);
  retake_gil(state);
  if (!asks) return;
  sleepers.fetch_sub(1);
  taken_ns = now_ns();
}

// Without the GIL. Afterwards this lane counts as one that works. False if the GIL may be held.
bool GilTurn::look(std::int64_t most_ns) {
  bool is_free = active.load() == 0;
  if (!is_free) {
    lookers.fetch_add(1);
    const std::int64_t until = now_ns() + most_ns;
    bool has_offer = false;
    while (!has_offer && !is_free && now_ns() < until) {
      cpu_relax();
      has_offer = take_offer();
      is_free = active.load(std::memory_order_relaxed) == 0;
    }
    lookers.fetch_sub(1);
    if (has_offer) return true;
  }
  active.fetch_add(1);
  return is_free;
}

bool GilTurn::take_offer() {
  int offered = offers.load(std::memory_order_relaxed);
  while (offered > 0) {
    if (offers.compare_exchange_weak(offered, offered - 1)) return true;
  }
  return false;
}

void GilTurn::hand_on() {
  expects_looker = false;
  PyThreadState* state = PyEval_SaveThread();
  offers.fetch_add(1);
  const std::int64_t until = now_ns() + kOfferNs;
  while (offers.load(std::memory_order_relaxed) > 0 && now_ns() < until) cpu_relax();
  if (take_offer()) {
    retake_gil(state);
  } else {
    take(state, kLookBackNs);
  }
}

// To give up the GIL wakes it; if the giver asked again at once, it would find the GIL held.
void GilTurn::wake_sleeper() {
  const std::int64_t begun = now_ns();
  if (begun - taken_ns < kWakeEachNs) return;
  const int asleep = sleepers.load();
  PyThreadState* state = PyEval_SaveThread();
  while (sleepers.load(std::memory_order_relaxed) >= asleep && now_ns() - begun < kWakeNs) {
    cpu_relax();
  }
  active.fetch_sub(1);
  take(state, kLookBackNs);
}

}  // namespace penstock::pybridge
