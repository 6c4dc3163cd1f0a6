// A limit on work in flight: a counter that each piece of work raises until its point is complete.
// Thread-safe.
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

  /// True if there is room for one more.
  [[nodiscard]] bool has_room() const;
  /// Waits for room, at most until `deadline_ns`; false if that came first.
  [[nodiscard]] bool wait_for_room(std::int64_t deadline_ns);
  /// Counts a piece of work until the point is complete.
  void add(Point point);

  [[nodiscard]] std::int64_t limit() const;
  [[nodiscard]] std::int64_t count() const;
  /// The most that were in flight together.
  [[nodiscard]] std::int64_t peak() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace penstock::order
