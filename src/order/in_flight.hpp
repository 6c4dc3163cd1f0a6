// A limit on work in flight: a piece of work takes a place before it is enqueued, and the place is
// free again when the work's point is complete. Thread-safe.
#pragma once

#include "order/point.hpp"

#include <cstdint>
#include <memory>

namespace penstock::order {

class InFlight {
 public:
  /// At most `limit` pieces at once; limit >= 1.
  explicit InFlight(std::int64_t limit);
  ~InFlight();
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  /// Waits for a place, at most until `deadline_ns` (0: not at all), and takes it; false if there
  /// was none. Not from a task that what is in flight may wait for.
  [[nodiscard]] bool enter(std::int64_t deadline_ns);
  /// Gives a taken place back once the point is complete.
  void leave_when(Point point);
  /// The same at once: there was no work after all.
  void leave();

  [[nodiscard]] bool has_room() const;
  [[nodiscard]] std::int64_t limit() const;
  [[nodiscard]] std::int64_t count() const;
  /// The most that were in flight together.
  [[nodiscard]] std::int64_t peak() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace penstock::order
