// The compiled graph: flat arrays of numbers, so that a run looks nothing up by name. Can be
// printed and compared. Immutable.
#pragma once

#include "graph/graph.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::graph {

/// Of Plan::tells: nobody knows how often, as in a cycle.
inline constexpr std::uint32_t kUnknownTells = UINT32_MAX;

struct PlannedEdge {
  std::uint32_t from = 0;
  std::uint32_t from_port = 0;
  std::uint32_t to = 0;
  std::uint32_t to_port = 0;
  std::uint32_t capacity = 0;
  Policy policy = Policy::block;
  /// Somebody downstream joins by origin: numbers that will not come are told.
  bool carries_gaps = false;
  /// It closes a cycle.
  bool is_back = false;

  friend bool operator==(const PlannedEdge&, const PlannedEdge&) = default;
};

struct PlannedPort {
  std::uint32_t first_edge = 0;  // in Plan::in_edges or Plan::out_edges
  std::uint32_t edge_count = 0;
  /// Inputs that share a source have the same.
  std::uint32_t group = 0;

  friend bool operator==(const PlannedPort&, const PlannedPort&) = default;
};

struct PlannedNode {
  std::string name;
  std::string kind;
  Home home = Home::pool;
  std::uint32_t first_input = 0;  // in Plan::inputs
  std::uint32_t input_count = 0;
  std::uint32_t first_output = 0;
  std::uint32_t output_count = 0;
  std::uint32_t instances = 1;
  Join join = Join::origin;
  std::uint32_t groups = 0;
  /// Messages that the nodes before it may keep back for batches and among instances.
  std::uint32_t kept_back = 0;
  /// Linear chains share one; numbers are dense.
  std::uint32_t chain = 0;
  /// Distance to the farthest sink: sinks are 0.
  std::uint32_t rank = 0;
  bool is_source = false;
  bool is_in_cycle = false;
  /// A source leads to it.
  bool is_driven = false;

  friend bool operator==(const PlannedNode&, const PlannedNode&) = default;
};

struct Plan {
  std::vector<PlannedNode> nodes;
  std::vector<PlannedEdge> edges;
  std::vector<PlannedPort> inputs;
  std::vector<PlannedPort> outputs;
  std::vector<std::uint32_t> in_edges;
  std::vector<std::uint32_t> out_edges;
  /// For each edge and each source, at [edge * sources + source]: how often each of its numbers is
  /// told of on it, by a value or a gap; 0: messages of that origin never come.
  std::vector<std::uint32_t> tells;
  /// Node of each source, by the number that origins have.
  std::vector<std::uint32_t> sources;

  [[nodiscard]] std::uint32_t edge_tells(std::uint32_t edge, std::uint32_t source) const {
    return source < sources.size() ? tells[edge * sources.size() + source] : 0;
  }
  [[nodiscard]] bool edge_carries(std::uint32_t edge, std::uint32_t source) const {
    return edge_tells(edge, source) != 0;
  }
  /// For people, a line for each node and edge.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string json() const;
  friend bool operator==(const Plan&, const Plan&) = default;
};

/// Validates and compiles.
[[nodiscard]] Plan compile(const Graph& graph, StreamPolicy streams = StreamPolicy::chain);

}  // namespace penstock::graph
