// Opens gates on devices that can't call back: one thread asks the events of marks that somebody
// waits for. It knows no scheduler, spins at most 50 us after something came, then sleeps between
// rounds, and sleeps for good while nothing is waited for.
// Thread-safe. The thread starts at the first add().
#pragma once

#include "order/slot.hpp"

#include <cstdint>
#include <memory>

namespace penstock::order {

class Reactor {
 public:
  [[nodiscard]] static Reactor& instance();

  /// Fires the completion once the mark is complete; holds the mark until then.
  void add(Ref<Mark> mark, backend::Completion& completion);
  /// Rounds of asking so far.
  [[nodiscard]] std::int64_t rounds() const;
  /// Ends the thread; what is waited for never fires. False if it did not end in time.
  bool stop(std::int64_t timeout_ns);

  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

 private:
  Reactor();
  ~Reactor() = delete;
  struct State;
  State* state_;
};

}  // namespace penstock::order
