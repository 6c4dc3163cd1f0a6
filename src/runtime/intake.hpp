// What a node takes in: tuples from its joiner, gathered into batches or windows. Used by the
// node's owner alone; allocates nothing once it has grown.
#pragma once

#include "graph/activation.hpp"
#include "runtime/join.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace penstock::runtime {

class Intake {
 public:
  Intake(const OperatorOptions& options, const std::vector<PortSpec>& specs,
         std::vector<InPort> ports, const graph::Plan& plan, const graph::PlannedNode& node);

  /// Fills a cleared activation, or says that a gap, nothing or the end was found.
  [[nodiscard]] Found next(graph::Activation& activation, MessageRef& gap);
  /// next() would find nothing, and whoever changes that notifies. False where it takes more than a
  /// look to know.
  [[nodiscard]] bool lacks_input() const {
    return lone_edge_ != nullptr && count_ == 0 && lone_edge_->lacks_input();
  }
  /// When to look again though nothing comes; kNever if only news can help.
  [[nodiscard]] std::int64_t wake_at_ns() const { return wake_at_ns_; }
  /// Producers that wait for room in edges that were popped are told.
  void notify_room();
  /// Nothing more is wanted.
  void cancel();
  /// Messages that wait here for partners or for company.
  [[nodiscard]] std::size_t waiting() const;
  /// Takes more in while partners are missing; false if that would not help.
  [[nodiscard]] bool grow() { return joiner_ != nullptr && joiner_->grow(); }
  void count_copy(std::size_t port) {
    if (!ports_[port].edges.empty()) ports_[port].edges.front()->count_copy();
  }
  [[nodiscard]] const std::vector<InPort>& ports() const { return ports_; }

 private:
  [[nodiscard]] Found next_single(graph::Activation& activation, MessageRef& gap);
  [[nodiscard]] Found next_batch(graph::Activation& activation, MessageRef& gap);
  [[nodiscard]] Found next_window(graph::Activation& activation, MessageRef& gap);
  [[nodiscard]] Found next_tuple(Tuple& tuple, MessageRef& gap);
  [[nodiscard]] Found gather(std::size_t full, MessageRef& gap);
  struct Window {
    std::vector<Tuple> tuples;
    std::uint64_t seen = 0;
  };

  void fill(graph::Activation& activation);
  void fill(graph::Activation& activation, const Window& window);
  void fill_batch(graph::Activation& activation);

  const int batch_;
  const std::int64_t max_delay_ns_;
  const std::size_t window_;
  const std::size_t stride_;
  std::vector<InPort> ports_;
  std::unique_ptr<Joiner> joiner_;
  const Edge* lone_edge_ = nullptr;
  bool is_lone_;  // one port, one message for each result: nothing to join
  Tuple tuple_;
  std::int64_t wake_at_ns_;
  bool is_over_ = false;

  // Of a batch: messages of the lone port, else tuples.
  graph::MessageList items_;
  std::vector<Tuple> tuples_;
  std::size_t count_ = 0;
  std::int64_t oldest_ns_ = 0;  // when the first of them came
  std::vector<graph::StagedGap> gaps_;
  std::map<std::uint32_t, Window> windows_;
};

}  // namespace penstock::runtime
