#include "graph/plan.hpp"

#include <algorithm>
#include <deque>
#include <numeric>

namespace penstock::graph {
namespace {

// More senders than that of one number are not counted.
constexpr std::uint64_t kMostTells = 1 << 20;

class Compiler {
 public:
  Compiler(const Graph& graph, StreamPolicy streams) : graph_(graph), streams_(streams) {}

  Plan compile() {
    graph_.validate();
    add_nodes();
    add_edges();
    add_ports();
    find_back_edges();
    find_ranks();
    find_sources();
    find_groups();
    find_gaps();
    find_kept_back();
    find_chains();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] const NodeSpec& spec(std::size_t node) const { return graph_.nodes()[node]; }
  [[nodiscard]] std::size_t count() const { return plan_.nodes.size(); }

  void add_nodes() {
    for (const NodeSpec& node : graph_.nodes()) {
      PlannedNode planned;
      planned.name = node.options.name;
      planned.kind = node.kind;
      planned.home = node.factory ? node.factory->home() : Home::pool;
      planned.instances = static_cast<std::uint32_t>(node.options.instances);
      planned.input_count = static_cast<std::uint32_t>(node.inputs.size());
      planned.output_count = static_cast<std::uint32_t>(node.outputs.size());
      planned.is_source = node.inputs.empty();
      planned.join = node.options.join;
      plan_.nodes.push_back(std::move(planned));
    }
  }

  void add_edges() {
    for (const EdgeSpec& edge : graph_.edges()) {
      const NodeSpec& to = spec(static_cast<std::size_t>(edge.to));
      const NodeSpec& from = spec(static_cast<std::size_t>(edge.from));
      const PortSpec& output = from.outputs[static_cast<std::size_t>(edge.from_port)];
      const PortSpec& input = to.inputs[static_cast<std::size_t>(edge.to_port)];
      const PortSpec& port = output.is_policy_set ? output : input;  // a sender's word comes first
      PlannedEdge planned;
      planned.from = static_cast<std::uint32_t>(edge.from);
      planned.from_port = static_cast<std::uint32_t>(edge.from_port);
      planned.to = static_cast<std::uint32_t>(edge.to);
      planned.to_port = static_cast<std::uint32_t>(edge.to_port);
      const int capacity = port.capacity > 0 ? port.capacity : to.options.capacity;
      planned.capacity = static_cast<std::uint32_t>(capacity);
      planned.policy = port.is_policy_set ? port.policy : to.options.policy;
      plan_.edges.push_back(planned);
    }
  }

  void add_ports() {
    for (std::uint32_t n = 0; n < count(); ++n) {
      PlannedNode& node = plan_.nodes[n];
      node.first_input = static_cast<std::uint32_t>(plan_.inputs.size());
      for (std::uint32_t p = 0; p < node.input_count; ++p) {
        plan_.inputs.push_back(collect(plan_.in_edges, [&](const PlannedEdge& edge) {
          return edge.to == n && edge.to_port == p;
        }));
      }
      node.first_output = static_cast<std::uint32_t>(plan_.outputs.size());
      for (std::uint32_t p = 0; p < node.output_count; ++p) {
        plan_.outputs.push_back(collect(plan_.out_edges, [&](const PlannedEdge& edge) {
          return edge.from == n && edge.from_port == p;
        }));
      }
    }
  }

  template <class Fits>
  PlannedPort collect(std::vector<std::uint32_t>& list, Fits fits) {
    PlannedPort port{.first_edge = static_cast<std::uint32_t>(list.size())};
    for (std::uint32_t e = 0; e < plan_.edges.size(); ++e) {
      if (fits(plan_.edges[e])) list.push_back(e);
    }
    port.edge_count = static_cast<std::uint32_t>(list.size()) - port.first_edge;
    return port;
  }

  // An edge into a loop from something that the loop leads to.
  void find_back_edges() {
    for (std::uint32_t n = 0; n < count(); ++n) {
      const auto reached = reachable(n);
      for (PlannedEdge& edge : plan_.edges) {
        if (spec(edge.to).is_loop && edge.to == n && reached[edge.from]) edge.is_back = true;
      }
      if (reached[n]) plan_.nodes[n].is_in_cycle = true;
    }
    for (std::uint32_t n = 0; n < count(); ++n) {
      const bool closes = std::ranges::any_of(
          plan_.edges, [&](const PlannedEdge& e) { return e.to == n && e.is_back; });
      plan_.nodes[n].is_in_cycle = plan_.nodes[n].is_in_cycle || closes;
    }
  }

