// The home list of a stream, or of a thread that works without one: the idle blocks that it gets
// back and hands out again. Homes are never freed; that of a thread that ended goes to the next.
//
// Protocol: anybody may push onto `returned` (a lock-free stack: push by compare-exchange, taken as
// a whole by exchange, so there is no ABA). The bins are touched under `lock`, which is nearly always
// the allocating thread's alone. Attacked by test_memory "freed on other threads".
#pragma once

#include "memory/block.hpp"
#include "memory/size_class.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace penstock::memory {

struct Home {
  std::atomic<Block*> returned{nullptr};
  std::atomic<std::int64_t> returned_bytes{0};
  std::atomic<std::int64_t> taken_bytes{0};
  std::atomic<std::int64_t> hits{0};

  SpinLock lock;  // guards what follows
  std::array<Block*, kClasses> bins{};
  bool in_use = false;  // by a thread

  void push(Block& block) {
    Block* head = returned.load(std::memory_order_relaxed);
    do {
      block.next_ = head;
    } while (!returned.compare_exchange_weak(head, &block, std::memory_order_release,
                                             std::memory_order_relaxed));
  }
  /// Sorts what came back into the bins. Under lock.
  void sort_returned() {
    if (returned.load(std::memory_order_relaxed) == nullptr) return;
    Block* block = returned.exchange(nullptr, std::memory_order_acquire);
    while (block != nullptr) {
      Block* next = block->next_;
      block->next_ = bins[block->size_class_];
      bins[block->size_class_] = block;
      block = next;
    }
  }
};

}  // namespace penstock::memory
