// An Operator as a graph's node: the body that calls it, and the factory that makes one object for
// each instance. The object that showed the ports serves as the first instance's of the first run.
#pragma once

#include <penstock/operator.hpp>

#include "graph/graph.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace penstock::graph {

class OperatorBody final : public Body {
 public:
  /// The ports outlive the body.
  OperatorBody(std::unique_ptr<Operator> made, const std::vector<PortSpec>& inputs,
               const std::vector<PortSpec>& outputs, bool is_batch);

  void start(Instance& instance) override;
  void run(Activation& activation) override;
  void stop() override;
  [[nodiscard]] bool ready() override { return operator_->ready(); }

 private:
  void check_batch(const Activation& activation) const;

  std::unique_ptr<Operator> operator_;
  Inputs inputs_;
  Outputs outputs_;
  Context context_;
};

class OperatorFactory final : public BodyFactory {
 public:
  OperatorFactory(detail::OperatorMaker maker, std::string name, std::vector<Setting> settings,
                  bool is_batch);

  [[nodiscard]] std::unique_ptr<Body> make(int instance) override;
  [[nodiscard]] bool has_ready() const override { return maker_.has_ready; }
  [[nodiscard]] const std::vector<PortSpec>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<PortSpec>& outputs() const { return outputs_; }

 private:
  [[nodiscard]] std::pair<std::unique_ptr<Operator>, Spec> set_up() const;

  const detail::OperatorMaker maker_;
  const std::string name_;
  const std::vector<Setting> settings_;
  const bool is_batch_;
  std::vector<PortSpec> inputs_;
  std::vector<PortSpec> outputs_;
  std::mutex mutex_;
  std::unique_ptr<Operator> first_;
};

/// Makes an object, asks it for its ports, and checks the settings. GraphError.
[[nodiscard]] NodeSpec make_node(detail::OperatorMaker maker, OperatorOptions options,
                                 std::vector<Setting> settings);
/// Words that were given without saying so count as said.
void note_given(OperatorOptions& options);

}  // namespace penstock::graph
