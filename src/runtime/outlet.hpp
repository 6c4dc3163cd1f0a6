// What a node gives out: staged messages go to the edges of their ports as there is room, in order.
// Used by the node's owner alone; allocates nothing once it has grown.
#pragma once

#include "base/ring_queue.hpp"
#include "graph/activation.hpp"
#include "runtime/edge.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace penstock::runtime {

class Outlet {
 public:
  struct Port {
    std::vector<Edge*> edges;
    bool carries_gaps = false;
  };

  explicit Outlet(std::vector<Port> ports) : ports_(std::move(ports)) {}

  /// Nothing waits, and each edge takes one more. Announces that room is waited for.
  [[nodiscard]] bool has_room();
  /// Takes what an activation emitted, whose inputs may be gone then, and tells of the numbers that
  /// nothing comes for: what came in with a number and what goes out for it have the same weight on
  /// each port. `repeats`: a source's number that was not used comes again.
  void stage(graph::Activation& activation, bool is_window, bool repeats);
  /// Tells all ports of numbers that will not come.
  void stage_gap(const MessageRef& gap);
  /// Pushes what there is room for; true if nothing is left.
  [[nodiscard]] bool flush() { return pending_.empty() || flush_pending(); }
  [[nodiscard]] bool is_empty() const { return pending_.empty(); }
  /// Consumers of what was pushed since the last call look at it.
  void notify();
  void close();
  void drop() {
    while (!pending_.empty()) pending_.pop();
  }
  /// There were consumers, and none of them wants anything more.
  [[nodiscard]] bool is_unwanted() const;
  [[nodiscard]] const std::vector<Port>& ports() const { return ports_; }

 private:
  [[nodiscard]] bool can_push(const Port& port);
  [[nodiscard]] bool flush_pending();
  /// To the edges now, or to what waits.
  void put(std::uint32_t port, MessageRef message);
  /// The same for results on the only port.
  void put_all(std::span<graph::Staged> results);
  void tell(Node& consumer);
  void push(const Port& port, MessageRef message);
  void stage_item(const graph::Activation& activation, std::size_t item,
                  std::span<graph::Staged> results, bool repeats);
  void stage_missing(const graph::Activation& activation, std::size_t item);
  void stage_aggregated(const graph::Activation& activation);

  std::vector<Port> ports_;
  RingQueue<graph::Staged> pending_;
  std::vector<Node*> news_;
  // Of each port, for one item: results, and those staged so far.
  struct Results {
    std::uint32_t count = 0;
    std::uint32_t staged = 0;
  };
  std::vector<Results> results_;
};

}  // namespace penstock::runtime
