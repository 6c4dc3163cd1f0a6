// A graph as it was written: nodes, ports and edges, by name. Checked before it runs. Not
// thread-safe while it is being written; a run shares it.
#pragma once

#include <penstock/options.hpp>

#include "graph/body.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::graph {

struct NodeSpec {
  OperatorOptions options;
  std::vector<PortSpec> inputs;
  std::vector<PortSpec> outputs;
  std::shared_ptr<BodyFactory> factory;
  /// What it is, for people: "resize", "Detect".
  std::string kind;
  /// Its first messages come from itself: it may close a cycle, and what comes in passes through.
  bool is_loop = false;
  /// Every message goes to one of the outputs.
  bool is_route = false;
};

struct EdgeSpec {
  int from = 0;
  int from_port = 0;
  int to = 0;
  int to_port = 0;
};

class Graph {
 public:
  /// Returns the node's index. GraphError for a duplicate name, or options that don't fit.
  int add(NodeSpec node);
  /// Connects ports by name; "" is the only one. GraphError for an unknown port, with the nearest.
  void connect(int from, std::string_view from_port, int to, std::string_view to_port);
  void connect(int from, int from_port, int to, int to_port);

  [[nodiscard]] const std::vector<NodeSpec>& nodes() const { return nodes_; }
  [[nodiscard]] const std::vector<EdgeSpec>& edges() const { return edges_; }
  [[nodiscard]] NodeSpec& node(int index) { return nodes_[static_cast<std::size_t>(index)]; }
  /// -1 if there is none.
  [[nodiscard]] int find(std::string_view name) const;

  /// GraphError for what can't run: unconnected required inputs, a cycle with no first message,
  /// types that don't fit, nothing at all.
  void validate() const;

 private:
  std::vector<NodeSpec> nodes_;
  std::vector<EdgeSpec> edges_;
};

/// "in", "out" or a number of them, for messages.
[[nodiscard]] int find_port(const std::vector<PortSpec>& ports, std::string_view name);
/// Index of the port; "" is the only one. GraphError for an unknown one, with the nearest.
[[nodiscard]] int resolve_port(const NodeSpec& node, std::string_view kind,
                               const std::vector<PortSpec>& ports, std::string_view name);

}  // namespace penstock::graph
