#include "graph/operator_body.hpp"

#include "base/throw.hpp"

#include <algorithm>

namespace penstock::graph {

OperatorBody::OperatorBody(std::unique_ptr<Operator> made, const std::vector<PortSpec>& inputs,
                           const std::vector<PortSpec>& outputs, bool is_batch)
    : operator_(std::move(made)) {
  inputs_.ports_ = &inputs;
  inputs_.next_.resize(inputs.size());
  outputs_.ports_ = &outputs;
  outputs_.next_.resize(outputs.size());
  outputs_.is_batch_ = is_batch;
}

void OperatorBody::start(Instance& instance) {
  context_.instance_ = &instance;
  inputs_.name_ = &instance.name();
  outputs_.name_ = &instance.name();
  operator_->context_ = &context_;
  operator_->start();
}

void OperatorBody::run(Activation& activation) {
  std::ranges::fill(inputs_.next_, 0);
  if (outputs_.is_batch_) std::ranges::fill(outputs_.next_, 0);
  inputs_.activation_ = &activation;
  outputs_.activation_ = &activation;
  outputs_.stream_ = context_.stream_ ? &*context_.stream_ : nullptr;
  struct Reset {
    Context* context;
    ~Reset() { context->activation_ = nullptr; }
  } const reset{&context_};
  context_.activation_ = &activation;
  operator_->compute(inputs_, outputs_, context_);
  if (outputs_.is_batch_) check_batch(activation);
}

// A port that says nothing at all has nothing for any of them.
void OperatorBody::check_batch(const Activation& activation) const {
  for (std::size_t p = 0; p < outputs_.next_.size(); ++p) {
    const std::size_t count = outputs_.next_[p];
    if (count == 0 || count == activation.items()) continue;
    throw_error<GraphError>(
        "{}: {} results on \"{}\" for a batch of {}; emit one for each item, or skip() it",
        *outputs_.name_, count, (*outputs_.ports_)[p].name, activation.items());
  }
}

void OperatorBody::stop() {
  struct Reset {
    Operator* made;
    ~Reset() { made->context_ = nullptr; }
  } const reset{operator_.get()};
  operator_->stop();
}

OperatorFactory::OperatorFactory(detail::OperatorMaker maker, std::string name,
                                 std::vector<Setting> settings, bool is_batch)
    : maker_(std::move(maker)),
      name_(std::move(name)),
      settings_(std::move(settings)),
      is_batch_(is_batch) {
  auto [made, spec] = set_up();
  spec.check_all_read();
  inputs_.assign(spec.inputs().begin(), spec.inputs().end());
  outputs_.assign(spec.outputs().begin(), spec.outputs().end());
  first_ = std::move(made);
}

std::pair<std::unique_ptr<Operator>, Spec> OperatorFactory::set_up() const {
  Spec spec(name_, settings_);
  auto made = maker_.make();
  made->setup(spec);
  return {std::move(made), std::move(spec)};
}

std::unique_ptr<Body> OperatorFactory::make(int instance) {
  std::unique_ptr<Operator> made;
  if (instance == 0) {
    const std::lock_guard guard(mutex_);
    made = std::move(first_);
  }
  if (!made) made = set_up().first;
  return std::make_unique<OperatorBody>(std::move(made), inputs_, outputs_, is_batch_);
}

void note_given(OperatorOptions& options) {
  if (options.on_error_call) options.on_error = OnError::call;
  if (options.on_error != OnError::raise) options.is_on_error_set = true;
  if (options.within_ms > 0) options.join = Join::within;
  if (options.join != Join::origin) options.is_join_set = true;
}

NodeSpec make_node(detail::OperatorMaker maker, OperatorOptions options,
                   std::vector<Setting> settings) {
  NodeSpec node;
  note_given(options);
  node.kind = maker.kind;
  const std::string name = options.name.empty() ? maker.kind : options.name;
  auto factory = std::make_shared<OperatorFactory>(std::move(maker), name, std::move(settings),
                                                   options.batch > 1);
  node.inputs = factory->inputs();
  node.outputs = factory->outputs();
  node.options = std::move(options);
  node.factory = std::move(factory);
  return node;
}

}  // namespace penstock::graph
