#include "graph/plan.hpp"

#include <fmt/format.h>

#include <string_view>

namespace penstock::graph {
namespace {

std::string_view name_of(Policy policy) {
  switch (policy) {
    case Policy::block:
      return "block";
    case Policy::drop_oldest:
      return "drop_oldest";
    case Policy::drop_newest:
      return "drop_newest";
  }
  return "";
}

std::string_view name_of(Join join) {
  switch (join) {
    case Join::origin:
      return "origin";
    case Join::position:
      return "position";
    case Join::latest:
      return "latest";
    case Join::within:
      return "within";
  }
  return "";
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace

std::string Plan::text() const {
  std::string text;
  for (const PlannedNode& node : nodes) {
    text += fmt::format("{} ({}): {}, {} instance{}, chain {}", node.name, node.kind,
                        node.home == Home::lane ? "lane" : "pool", node.instances,
                        node.instances == 1 ? "" : "s", node.chain);
    if (node.is_source) text += ", source";
    if (node.input_count > 1) text += fmt::format(", joins by {}", name_of(node.join));
    if (node.is_in_cycle) text += ", in a cycle";
    text += '\n';
  }
  for (const PlannedEdge& edge : edges) {
    text += fmt::format("{}.{} -> {}.{}: {} of {}{}{}\n", nodes[edge.from].name, edge.from_port,
                        nodes[edge.to].name, edge.to_port, name_of(edge.policy), edge.capacity,
                        edge.carries_gaps ? ", tells gaps" : "", edge.is_back ? ", back" : "");
  }
  return text;
}

std::string Plan::json() const {
  std::string text = "{\"nodes\": [";
  for (const PlannedNode& node : nodes) {
    text += fmt::format(
        "{}{{\"name\": {}, \"kind\": {}, \"home\": \"{}\", \"instances\": {}, \"chain\": {}, "
        "\"rank\": {}, \"source\": {}, \"join\": \"{}\", \"inputs\": {}, \"outputs\": {}}}",
        &node == nodes.data() ? "" : ", ", quoted(node.name), quoted(node.kind),
        node.home == Home::lane ? "lane" : "pool", node.instances, node.chain, node.rank,
        node.is_source, name_of(node.join), node.input_count, node.output_count);
  }
  text += "], \"edges\": [";
  for (const PlannedEdge& edge : edges) {
    text += fmt::format(
        "{}{{\"from\": {}, \"from_port\": {}, \"to\": {}, \"to_port\": {}, \"capacity\": {}, "
        "\"policy\": \"{}\", \"gaps\": {}, \"back\": {}}}",
        &edge == edges.data() ? "" : ", ", quoted(nodes[edge.from].name), edge.from_port,
        quoted(nodes[edge.to].name), edge.to_port, edge.capacity, name_of(edge.policy),
        edge.carries_gaps, edge.is_back);
  }
  return text + "]}";
}

}  // namespace penstock::graph
