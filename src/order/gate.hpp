// A gate is the only way to wait without a thread: a count of what is still to come and a callback.
// What opens it: completed marks (watch), memory, a timer, a push from outside, a host task.
//
// Protocol: the gate is made with one hold. Each thing waited for holds it once more before it is
// started, and drops it when it came; its owner drops the first hold when all is set up. Whoever
// drops the last hold runs the callback, once, and does not touch the gate afterwards: the callback
// may free it. The drops are acquire-release, so the callback sees all that came before each of
// them. Attacked by test_gate "many threads drop".
#pragma once

#include "backend/backend.hpp"
#include "order/point.hpp"

#include <atomic>
#include <cstdint>

namespace penstock::order {

class Gate {
 public:
  using Callback = void (*)(Gate*);
  explicit Gate(Callback opened) : opened_(opened) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void hold() { holds_.fetch_add(1, std::memory_order_relaxed); }
  void drop() {
    if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) opened_(this);
  }
  [[nodiscard]] bool is_open() const { return holds_.load(std::memory_order_acquire) == 0; }

 protected:
  ~Gate() = default;

 private:
  std::atomic<std::uint32_t> holds_{1};
  Callback opened_;
};

/// Drops a gate when a point is complete. It must live until then.
struct PointWatch : backend::Completion {
  Gate* gate = nullptr;
};

/// Holds the gate until the point is complete: marks it if need be, and fires `watch` by the
/// backend or by the reactor. An open point waits for what is on its stream now. A lost device has
/// completed all.
void watch(Gate& gate, Point point, PointWatch& watch);

}  // namespace penstock::order
