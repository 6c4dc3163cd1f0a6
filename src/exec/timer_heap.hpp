// A binary heap of timers, the earliest on top. Each timer knows its place, so that it can be taken
// out of the middle in O(log n).
// Not thread-safe. It owns nothing.
#pragma once

#include "exec/timers.hpp"

#include <cstddef>
#include <vector>

namespace penstock::exec {

class TimerHeap {
 public:
  [[nodiscard]] bool empty() const { return timers_.empty(); }
  [[nodiscard]] std::size_t size() const { return timers_.size(); }
  [[nodiscard]] Timer& top() const { return *timers_.front(); }
  [[nodiscard]] static bool contains(const Timer& timer) { return timer.heap_index != SIZE_MAX; }

  void push(Timer& timer) {
    timers_.push_back(&timer);
    move_up(timers_.size() - 1, timer);
  }

  void remove(Timer& timer) {
    const std::size_t hole = timer.heap_index;
    Timer& last = *timers_.back();
    timers_.pop_back();
    timer.heap_index = SIZE_MAX;
    if (&last == &timer) return;
    const std::size_t parent = (hole - 1) / 2;
    if (hole > 0 && last.deadline_ns < timers_[parent]->deadline_ns) {
      move_up(hole, last);
    } else {
      move_down(hole, last);
    }
  }

 private:
  void place(std::size_t index, Timer& timer) {
    timers_[index] = &timer;
    timer.heap_index = index;
  }

  void move_up(std::size_t index, Timer& timer) {
    while (index > 0) {
      const std::size_t parent = (index - 1) / 2;
      if (timers_[parent]->deadline_ns <= timer.deadline_ns) break;
      place(index, *timers_[parent]);
      index = parent;
    }
    place(index, timer);
  }

  void move_down(std::size_t index, Timer& timer) {
    for (std::size_t child = 2 * index + 1; child < timers_.size(); child = 2 * index + 1) {
      if (child + 1 < timers_.size() &&
          timers_[child + 1]->deadline_ns < timers_[child]->deadline_ns) {
        ++child;
      }
      if (timer.deadline_ns <= timers_[child]->deadline_ns) break;
      place(index, *timers_[child]);
      index = child;
    }
    place(index, timer);
  }

  std::vector<Timer*> timers_;
};

}  // namespace penstock::exec
