// The newest events of a program, for a trace file or a report: a ring that is written by anybody
// and overwrites the oldest.
//
// Protocol: a writer claims a number by fetch_add; its slot is number mod capacity. It makes the
// slot's version odd (2 * round + 1), writes the fields, and makes it even (2 * round + 2). A
// writer that finds its slot still being written, or newer, drops its event and counts it: nobody
// waits. A reader takes the version before and after it read the fields, and keeps only entries
// whose version was even and the same. The fields are relaxed atomics, so a torn read is seen, not
// undefined. Attacked by test_trace "writers and a reader".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::trace {

struct Event {
  std::int64_t time_ns = 0;
  /// A string that lives as long as the program.
  const char* name = nullptr;
  std::uint64_t value = 0;
  std::uint64_t number = 0;
};

class EventRing {
 public:
  /// `capacity` is a power of two.
  explicit EventRing(std::size_t capacity);

  void write(std::int64_t time_ns, const char* name, std::uint64_t value);
  /// The events that are there, oldest first.
  [[nodiscard]] std::vector<Event> read() const;
  /// Events written so far, those overwritten and dropped included.
  [[nodiscard]] std::uint64_t written() const { return next_.load(std::memory_order_relaxed); }
  /// Events lost because their slot was being written.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<std::uint64_t> version{0};
    std::atomic<std::int64_t> time_ns{0};
    std::atomic<const char*> name{nullptr};
    std::atomic<std::uint64_t> value{0};
    std::atomic<std::uint64_t> number{0};
  };

  const std::size_t capacity_;
  std::unique_ptr<Slot[]> slots_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace penstock::trace
