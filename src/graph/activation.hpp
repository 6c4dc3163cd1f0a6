// One run of an operator's body: what came in, and what goes out. It belongs to one thread at a
// time and is used again, so that a run allocates nothing.
#pragma once

#include "graph/message_data.hpp"

#include <cstdint>
#include <exception>
#include <span>
#include <vector>

namespace penstock::graph {

using MessageRef = Ref<MessageData>;

struct Staged {
  std::uint32_t port;
  MessageRef message;
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
    return {items_.data() + first_[index], items_.data() + first_[index + 1]};
  }
  [[nodiscard]] std::size_t ports() const { return first_.empty() ? 0 : first_.size() - 1; }
  /// The message whose origin the results have: of item `item` of a batch, or the only one.
  [[nodiscard]] const MessageData* lead(std::size_t item = 0) const {
    return item < leads_.size() ? leads_[item] : nullptr;
  }
  /// The port that the lead came on.
  [[nodiscard]] std::size_t lead_port() const;
  /// A port has several messages for one result.
  [[nodiscard]] bool has_several() const { return leads_.size() == 1 && items_.size() > ports(); }
  [[nodiscard]] bool may_hold_tensors() const {
    for (const MessageRef& item : items_) {
      if (item && item->may_hold_tensors()) return true;
    }
    return false;
  }
  /// Items of a batch; 1 otherwise, also for a source.
  [[nodiscard]] std::size_t items() const { return leads_.empty() ? 1 : leads_.size(); }

  // What goes out.
  /// A message without an origin gets that of the activation's lead (of item `item`).
  void emit(std::uint32_t port, MessageRef message, std::size_t item = 0);
  /// The source has no more to give; what was emitted with it still goes out.
  void end() { ended = true; }

  // For whoever fills it: ports in turn, the items of each; then the leads.
  void clear();
  void begin_port() { first_.push_back(static_cast<std::uint32_t>(items_.size())); }
  void add(MessageRef message) { items_.push_back(std::move(message)); }
  void end_ports() { begin_port(); }
  /// One of what was added.
  void add_lead(MessageData* message) { leads_.push_back(message); }
  /// One message on one port, which is the lead.
  void set_single(MessageRef message) {
    leads_.push_back(message.get());
    items_.push_back(std::move(message));
    first_.assign({0, 1});
  }
  [[nodiscard]] std::span<MessageRef> all() { return items_; }
  [[nodiscard]] std::span<const MessageRef> all() const { return items_; }
  void drop_inputs();
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
  std::vector<MessageRef> items_;
  std::vector<std::uint32_t> first_;
  std::vector<MessageData*> leads_;
};

}  // namespace penstock::graph
