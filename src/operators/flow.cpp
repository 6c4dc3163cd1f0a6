#include <penstock/flow.hpp>

#include "base/throw.hpp"
#include "graph/operator_body.hpp"
#include "operators/flow_node.hpp"
#include "operators/operators.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace penstock {
namespace detail {
namespace {

const std::string& shown_name(const graph::NodeSpec& spec) {
  return spec.options.name.empty() ? spec.kind : spec.options.name;
}

// Nodes before those that they lead to, each once.
class Builder {
 public:
  void visit(const std::shared_ptr<FlowNode>& node) {
    if (!numbers_.emplace(node.get(), -1).second) return;
    for (const FlowLink& link : node->links) visit(link.from);
    for (const auto& other : node->others) visit(other);
    if (node->spec) numbers_[node.get()] = graph_->add(*node->spec);
    for (const FlowNode::Back& back : node->backs) {
      const auto from = back.from.lock();
      if (!from) {
        throw_error<GraphError>(
            "{}: the flow that closed the cycle is gone; keep it until the run starts",
            shown_name(*node->spec));
      }
      backs_.push_back({from, node.get(), back.from_port});
      visit(from);
    }
    order_.push_back(node.get());
  }

  std::shared_ptr<graph::Graph> finish() {
    for (const FlowNode* node : order_) {
      for (const FlowLink& link : node->links) {
        graph_->connect(numbers_[link.from.get()], link.from_port, numbers_[node], link.to_port);
      }
    }
    for (const auto& [from, to, port] : backs_) {
      graph_->connect(numbers_[from.get()], port, numbers_[to], 0);
    }
    return graph_;
  }

 private:
  struct Back {
    std::shared_ptr<FlowNode> from;
    const FlowNode* to;
    int port;
  };
  std::shared_ptr<graph::Graph> graph_ = std::make_shared<graph::Graph>();
  std::map<const FlowNode*, int> numbers_;
  std::vector<const FlowNode*> order_;
  std::vector<Back> backs_;
};

int find_output(const FlowNode& node, std::string_view name) {
  const graph::NodeSpec* spec = node.spec.get();
  if (spec == nullptr) throw_error<GraphError>("flow: it has no output \"{}\"", name);
  return graph::resolve_port(*spec, "output", spec->outputs, name);
}

}  // namespace

FlowLink FlowAccess::link(const Flow& flow, int to_port) {
  const int port = flow.port_ >= 0 ? flow.port_ : find_output(*flow.node_, "");
  return {flow.node_, port, to_port};
}

Flow FlowAccess::connect(graph::NodeSpec spec, const std::vector<Flow>& inputs) {
  auto node = std::make_shared<FlowNode>();
  if (inputs.size() > spec.inputs.size()) {
    throw_error<GraphError>("{}: {} flows for its {} inputs", shown_name(spec), inputs.size(),
                            spec.inputs.size());
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    node->links.push_back(link(inputs[i], static_cast<int>(i)));
  }
  node->spec = std::make_shared<const graph::NodeSpec>(std::move(spec));
  return make(std::move(node));
}

std::shared_ptr<graph::Graph> build(const std::vector<Flow>& flows) {
  Builder builder;
  for (const Flow& flow : flows) builder.visit(FlowAccess::shared(flow));
  return builder.finish();
}

Op make_op(OperatorMaker maker, OperatorOptions options, std::vector<Setting> settings) {
  return Op(std::make_shared<const graph::NodeSpec>(
      graph::make_node(std::move(maker), std::move(options), std::move(settings))));
}

Flow make_loop(std::vector<Message> first) {
  std::vector<operators::MessageRef> messages;
  messages.reserve(first.size());
  for (Message& each : first) messages.push_back(operators::MessageRef::adopt(each.leak()));
  return FlowAccess::connect(operators::loop(std::move(messages)), {});
}

Flow make_route(const Flow& flow, std::function<int(const Message&)> output_of,
                const std::vector<Op>& cases, const std::optional<Op>& otherwise,
                OperatorOptions options) {
  const int count = static_cast<int>(cases.size());
  const bool has_rest = otherwise.has_value();
  auto choose = [output_of = std::move(output_of), count, has_rest](MessageData& data) {
    data.retain();
    const int output = output_of(Message(&data));
    return output < 0 && has_rest ? count : output;
  };
  graph::note_given(options);
  const Flow routed = FlowAccess::connect(
      operators::route(std::move(choose), count + (has_rest ? 1 : 0), std::move(options)), {flow});
  std::vector<Flow> results;
  std::vector<Flow> sinks;
  const auto add = [&](const Op& consumer, int output) {
    Flow result = consumer.connect({FlowAccess::make(FlowAccess::shared(routed), output)});
    const bool has_output = !FlowAccess::spec(consumer)->outputs.empty();
    (has_output ? results : sinks).push_back(std::move(result));
  };
  for (int i = 0; i < count; ++i) add(cases[static_cast<std::size_t>(i)], i);
  if (has_rest) add(*otherwise, count);
  const Flow mixed =
      results.empty() ? FlowAccess::make(std::make_shared<FlowNode>()) : merge(results);
  for (const Flow& sink : sinks) {
    FlowAccess::node(mixed).others.push_back(FlowAccess::shared(sink));
  }
  return mixed;
}

}  // namespace detail

using detail::FlowAccess;

Flow::Flow(std::shared_ptr<detail::FlowNode> node, int port)
    : node_(std::move(node)), port_(port) {}

Flow Flow::operator[](std::string_view output) const {
  return {node_, detail::find_output(*node_, output)};
}

Flow Flow::operator[](std::size_t output) const {
  const std::size_t count = node_->spec ? node_->spec->outputs.size() : 0;
  if (output >= count) {
    throw_error<GraphError>("flow: output {} of {}; they count from 0", output, count);
  }
  return {node_, static_cast<int>(output)};
}

Flow Op::connect(const std::vector<Flow>& inputs) const {
  return FlowAccess::connect(*node_, inputs);
}

Flow operator>>(const Flow& flow, const Flow& loop) {
  detail::FlowNode& node = FlowAccess::node(loop);
  if (!node.spec || !node.spec->is_loop) {
    throw_error<GraphError>(
        "flow: the right side of >> is a flow, but no loop(); only a loop takes messages back");
  }
  const detail::FlowLink link = FlowAccess::link(flow, 0);
  node.backs.push_back({link.from, link.from_port});
  return flow;
}

Flow merge(const std::vector<Flow>& flows, OperatorOptions options) {
  if (flows.empty()) throw_error<GraphError>("merge: there are no flows");
  graph::note_given(options);
  Flow merged = FlowAccess::connect(operators::merge(std::move(options)), {});
  for (const Flow& flow : flows) {
    FlowAccess::node(merged).links.push_back(FlowAccess::link(flow, 0));
  }
  return merged;
}

Flow probe(const Flow& flow, const ProbeOptions& options) {
  OperatorOptions words;
  words.name = options.name;
  return FlowAccess::connect(operators::probe(options.values, options.print, std::move(words)),
                             {flow});
}

Flow synthetic(const SyntheticOptions& options) {
  OperatorOptions words;
  words.name = options.name;
  words.count = options.count;
  return FlowAccess::connect(
      operators::synthetic(options.height, options.width, options.fps, std::move(words)), {});
}

}  // namespace penstock
