// Messages in a row, in memory that is kept: adding one is a few instructions, where those of a
// std::vector are a call. Not thread-safe.
#pragma once

#include "base/ref.hpp"
#include "graph/message_data.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace penstock::graph {

class MessageList {
 public:
  void push(Ref<MessageData> message) {
    *reserve(1) = std::move(message);
    ++size_;
  }
  /// Empty places for so many more; add() then says how many of them were filled.
  [[nodiscard]] Ref<MessageData>* reserve(std::size_t count) {
    if (slots_.size() - size_ < count) [[unlikely]] {
      slots_.resize(std::max(size_ + count, slots_.size() * 2));
    }
    return slots_.data() + size_;
  }
  void add(std::size_t count) { size_ += count; }
  void clear() {
    for (std::size_t i = 0; i < size_; ++i) slots_[i] = {};
    size_ = 0;
  }
  void swap(MessageList& other) noexcept {
    slots_.swap(other.slots_);
    std::swap(size_, other.size_);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  Ref<MessageData>& operator[](std::size_t index) { return slots_[index]; }
  const Ref<MessageData>& operator[](std::size_t index) const { return slots_[index]; }
  [[nodiscard]] const Ref<MessageData>* data() const { return slots_.data(); }
  [[nodiscard]] const Ref<MessageData>* begin() const { return data(); }
  [[nodiscard]] const Ref<MessageData>* end() const { return data() + size_; }

 private:
  std::vector<Ref<MessageData>> slots_;
  std::size_t size_ = 0;
};

}  // namespace penstock::graph
