// merge, route and loop: the operators that choose who gets a message.
#include "base/throw.hpp"
#include "operators/operators.hpp"

#include <memory>
#include <utility>

namespace penstock::operators {
namespace {

class PassBody final : public graph::Body {
 public:
  void run(graph::Activation& activation) override {
    for (std::size_t i = 0; i < activation.items(); ++i) {
      activation.emit(0, activation.port(0)[i], i);
    }
  }
};

class RouteBody final : public graph::Body {
 public:
  RouteBody(std::function<int(MessageData&)> output_of, int outputs)
      : output_of_(std::move(output_of)), outputs_(outputs) {}

  void run(graph::Activation& activation) override {
    for (std::size_t i = 0; i < activation.items(); ++i) {
      const MessageRef& message = activation.port(0)[i];
      const int output = output_of_(*message);
      if (output < 0 || output >= outputs_) {
        ++activation.unmatched;
      } else {
        activation.emit(static_cast<std::uint32_t>(output), message, i);
      }
    }
  }

 private:
  const std::function<int(MessageData&)> output_of_;
  const int outputs_;
};

class LoopBody final : public graph::Body {
 public:
  explicit LoopBody(std::vector<MessageRef> first) : first_(std::move(first)) {}

  void run(graph::Activation& activation) override {
    if (!activation.is_source) {
      activation.emit(0, activation.port(0).front());
      return;
    }
    if (next_ < first_.size()) {
      activation.emit(0, MessageData::share(*first_[next_]));
      ++next_;
    }
    if (next_ == first_.size()) activation.end();
  }

 private:
  const std::vector<MessageRef> first_;
  std::size_t next_ = 0;
};

graph::NodeSpec node(const char* kind, OperatorOptions options, BodyMaker::Make make,
                     graph::Home home = graph::Home::pool) {
  graph::NodeSpec spec;
  spec.kind = kind;
  spec.options = std::move(options);
  spec.factory = std::make_shared<BodyMaker>(std::move(make), home);
  spec.inputs.push_back(port("in"));
  return spec;
}

}  // namespace

graph::NodeSpec merge(OperatorOptions options) {
  graph::NodeSpec spec =
      node("merge", std::move(options), [] { return std::make_unique<PassBody>(); });
  spec.outputs.push_back(port("out"));
  return spec;
}

graph::NodeSpec route(std::function<int(MessageData&)> output_of, int outputs,
                      OperatorOptions options, graph::Home home) {
  if (outputs < 1) throw_error<GraphError>("route: it has no outputs; give it at least one case");
  graph::NodeSpec spec = node(
      "route", std::move(options),
      [output_of = std::move(output_of), outputs] {
        return std::make_unique<RouteBody>(output_of, outputs);
      },
      home);
  spec.is_route = true;
  for (int i = 0; i < outputs; ++i) spec.outputs.push_back(port(fmt::format("out{}", i)));
  return spec;
}

graph::NodeSpec loop(std::vector<MessageRef> first, OperatorOptions options) {
  if (first.empty()) {
    throw_error<GraphError>("loop: it has no first message, so its cycle would never begin");
  }
  graph::NodeSpec spec = node("loop", std::move(options), [first = std::move(first)] {
    return std::make_unique<LoopBody>(first);
  });
  spec.is_loop = true;
  spec.inputs.front().is_optional = true;
  spec.outputs.push_back(port("out"));
  return spec;
}

}  // namespace penstock::operators
