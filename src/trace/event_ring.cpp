#include "trace/event_ring.hpp"

#include <algorithm>
#include <cassert>

namespace penstock::trace {

EventRing::EventRing(std::size_t capacity)
    : capacity_(capacity), slots_(std::make_unique<Slot[]>(capacity)) {
  assert(capacity > 0 && (capacity & (capacity - 1)) == 0);
}

void EventRing::write(std::int64_t time_ns, const char* name, std::uint64_t value) {
  const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
  Slot& slot = slots_[number & (capacity_ - 1)];
  const std::uint64_t round = number / capacity_;
  std::uint64_t version = slot.version.load(std::memory_order_relaxed);
  const bool is_free = version % 2 == 0 && version <= 2 * round;
  if (!is_free ||
      !slot.version.compare_exchange_strong(version, 2 * round + 1, std::memory_order_acquire)) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // Release on each: a reader that sees one of them sees the odd version too.
  slot.time_ns.store(time_ns, std::memory_order_release);
  slot.name.store(name, std::memory_order_release);
  slot.value.store(value, std::memory_order_release);
  slot.number.store(number, std::memory_order_release);
  slot.version.store(2 * round + 2, std::memory_order_release);
}

std::vector<Event> EventRing::read() const {
  std::vector<Event> events;
  for (std::size_t i = 0; i < capacity_; ++i) {
    const Slot& slot = slots_[i];
    const std::uint64_t before = slot.version.load(std::memory_order_acquire);
    // Acquire on each: the second look at the version comes after them.
    const Event event{
        slot.time_ns.load(std::memory_order_acquire), slot.name.load(std::memory_order_acquire),
        slot.value.load(std::memory_order_acquire), slot.number.load(std::memory_order_acquire)};
    const std::uint64_t after = slot.version.load(std::memory_order_relaxed);
    if (before == after && before != 0 && before % 2 == 0) events.push_back(event);
  }
  std::sort(events.begin(), events.end(),
            [](const Event& a, const Event& b) { return a.number < b.number; });
  return events;
}

}  // namespace penstock::trace
