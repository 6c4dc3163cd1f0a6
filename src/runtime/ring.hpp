// A bounded FIFO of messages between two nodes: one pusher and one popper at a time (their nodes'
// state words see to that), and on an edge that drops also the pusher as a second popper.
//
// Protocol. Entries are numbered; number n lies in slot n mod size. tail_ and head_ only grow. The
// pusher writes the slot, then raises tail_; it may write number n once head_ > n - capacity, so a
// slot is overwritten only after its entry was taken. A popper reads the slot at head_ and then
// takes it by raising head_: by a compare-exchange where the pusher may pop too. If that succeeds
// head_ was the same all the time, so what was read was not overwritten: numbers never come back.
// Where the pusher never pops, several entries are written, or read, before tail_ or head_ is
// raised past all of them. Who has to look again after a push or a pop is told so by other words:
// see edge.hpp. Attacked by test_ring "a pusher that drops races the popper" and "several at once".
#pragma once

#include "graph/message_data.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace penstock::runtime {

class Ring {
 public:
  Ring(std::uint32_t capacity, bool drops);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// Takes the reference over. For the pusher, which has seen room.
  void push(MessageData* message) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    slots_[tail & mask_].store(message, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
  }
  /// The same for several: next() gives one after the other.
  template <class Next>
  void push_all(std::size_t count, Next&& next) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    const std::uint64_t mask = mask_;
    std::atomic<MessageData*>* slots = slots_.get();
    for (std::size_t i = 0; i < count; ++i) {
      slots[(tail + i) & mask].store(next(), std::memory_order_relaxed);
    }
    tail_.store(tail + count, std::memory_order_release);
  }
  /// nullptr if empty. Gives the reference away; `number` is the entry's.
  [[nodiscard]] MessageData* pop(std::uint64_t* number = nullptr) {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    while (head != tail_.load(std::memory_order_acquire)) {
      MessageData* message = slots_[head & mask_].load(std::memory_order_relaxed);
      if (number != nullptr) *number = head;
      if (!drops_) {
        head_.store(head + 1, std::memory_order_release);
        return message;
      }
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_seq_cst)) return message;
    }
    return nullptr;
  }

  /// The same for up to `most` entries, where nothing is dropped, and at most ready() are there:
  /// as long as take(message) is true; how many.
  template <class Take>
  std::size_t pop_while(std::size_t most, Take&& take) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::uint64_t mask = mask_;
    const std::atomic<MessageData*>* slots = slots_.get();
    std::size_t count = 0;
    while (count < most && take(slots[(head + count) & mask].load(std::memory_order_relaxed))) {
      ++count;
    }
    head_.store(head + count, std::memory_order_release);
    return count;
  }

  /// For the popper, where nothing is dropped: how many it may pop.
  [[nodiscard]] std::size_t ready() const {
    return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_relaxed);
  }
  /// For the pusher: how many more it may push.
  [[nodiscard]] std::size_t room() const {
    return capacity_ -
           (tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire));
  }
  [[nodiscard]] bool has_room() const { return room() > 0; }
  [[nodiscard]] bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }
  /// Entries now; for statistics.
  [[nodiscard]] std::uint64_t size() const {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    return tail > head ? tail - head : 0;
  }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint64_t pushed() const { return tail_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t popped() const { return head_.load(std::memory_order_relaxed); }

 private:
  const std::uint32_t capacity_;
  const std::uint64_t mask_;
  const bool drops_;
  std::unique_ptr<std::atomic<MessageData*>[]> slots_;
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
};

}  // namespace penstock::runtime