  // Nodes that a node leads to, itself only by a cycle.
  [[nodiscard]] std::vector<bool> reachable(std::uint32_t from) const {
    std::vector<bool> reached(count(), false);
    std::deque<std::uint32_t> open{from};
    while (!open.empty()) {
      const std::uint32_t at = open.front();
      open.pop_front();
      for (const PlannedEdge& edge : plan_.edges) {
        if (edge.from != at || reached[edge.to]) continue;
        reached[edge.to] = true;
        open.push_back(edge.to);
      }
    }
    return reached;
  }

  void find_ranks() {
    for (std::size_t round = 0; round < count(); ++round) {
      bool has_changed = false;
      for (const PlannedEdge& edge : plan_.edges) {
        if (edge.is_back) continue;
        const std::uint32_t rank = plan_.nodes[edge.to].rank + 1;
        if (plan_.nodes[edge.from].rank >= rank) continue;
        plan_.nodes[edge.from].rank = rank;
        has_changed = true;
      }
      if (!has_changed) break;
    }
  }

  void find_sources() {
    for (std::uint32_t n = 0; n < count(); ++n) {
      if (plan_.nodes[n].is_source || spec(n).is_loop) plan_.sources.push_back(n);
    }
    count_tells();
    for (PlannedNode& node : plan_.nodes) {
      const auto index = static_cast<std::uint32_t>(&node - plan_.nodes.data());
      if (!spec(index).options.per_source) continue;
      node.instances = std::max(1u, sources_into(index));
    }
  }

  // A result has the origin of its node's lead, so a source goes on only from the input that leads.
  void count_tells() {
    const std::size_t sources = plan_.sources.size();
    plan_.tells.assign(plan_.edges.size() * sources, 0);
    for (std::size_t s = 0; s < sources; ++s) {
      bool has_changed = true;
      for (std::size_t round = 0; has_changed && round <= 2 * count(); ++round) {
        has_changed = false;
        for (std::size_t e = 0; e < plan_.edges.size(); ++e) {
          std::uint32_t& tells = plan_.tells[e * sources + s];
          const std::uint32_t now = tells_from(plan_.edges[e].from, s);
          has_changed = has_changed || now != tells;
          tells = now;
        }
      }
      if (!plan_.nodes[plan_.sources[s]].is_source) continue;
      const auto reached = reachable(plan_.sources[s]);
      for (std::size_t n = 0; n < count(); ++n) {
        plan_.nodes[n].is_driven = plan_.nodes[n].is_driven || reached[n];
      }
    }
  }

  [[nodiscard]] std::uint32_t tells_from(std::uint32_t n, std::size_t source) const {
    const PlannedNode& node = plan_.nodes[n];
    const auto& inputs = spec(n).inputs;
    const auto required =
        std::ranges::find_if(inputs, [](const PortSpec& port) { return !port.is_optional; });
    const bool any_leads = required == inputs.end() && inputs.size() > 1;
    const auto lead = required == inputs.end() ? 0 : required - inputs.begin();
    std::uint64_t tells = plan_.sources[source] == n ? 1 : 0;
    for (std::uint32_t e = 0; e < plan_.edges.size(); ++e) {
      const PlannedEdge& edge = plan_.edges[e];
      if (edge.to != n || !plan_.edge_carries(e, static_cast<std::uint32_t>(source))) continue;
      if (!any_leads && edge.to_port != static_cast<std::uint32_t>(lead)) continue;
      tells += any_leads ? kUnknownTells : plan_.edge_tells(e, static_cast<std::uint32_t>(source));
    }
    if (tells != 0 && (node.is_in_cycle || tells > kMostTells)) return kUnknownTells;
    return static_cast<std::uint32_t>(tells);
  }

  [[nodiscard]] std::uint32_t sources_into(std::uint32_t node) const {
    std::uint32_t found = 0;
    for (std::uint32_t s = 0; s < plan_.sources.size(); ++s) {
      for (std::uint32_t e = 0; e < plan_.edges.size(); ++e) {
        if (plan_.edges[e].to != node || !plan_.edge_carries(e, s)) continue;
        ++found;
        break;
      }
    }
    return found;
  }

