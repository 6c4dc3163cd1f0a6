// The home list of a stream, or of a thread that works without one: the idle blocks that it gets
// back and hands out again. Homes are never freed; that of a thread that ended goes to the next.
//
// Protocol: anybody may push onto `returned` (a lock-free stack: push by compare-exchange, taken as
// a whole by exchange, so there is no ABA). The bins are touched under `lock`, which is nearly
// always the allocating thread's alone. Attacked by test_memory "freed on other threads".
#pragma once

#include "memory/block.hpp"
#include "memory/size_class.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace penstock::memory {

/// Idle blocks of one size class, in the order in which they were freed.
struct Bin {
  Block* newest = nullptr;
  Block* oldest = nullptr;

  void push(Block& block) {
    block.newer_ = nullptr;
    block.older_ = newest;
    (newest != nullptr ? newest->newer_ : oldest) = &block;
    newest = &block;
  }
  void remove(Block& block) {
    (block.newer_ != nullptr ? block.newer_->older_ : newest) = block.older_;
    (block.older_ != nullptr ? block.older_->newer_ : oldest) = block.newer_;
  }
};

struct Home {
  std::atomic<Block*> returned{nullptr};

  alignas(64) SpinLock lock;  // guards what follows; not on the line that other threads push to
  bool in_use = false;        // by a thread
  std::int64_t hits = 0;
  std::array<Bin, kClasses> bins{};

  // Sequentially consistent: whoever frees looks at the limit and the epoch after this, whoever
  // changes those looks for returned blocks afterwards, and one of the two sees the other.
  void push(Block& block) {
    Block* head = returned.load(std::memory_order_relaxed);
    do {
      block.older_ = head;
    } while (!returned.compare_exchange_weak(head, &block));
  }
  /// Sorts what came back into the bins. Under lock.
  void sort_returned() {
    if (returned.load() == nullptr) return;
    Block* oldest = nullptr;
    for (Block* block = returned.exchange(nullptr); block != nullptr;) {
      Block* next = block->older_;
      block->older_ = oldest;
      oldest = block;
      block = next;
    }
    while (oldest != nullptr) {
      Block* newer = oldest->older_;
      bins[oldest->size_class_].push(*oldest);
      oldest = newer;
    }
  }
};

}  // namespace penstock::memory
