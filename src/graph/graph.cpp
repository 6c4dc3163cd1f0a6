#include "graph/graph.hpp"

#include "base/nearest.hpp"
#include "base/throw.hpp"

#include <algorithm>
#include <utility>

namespace penstock::graph {
namespace {

std::vector<std::string_view> names_of(const std::vector<PortSpec>& ports) {
  std::vector<std::string_view> names;
  names.reserve(ports.size());
  for (const PortSpec& port : ports) names.push_back(port.name);
  return names;
}

std::string list(const std::vector<PortSpec>& ports) {
  std::string text;
  for (const PortSpec& port : ports)
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", port.name);
  return text.empty() ? "none" : text;
}

void check(bool fits, const NodeSpec& node, const char* word, auto value, const char* expected) {
  if (fits) return;
  throw_error<GraphError>("{}: {}={} does not fit: {}", node.options.name, word, value, expected);
}

void check_options(const NodeSpec& node) {
  const OperatorOptions& o = node.options;
  check(o.batch >= 1, node, "batch", o.batch, "at least 1");
  check(o.max_delay_ms >= 0, node, "max_delay_ms", o.max_delay_ms, "at least 0");
  check(o.window >= 1, node, "window", o.window, "at least 1");
  check(o.stride >= 1, node, "stride", o.stride, "at least 1");
  check(o.window == 1 || o.batch == 1, node, "window", o.window, "not together with batch");
  check(o.instances >= 1, node, "instances", o.instances, "at least 1");
  check(o.window == 1 || o.instances == 1 || o.per_source, node, "window", o.window,
        "not together with instances");
  const bool has_sizes =
      std::ranges::any_of(node.inputs, [](const PortSpec& port) { return port.size != 1; });
  check(!has_sizes || o.batch == 1, node, "batch", o.batch, "not together with an input's size");
  check(!has_sizes || (o.window == 1 && o.stride == 1), node, "window", o.window,
        "not together with an input's size");
  check(!o.per_source || o.batch == 1, node, "batch", o.batch, "not together with per=\"source\"");
  check(o.capacity >= 1, node, "capacity", o.capacity, "at least 1");
  check(o.in_flight >= 1, node, "in_flight", o.in_flight, "at least 1");
  check(o.every_ms >= 0, node, "every_ms", o.every_ms, "at least 0");
  check(o.on_error != OnError::end || node.inputs.empty(), node, "on_error", "\"end\"",
        "for sources only");
}

}  // namespace

int resolve_port(const NodeSpec& node, std::string_view kind, const std::vector<PortSpec>& ports,
                 std::string_view name) {
  if (name.empty()) {
    if (ports.size() == 1) return 0;
    throw_error<GraphError>("{}: it has {} {}s ({}); name one", node.options.name, ports.size(),
                            kind, list(ports));
  }
  const int index = find_port(ports, name);
  if (index >= 0) return index;
  const auto names = names_of(ports);
  const std::string_view near = nearest(name, names);
  throw_error<GraphError>("{}: no {} \"{}\"; it has {}{}", node.options.name, kind, name,
                          list(ports),
                          near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

int find_port(const std::vector<PortSpec>& ports, std::string_view name) {
  const auto found = std::ranges::find(ports, name, &PortSpec::name);
  return found == ports.end() ? -1 : static_cast<int>(found - ports.begin());
}

int Graph::add(NodeSpec node) {
  if (node.options.name.empty()) {
    const std::string kind = node.kind.empty() ? "operator" : node.kind;
    node.options.name = kind;
    for (int i = 2; find(node.options.name) >= 0; ++i)
      node.options.name = fmt::format("{}_{}", kind, i);
  }
  if (find(node.options.name) >= 0) {
    throw_error<GraphError>("graph: there are two operators named \"{}\"; name= tells them apart",
                            node.options.name);
  }
  check_options(node);
  nodes_.push_back(std::move(node));
  return static_cast<int>(nodes_.size()) - 1;
}

void Graph::connect(int from, std::string_view from_port, int to, std::string_view to_port) {
  connect(from, resolve_port(node(from), "output", node(from).outputs, from_port), to,
          resolve_port(node(to), "input", node(to).inputs, to_port));
}

void Graph::connect(int from, int from_port, int to, int to_port) {
  edges_.push_back({from, from_port, to, to_port});
}

int Graph::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(nodes_, [&](const NodeSpec& node) { return node.options.name == name; });
  return found == nodes_.end() ? -1 : static_cast<int>(found - nodes_.begin());
}

}  // namespace penstock::graph
