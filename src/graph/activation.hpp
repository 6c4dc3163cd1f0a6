// One run of an operator's body: what came in, and what goes out. It belongs to one thread at a
// time and is used again, so that a run allocates nothing.
#pragma once

#include "graph/message_list.hpp"

#include <cstdint>
#include <exception>
#include <span>
#include <vector>

namespace penstock::graph {

using MessageRef = Ref<MessageData>;

struct Staged {
  MessageRef message;
  std::uint32_t port = 0;
  /// Of a batch: whose result it is.
  std::uint32_t item = 0;
};

/// A number that nothing comes for, told of before the results of an item.
struct StagedGap {
  std::uint32_t item;
  MessageRef gap;
};

class Activation {
 public:
  // What came in. A null message: nothing on an optional input.
  [[nodiscard]] std::span<const MessageRef> port(std::size_t index) const {
    if (is_plain_) return items_;
    return {items_.data() + first_[index], items_.data() + first_[index + 1]};
  }
  [[nodiscard]] std::size_t ports() const {
    if (is_plain_) return 1;
    return first_.empty() ? 0 : first_.size() - 1;
  }
  /// The message whose origin the results have: of item `item` of a batch, or the only one.
  [[nodiscard]] const MessageData* lead(std::size_t item = 0) const {
    if (is_plain_) return item < items_.size() ? items_[item].get() : nullptr;
    return item < leads_.size() ? leads_[item] : nullptr;
  }
  /// The port that the lead came on.
  [[nodiscard]] std::size_t lead_port() const;
  /// A port has several messages for one result.
  [[nodiscard]] bool has_several() const {
    return !is_plain_ && leads_.size() == 1 && items_.size() > ports();
  }
  [[nodiscard]] bool may_hold_tensors() const {
    for (const MessageRef& item : items_) {
      if (item && item->may_hold_tensors()) return true;
    }
    return false;
  }
  /// Items of a batch; 1 otherwise, also for a source.
  [[nodiscard]] std::size_t items() const {
    if (is_plain_) return items_.size();
    return leads_.empty() ? 1 : leads_.size();
  }

  // What goes out.
  /// A message without an origin gets that of the activation's lead (of item `item`).
  void emit(std::uint32_t port, MessageRef message, std::size_t item = 0);
  /// The source has no more to give; what was emitted with it still goes out.
  void end() { ended = true; }

  // For whoever fills it: ports in turn, the items of each; then the leads.
  void clear();
  void begin_port() { first_.push_back(static_cast<std::uint32_t>(items_.size())); }
  void add(MessageRef message) { items_.push(std::move(message)); }
  void end_ports() { begin_port(); }
  /// One of what was added.
  void add_lead(MessageData* message) { leads_.push_back(message); }
  /// All at once: messages on one port, an item each. Leaves memory to be filled again.
  void swap_items(MessageList& messages) {
    items_.swap(messages);
    is_plain_ = true;
  }
  void drop_inputs() {
    items_.clear();
    is_plain_ = false;
    first_.clear();
    leads_.clear();
  }
  [[nodiscard]] std::span<const MessageRef> all() const { return items_; }
  /// Another message in place of one that came in.
  void replace(const MessageRef& item, MessageRef with);

  std::vector<Staged> outputs;
  /// What was found between the items, in order.
  std::vector<StagedGap> gaps;
  /// Of a source's activation: what it emits gets this origin.
  Origin origin;
  bool is_source = false;
  /// The lead comes again: its number is told of later, by a gap.
  bool keeps_weight = false;
  bool ended = false;
  /// In the order of claims, within a node.
  std::uint64_t sequence = 0;
  std::exception_ptr error;
  /// The body was not run: nothing goes out but gaps.
  bool is_skipped = false;
  /// Messages that a route had no output for.
  std::uint32_t unmatched = 0;
  std::int64_t begun_ns = 0;

 private:
  MessageList items_;
  bool is_plain_ = false;  // one port, and each of its messages leads an item
  std::vector<std::uint32_t> first_;
  std::vector<MessageData*> leads_;
};

}  // namespace penstock::graph
