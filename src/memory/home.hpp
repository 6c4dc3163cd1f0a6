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
#include <bit>
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
  // A bit for each bin that holds blocks. Most are empty, and whoever goes through all homes has
  // the cache's mutex meanwhile.
  std::array<std::uint64_t, (kClasses + 63) / 64> filled{};
  std::array<Bin, kClasses> bins{};

  // All under lock, but for push().
  void put(Block& block) {
    bins[block.size_class_].push(block);
    filled[block.size_class_ / 64] |= std::uint64_t{1} << block.size_class_ % 64;
  }
  void take_out(Block& block) {
    Bin& bin = bins[block.size_class_];
    bin.remove(block);
    if (bin.newest == nullptr) {
      filled[block.size_class_ / 64] &= ~(std::uint64_t{1} << block.size_class_ % 64);
    }
  }
  /// Each idle block, of each size the oldest first; `body` may take it out.
  template <class Body>
  void for_each_idle(Body&& body) {
    for (std::size_t i = 0; i < filled.size(); ++i) {
      for (std::uint64_t left = filled[i]; left != 0; left &= left - 1) {
        Block* block = bins[64 * i + static_cast<std::size_t>(std::countr_zero(left))].oldest;
        while (block != nullptr) {
          Block* newer = block->newer_;
          body(*block);
          block = newer;
        }
      }
    }
  }

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
      put(*oldest);
      oldest = newer;
    }
  }
};

}  // namespace penstock::memory