  [[nodiscard]] bool port_carries(const PlannedPort& port, std::uint32_t source) const {
    for (std::uint32_t i = 0; i < port.edge_count; ++i) {
      if (plan_.edge_carries(plan_.in_edges[port.first_edge + i], source)) return true;
    }
    return false;
  }

  // Inputs that share a source, directly or by others, are one group.
  void find_groups() {
    for (std::uint32_t n = 0; n < count(); ++n) {
      PlannedNode& node = plan_.nodes[n];
      std::vector<std::uint32_t> group(node.input_count);
      std::iota(group.begin(), group.end(), 0u);
      for (std::uint32_t s = 0; s < plan_.sources.size(); ++s) {
        std::uint32_t first = UINT32_MAX;
        for (std::uint32_t p = 0; p < node.input_count; ++p) {
          if (!port_carries(plan_.inputs[node.first_input + p], s)) continue;
          if (first == UINT32_MAX) first = group[p];
          std::ranges::replace(group, std::uint32_t{group[p]}, std::uint32_t{first});
        }
      }
      std::vector<std::uint32_t> known;
      for (std::uint32_t p = 0; p < node.input_count; ++p) {
        if (std::ranges::find(known, group[p]) == known.end()) known.push_back(group[p]);
        plan_.inputs[node.first_input + p].group =
            static_cast<std::uint32_t>(std::ranges::find(known, group[p]) - known.begin());
      }
      node.groups = static_cast<std::uint32_t>(known.size());
      const bool has_loop_input = std::ranges::any_of(plan_.edges, [&](const PlannedEdge& edge) {
        return edge.to == n && spec(edge.from).is_loop;
      });
      if (has_loop_input && node.input_count > 1 && !spec(n).options.is_join_set) {
        node.join = Join::position;
      }
    }
  }

  void find_gaps() {
    std::vector<bool> needs(count(), false);
    for (std::uint32_t n = 0; n < count(); ++n) {
      const PlannedNode& node = plan_.nodes[n];
      needs[n] = node.input_count > 1 && node.join == Join::origin;
    }
    for (std::size_t round = 0; round < count(); ++round) {
      for (PlannedEdge& edge : plan_.edges) {
        if (!needs[edge.to] || edge.is_back) continue;
        edge.carries_gaps = true;
        needs[edge.from] = true;
      }
    }
  }

  void find_kept_back() {
    for (std::uint32_t n = 0; n < count(); ++n) {
      const auto reached = reachable(n);
      const OperatorOptions& options = spec(n).options;
      const std::uint32_t instances = plan_.nodes[n].instances;
      const std::uint32_t kept =
          (options.batch > 1 ? static_cast<std::uint32_t>(options.batch) : 0) +
          (instances > 1 ? 2 * instances : 0);
      for (std::uint32_t to = 0; to < count(); ++to) {
        if (reached[to]) plan_.nodes[to].kept_back += kept;
      }
    }
  }

  [[nodiscard]] bool is_plain(std::uint32_t n) const {
    const NodeSpec& node = spec(n);
    const bool has_host = std::ranges::any_of(node.inputs, &PortSpec::is_host);
    return plan_.nodes[n].instances == 1 && node.options.batch == 1 && !has_host && !node.is_loop;
  }

  void find_chains() {
    for (std::uint32_t n = 0; n < count(); ++n) plan_.nodes[n].chain = n;
    if (streams_ != StreamPolicy::chain) return;
    std::vector<std::uint32_t> in(count(), 0);
    std::vector<std::uint32_t> out(count(), 0);
    for (const PlannedEdge& edge : plan_.edges) {
      ++in[edge.to];
      ++out[edge.from];
    }
    for (std::size_t round = 0; round < count(); ++round) {
      for (const PlannedEdge& edge : plan_.edges) {
        const PlannedNode& from = plan_.nodes[edge.from];
        PlannedNode& to = plan_.nodes[edge.to];
        const bool joins = in[edge.to] == 1 && out[edge.from] == 1 && from.home == to.home &&
                           is_plain(edge.from) && is_plain(edge.to);
        if (joins) to.chain = from.chain;
      }
    }
  }

  const Graph& graph_;
  const StreamPolicy streams_;
  Plan plan_;
};

}  // namespace

Plan compile(const Graph& graph, StreamPolicy streams) {
  return Compiler(graph, streams).compile();
}

}  // namespace penstock::graph
