// What a Flow refers to: a node and where its messages come from. Owned by the flows behind it;
// a loop knows weakly who closes it, so that a cycle does not keep itself alive.
#pragma once

#include <penstock/flow.hpp>

#include "graph/graph.hpp"

#include <memory>
#include <vector>

namespace penstock::detail {

struct FlowLink {
  std::shared_ptr<FlowNode> from;
  int from_port = 0;
  int to_port = 0;
};

struct FlowNode {
  /// Empty: a bundle of others, with no node of its own.
  std::shared_ptr<const graph::NodeSpec> spec;
  std::vector<FlowLink> links;
  struct Back {
    std::weak_ptr<FlowNode> from;
    int from_port = 0;
  };
  std::vector<Back> backs;
  /// Run with it, though nothing comes from them.
  std::vector<std::shared_ptr<FlowNode>> others;
};

struct FlowAccess {
  static Flow make(std::shared_ptr<FlowNode> node, int port = -1) {
    return {std::move(node), port};
  }
  static FlowNode& node(const Flow& flow) { return *flow.node_; }
  static const std::shared_ptr<FlowNode>& shared(const Flow& flow) { return flow.node_; }
  static const std::shared_ptr<const graph::NodeSpec>& spec(const Op& op) { return op.node_; }
  /// A link from the flow's one output. GraphError if it has none, or several and names none.
  static FlowLink link(const Flow& flow, int to_port);
  /// A node with these inputs.
  static Flow connect(graph::NodeSpec spec, const std::vector<Flow>& inputs);
};

/// The graph that the flows reach: their nodes, and those that messages come to these from.
[[nodiscard]] std::shared_ptr<graph::Graph> build(const std::vector<Flow>& flows);

}  // namespace penstock::detail
