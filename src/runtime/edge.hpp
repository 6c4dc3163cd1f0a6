// An edge: a ring from one node's output to another's input, with what is known of both ends.
// The producer's owner pushes and closes; the consumer's owner pops and cancels.
//
// Waiting. The consumer is notified after each push (or burst of pushes) by its state word. The
// producer is notified only if it waits: it raises producer_waits_ by an exchange and then looks
// for room again; the consumer pops and then lowers it by an exchange. The later of the two
// exchanges reads from the earlier: either the producer sees the room, or the consumer sees that it
// is waited for, and no wake-up is lost. Attacked by test_ring "no wake-up is lost".
// How long the producer waits is timed from its announcement to the consumer's answer: each wait
// while waits are long, else every 16th.
#pragma once

#include "graph/activation.hpp"
#include "graph/plan.hpp"
#include "runtime/ring.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace penstock::runtime {

class Node;
using graph::MessageRef;

class Edge {
 public:
  Edge(const graph::PlannedEdge& planned, std::uint32_t index, Node& from, Node& to);
  ~Edge();

  // The producer's side.
  /// Room, or a policy that makes room. Announces the wait if there is none.
  [[nodiscard]] bool can_push();
  /// After can_push() said true, at once.
  void push(MessageRef message);
  /// Takes as many of these results, in one go, as there is room for; how many. None where a full
  /// edge drops.
  [[nodiscard]] std::size_t push_some(std::span<graph::Staged> results);
  void close() { closed_.store(true); }

  // The consumer's side.
  /// Empty if nothing is there now; drops what is too old.
  [[nodiscard]] MessageRef pop();
  /// Adds what is there, in one go: at most `most`, and nothing from the next gap on. False if none
  /// was, or where each has to be looked at: then pop() tells.
  [[nodiscard]] bool pop_some(graph::MessageList& into, std::size_t most);
  /// When what was popped last, or the first of several, was pushed, if keep_arrivals() was called.
  [[nodiscard]] std::int64_t arrival_ns() const { return arrival_ns_; }
  /// Before the run.
  void keep_arrivals();
  /// The producer is to be told if it waits for room; once after some pops.
  void notify_room();
  /// A pop() would find nothing, and a push or close() notifies.
  [[nodiscard]] bool lacks_input() const {
    return policy_ == Policy::block && ring_.empty() && !closed_.load();
  }
  /// Nothing comes any more. May turn true only after a pop() that found nothing.
  [[nodiscard]] bool is_over() const {
    return closed_.load() && ring_.empty() && dropped_.load() == nullptr && taken_ == nullptr &&
           !held_;
  }
  /// The consumer wants nothing more; what is pushed from now on is thrown away.
  void cancel();
  [[nodiscard]] bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_closed() const { return closed_.load(); }

  void count_unpaired() { unpaired_.store(unpaired() + 1, std::memory_order_relaxed); }
  void count_copy() { copies_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t unpaired() const { return unpaired_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t copies() const { return copies_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t drops() const { return drops_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t passed() const { return passed_.load(std::memory_order_relaxed); }
  [[nodiscard]] double fill() const;
  /// How long the producer waited for room, a wait that goes on at `now_ns` included.
  [[nodiscard]] std::int64_t waited_ns(std::int64_t now_ns) const;
  [[nodiscard]] const Ring& ring() const { return ring_; }
  [[nodiscard]] bool carries_gaps() const { return carries_gaps_; }
  [[nodiscard]] bool is_blocking() const { return policy_ == Policy::block; }

  Node& from;
  Node& to;
  const std::uint32_t index;
  const graph::PlannedEdge& planned;
  /// Messages that their source emitted longer ago are dropped at pop; negative: none are.
  std::int64_t max_age_ns = -1;

 private:
  void drop(MessageData* message, std::uint64_t place);
  void take_dropped();
  void begin_wait();
  void end_wait();
  [[nodiscard]] MessageRef pop_ring();
  [[nodiscard]] MessageRef pop_in_place();

  const Policy policy_;
  const bool carries_gaps_;
  const bool has_places_;  // gaps for what was dropped come where that would have come
  Ring ring_;
  std::atomic<bool> closed_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> producer_waits_{false};
  // Since when it waits: 0 if it does not, 1 if it does and nobody takes the time.
  std::atomic<std::int64_t> waits_since_ns_{0};
  std::atomic<std::int64_t> waited_ns_{0};
  std::atomic<bool> has_long_waits_{false};
  std::uint32_t waits_ = 0;  // of the producer
  // What was dropped, as gaps, newest first. The producer pushes, the consumer takes all, and gives
  // each out when its turn in the ring has come.
  std::atomic<MessageData*> dropped_{nullptr};
  MessageData* taken_ = nullptr;  // of the consumer, in their order
  MessageRef held_;               // popped, and what is before it is not known yet
  std::uint64_t number_ = 0;      // of what was popped last, in the ring
  std::uint64_t next_ = 0;        // numbers before it were given out
  std::atomic<std::int64_t> drops_{0};
  std::atomic<std::int64_t> unpaired_{0};
  std::atomic<std::int64_t> copies_{0};
  std::atomic<std::int64_t> passed_{0};
  std::atomic<std::int64_t> looks_{0};
  std::atomic<std::int64_t> depths_{0};  // sum over the looks
  // When each entry came, where the consumer makes batches by time.
  std::unique_ptr<std::atomic<std::int64_t>[]> arrivals_;
  std::int64_t arrival_ns_ = 0;
};

}  // namespace penstock::runtime
