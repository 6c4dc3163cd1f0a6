// The operators that know nothing of the values they pass on: each a NodeSpec, ready for a graph,
// for whatever language the messages come from. What a message refers to goes on as it is.
#pragma once

#include "graph/graph.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace penstock::operators {

using graph::MessageRef;

/// Body that is made by a function: for factories that need no more.
class BodyMaker final : public graph::BodyFactory {
 public:
  using Make = std::function<std::unique_ptr<graph::Body>()>;
  explicit BodyMaker(Make make, graph::Home home = graph::Home::pool)
      : make_(std::move(make)), home_(home) {}
  [[nodiscard]] std::unique_ptr<graph::Body> make(int) override { return make_(); }
  [[nodiscard]] graph::Home home() const override { return home_; }

 private:
  Make make_;
  graph::Home home_;
};

/// "in" -> "out": connect all senders to its one input; it passes on what comes, one of each sender
/// in turn.
[[nodiscard]] graph::NodeSpec merge(OperatorOptions options = {});

/// "in" -> "out0" … : each message to the output that `output_of` gives for it; any other number
/// counts as `unmatched` and drops it. Called on `home`, by one thread at a time.
[[nodiscard]] graph::NodeSpec route(std::function<int(MessageData&)> output_of, int outputs,
                                    OperatorOptions options = {},
                                    graph::Home home = graph::Home::pool);

/// "in" (optional) -> "out": gives these first, one for each number, then passes on what comes.
[[nodiscard]] graph::NodeSpec loop(std::vector<MessageRef> first, OperatorOptions options = {});

/// "in" -> "out": passes on what comes when its work is complete, and prints a line of it.
/// `print` takes a line without its end, on a worker; stdout if empty.
[[nodiscard]] graph::NodeSpec probe(int values, std::function<void(const std::string&)> print,
                                    OperatorOptions options = {});
/// The line that a probe prints of a message, after "name #number: ". The work is complete.
[[nodiscard]] std::string describe(const MessageData& message, int values);

/// "out": u8 HWC frames of 3 channels on the run's device; pixel (y, x) of frame n is (x + 4 n,
/// y + 2 n, x ^ y) modulo 256. Its `count` and `every_ms` are those of the options.
[[nodiscard]] graph::NodeSpec synthetic(std::int64_t height, std::int64_t width, double fps,
                                        OperatorOptions options = {});

/// A port of that name.
[[nodiscard]] inline PortSpec port(std::string name) {
  PortSpec spec;
  spec.name = std::move(name);
  return spec;
}

}  // namespace penstock::operators
