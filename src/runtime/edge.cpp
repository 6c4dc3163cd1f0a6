#include "runtime/edge.hpp"

#include "base/time.hpp"
#include "runtime/node.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {

namespace {

// Shorter waits are not worth two looks at the clock each.
constexpr std::int64_t kLongWaitNs = 5'000;
constexpr std::int64_t kSampleEvery = 16;
constexpr std::int64_t kUntimed = 1;

// One writer.
void add(std::atomic<std::int64_t>& counter, std::int64_t amount) {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

Edge::Edge(const graph::PlannedEdge& edge, std::uint32_t number, Node& producer, Node& consumer)
    : from(producer),
      to(consumer),
      index(number),
      planned(edge),
      policy_(edge.policy),
      carries_gaps_(edge.carries_gaps),
      has_places_(edge.carries_gaps && edge.policy != Policy::block),
      ring_(edge.capacity, edge.policy != Policy::block) {}

void Edge::keep_arrivals() {
  arrivals_ = std::make_unique<std::atomic<std::int64_t>[]>(ring_.capacity());
}

Edge::~Edge() {
  for (MessageData* list : {dropped_.load(), taken_}) {
    while (list != nullptr) {
      MessageData* next = list->next;
      list->release();
      list = next;
    }
  }
}

bool Edge::can_push() {
  if (policy_ != Policy::block || cancelled_.load(std::memory_order_relaxed)) return true;
  if (ring_.has_room()) return true;
  begin_wait();
  producer_waits_.exchange(true);
  if (!ring_.has_room() && !cancelled_.load()) return false;
  waits_since_ns_.store(0, std::memory_order_relaxed);
  return true;
}

void Edge::begin_wait() {
  if (waits_since_ns_.load(std::memory_order_relaxed) != 0) return;
  const bool is_timed =
      waits_++ % kSampleEvery == 0 || has_long_waits_.load(std::memory_order_relaxed);
  waits_since_ns_.store(is_timed ? now_ns() : kUntimed, std::memory_order_relaxed);
}

void Edge::end_wait() {
  const std::int64_t since = waits_since_ns_.exchange(0, std::memory_order_relaxed);
  if (since <= kUntimed) return;
  const std::int64_t waited = now_ns() - since;
  const bool is_long = waited >= kLongWaitNs;
  has_long_waits_.store(is_long, std::memory_order_relaxed);
  add(waited_ns_, is_long ? waited : waited * kSampleEvery);
}

std::int64_t Edge::waited_ns(std::int64_t now_ns) const {
  const std::int64_t since = waits_since_ns_.load(std::memory_order_relaxed);
  const std::int64_t ended = waited_ns_.load(std::memory_order_relaxed);
  return since <= kUntimed || since >= now_ns ? ended : ended + now_ns - since;
}

void Edge::push(MessageRef message) {
  if (cancelled_.load(std::memory_order_relaxed)) return;
  if (message->is_gap() && !carries_gaps_) return;
  if (!ring_.has_room()) {
    if (policy_ == Policy::drop_newest || (policy_ == Policy::drop_oldest && message->is_gap())) {
      drop(message.leak(), ring_.pushed() * 2);
      return;
    }
    while (!ring_.has_room()) {
      std::uint64_t number = 0;
      if (MessageData* oldest = ring_.pop(&number)) drop(oldest, number * 2 + 1);
    }
  }
  if (!message->is_gap()) add(passed_, 1);
  add(looks_, 1);
  add(depths_, static_cast<std::int64_t>(ring_.size()) + 1);
  if (arrivals_) {
    arrivals_[ring_.pushed() % ring_.capacity()].store(now_ns(), std::memory_order_relaxed);
  }
  ring_.push(message.leak());
}

std::size_t Edge::push_some(std::span<graph::Staged> results) {
  if (policy_ != Policy::block || cancelled_.load(std::memory_order_relaxed)) return 0;
  const std::size_t count = std::min(results.size(), ring_.room());
  if (count == 0) return 0;
  add(passed_, static_cast<std::int64_t>(count));
  add(looks_, static_cast<std::int64_t>(count));
  add(depths_, static_cast<std::int64_t>((2 * ring_.size() + count + 1) * count / 2));
  if (arrivals_) {
    const std::int64_t now = now_ns();
    for (std::uint64_t n = ring_.pushed(); n != ring_.pushed() + count; ++n) {
      arrivals_[n % ring_.capacity()].store(now, std::memory_order_relaxed);
    }
  }
  ring_.push_all(count, [next = results.data()]() mutable { return next++->message.leak(); });
  return count;
}

// Whoever joins downstream has to know. Others may hold the message too: the gap is a new one.
void Edge::drop(MessageData* message, std::uint64_t place) {
  const MessageRef dropped = MessageRef::adopt(message);
  if (!dropped->is_gap()) drops_.fetch_add(1, std::memory_order_relaxed);
  if (!carries_gaps_) return;
  MessageData* gap = MessageData::gap_for(*dropped).leak();
  gap->place = place;
  gap->next = dropped_.load(std::memory_order_relaxed);
  while (!dropped_.compare_exchange_weak(gap->next, gap)) {
  }
}

// Sorted in by their places; of those with one place the oldest first.
void Edge::take_dropped() {
  MessageData* oldest = nullptr;
  for (MessageData* newest = dropped_.exchange(nullptr); newest != nullptr;) {
    MessageData* next = std::exchange(newest->next, oldest);
    oldest = std::exchange(newest, next);
  }
  while (oldest != nullptr) {
    MessageData* gap = std::exchange(oldest, oldest->next);
    MessageData** at = &taken_;
    while (*at != nullptr && (*at)->place <= gap->place) at = &(*at)->next;
    gap->next = std::exchange(*at, gap);
  }
}

MessageRef Edge::pop() {
  while (true) {
    MessageRef message = has_places_ ? pop_in_place() : pop_ring();
    if (!message || message->is_gap() || max_age_ns < 0 || message->born_ns == 0 ||
        now_ns() - message->born_ns <= max_age_ns) {
      return message;
    }
    drops_.fetch_add(1, std::memory_order_relaxed);
    if (carries_gaps_) return MessageData::gap_for(*message);
  }
}

bool Edge::pop_some(graph::MessageList& into, std::size_t most) {
  if (policy_ != Policy::block || max_age_ns >= 0) return false;
  if (arrivals_) {
    arrival_ns_ = arrivals_[ring_.popped() % ring_.capacity()].load(std::memory_order_relaxed);
  }
  most = std::min(most, ring_.ready());
  auto take = [to = into.reserve(most)](MessageData* message) mutable {
    if (message->is_gap()) return false;
    *to++ = MessageRef::adopt(message);
    return true;
  };
  const std::size_t count = ring_.pop_while(most, take);
  into.add(count);
  return count > 0;
}

MessageRef Edge::pop_ring() {
  std::uint64_t number = 0;
  MessageData* message = ring_.pop(&number);
  if (message == nullptr) return {};
  number_ = number;
  if (arrivals_) {
    arrival_ns_ = arrivals_[number % ring_.capacity()].load(std::memory_order_relaxed);
  }
  return MessageRef::adopt(message);
}

// The producer takes an entry first and says so a moment later: until then what comes after it
// waits here. The producer notifies when it has said so.
MessageRef Edge::pop_in_place() {
  if (!held_) held_ = pop_ring();
  if (dropped_.load(std::memory_order_relaxed) != nullptr) take_dropped();
  if (taken_ != nullptr && taken_->place / 2 <= next_) {
    MessageData* gap = std::exchange(taken_, taken_->next);
    gap->next = nullptr;
    if (gap->place % 2 == 1) next_ = gap->place / 2 + 1;
    return MessageRef::adopt(gap);
  }
  if (!held_ || number_ != next_) return {};
  ++next_;
  return std::exchange(held_, {});
}

void Edge::notify_room() {
  if (!producer_waits_.exchange(false)) return;
  end_wait();
  from.notify();
}

void Edge::cancel() {
  cancelled_.store(true);
  while (MessageData* message = ring_.pop()) message->release();
  held_ = {};
  end_wait();
  from.notify();
}

double Edge::fill() const {
  const auto looks = looks_.load(std::memory_order_relaxed);
  if (looks == 0) return 0;
  return static_cast<double>(depths_.load(std::memory_order_relaxed)) /
         static_cast<double>(looks * ring_.capacity());
}

}  // namespace penstock::runtime
