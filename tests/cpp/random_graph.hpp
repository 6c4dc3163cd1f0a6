// Random graphs and what they must give: each is drawn from a seed, together with the results of a
// sequential interpreter of it. For tests only.
#pragma once

#include "graph_fixture.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace penstock::graph::test {

/// What a stream carries, as the interpreter sees it.
struct Item {
  std::uint32_t source = 0;
  std::uint64_t number = 0;
  std::uint32_t sub = kNoSub;
  std::int64_t value = 0;
};
struct ItemStream {
  int node = 0;
  int port = 0;
  std::vector<Item> items;
  /// The runtime promises this order; that of each source.
  bool is_ordered = true;
  bool keeps_sources = true;
  /// Sources that origins may have; and those it depends on at all.
  std::set<std::uint32_t> sources;
  std::set<std::uint32_t> ancestors;
  bool may_join = true;
};

/// One sink: where its rows go, and what they must be.
struct Expected {
  std::string name;
  std::shared_ptr<Collected> got;
  std::vector<std::vector<std::int64_t>> rows;
  bool is_ordered = true;
};

struct DrawnGraph {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<Expected> sinks;
  std::string text;
};

[[nodiscard]] DrawnGraph draw_graph(std::uint64_t seed, int capacity);
/// Empty if each sink got what it must.
[[nodiscard]] std::string compare(const DrawnGraph& drawn);

}  // namespace penstock::graph::test
