#include "base/throw.hpp"
#include "graph/graph.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace penstock::graph {
namespace {

enum class Mark : std::uint8_t { fresh, open, closed };

// Depth first over edges that don't lead into a loop node, which has its first messages.
bool find_cycle(const Graph& graph, std::size_t at, std::vector<Mark>& marks,
                std::vector<std::size_t>& path) {
  marks[at] = Mark::open;
  path.push_back(at);
  for (const EdgeSpec& edge : graph.edges()) {
    const auto to = static_cast<std::size_t>(edge.to);
    if (static_cast<std::size_t>(edge.from) != at || graph.nodes()[to].is_loop) continue;
    if (marks[to] == Mark::open) {
      path.erase(path.begin(), std::ranges::find(path, to));
      return true;
    }
    if (marks[to] == Mark::fresh && find_cycle(graph, to, marks, path)) return true;
  }
  path.pop_back();
  marks[at] = Mark::closed;
  return false;
}

void check_cycles(const Graph& graph) {
  std::vector<Mark> marks(graph.nodes().size(), Mark::fresh);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    std::vector<std::size_t> path;
    if (marks[n] != Mark::fresh || !find_cycle(graph, n, marks, path)) continue;
    std::string text;
    for (const std::size_t i : path) text += graph.nodes()[i].options.name + " -> ";
    throw_error<GraphError>(
        "graph: {}{} is a cycle with no first message; begin it with loop(first=[...])", text,
        graph.nodes()[path.front()].options.name);
  }
}

void check_inputs(const Graph& graph) {
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    const NodeSpec& node = graph.nodes()[n];
    for (std::size_t p = 0; p < node.inputs.size(); ++p) {
      const bool is_connected = std::ranges::any_of(graph.edges(), [&](const EdgeSpec& edge) {
        return edge.to == static_cast<int>(n) && edge.to_port == static_cast<int>(p);
      });
      if (is_connected || node.inputs[p].is_optional) continue;
      throw_error<GraphError>(
          "{}: its input \"{}\" is not connected; connect it or make it optional",
          node.options.name, node.inputs[p].name);
    }
  }
}

void check_types(const Graph& graph) {
  for (const EdgeSpec& edge : graph.edges()) {
    const NodeSpec& from = graph.nodes()[static_cast<std::size_t>(edge.from)];
    const NodeSpec& to = graph.nodes()[static_cast<std::size_t>(edge.to)];
    const PortSpec& output = from.outputs[static_cast<std::size_t>(edge.from_port)];
    const PortSpec& input = to.inputs[static_cast<std::size_t>(edge.to_port)];
    if (output.type.empty() || input.type.empty() || output.type == input.type) continue;
    throw_error<GraphError>("graph: {}.{} gives {}, {}.{} takes {}", from.options.name, output.name,
                            output.type, to.options.name, input.name, input.type);
  }
}

}  // namespace

void Graph::validate() const {
  if (nodes_.empty()) throw_error<GraphError>("graph: there is nothing to run");
  check_inputs(*this);
  check_types(*this);
  check_cycles(*this);
}

}  // namespace penstock::graph
