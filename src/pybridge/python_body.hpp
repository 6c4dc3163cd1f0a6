// Operators written in Python, as bodies of the runtime. They live on lanes: every call is made
// with the GIL.
#pragma once

#include "graph/body.hpp"
#include "pybridge/py_message.hpp"
#include "pybridge/python.hpp"
#include "runtime/runner.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::pybridge {

enum class BodyKind : std::uint8_t {
  call,     // a callable: inputs are its arguments, what it returns is emitted
  expand,   // the same, but it returns an iterable: each item is emitted
  iterate,  // an iterable: each item is emitted
  compute,  // an object with compute(inputs, outputs, context)
};

/// What all instances of a Python operator share.
struct PythonNode {
  BodyKind kind = BodyKind::call;
  std::string name;
  /// make(instance) gives the callable, iterable or object; or a tuple of it and what is called at
  /// the end.
  PyRef make;
  PyRef ready;        // may be empty
  PyRef stream_pool;  // may be empty
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<bool> is_list;      // inputs that come as lists
  std::vector<bool> is_any_size;  // inputs that come as tuples
  bool is_batch = false;
  // Outputs where C++ needs other libraries' arrays as tensors; known when the graph is complete.
  std::vector<bool> wraps_arrays;
  std::vector<std::string> sources;  // names, by the number that origins have
};

class PythonBody : public graph::Body {
 public:
  explicit PythonBody(std::shared_ptr<const PythonNode> node) : node_(std::move(node)) {}
  ~PythonBody() override;

  void start(graph::Instance& instance) override;
  void run(graph::Activation& activation) override;
  void stop() override;
  [[nodiscard]] bool ready() override;
  [[nodiscard]] bool may_write(const MessageData& message) override;
  [[nodiscard]] graph::MessageRef copy(const MessageData& message) override;

  /// The one whose body the calling thread is in.
  [[nodiscard]] static PythonBody* current();
  [[nodiscard]] nb::object message();
  [[nodiscard]] const PythonNode& node() const { return *node_; }
  [[nodiscard]] runtime::Runner& runner() const { return *runner_; }
  [[nodiscard]] graph::Activation* activation() const { return activation_; }

 protected:
  /// Emits one value for an item of the activation. None emits nothing.
  void emit(std::uint32_t port, nb::handle value, std::size_t item);
  virtual void call(graph::Activation& activation);
  virtual void made(nb::object object) { object_ = std::move(object); }
  [[nodiscard]] nb::object argument(const graph::Activation& activation, std::size_t port) const;

  std::shared_ptr<const PythonNode> node_;
  nb::object object_;

 private:
  void call_on_device(graph::Activation& activation);
  void emit_result(graph::Activation& activation, nb::handle result);
  void emit_outputs(nb::handle result, std::size_t item);
  void emit_batch(graph::Activation& activation, nb::handle result);
  [[nodiscard]] nb::object call_with_arguments(const graph::Activation& activation);

  nb::object close_;
  runtime::Runner* runner_ = nullptr;
  graph::Activation* activation_ = nullptr;
  nb::object message_;
  std::vector<Stream> open_blocks_;  // `with stream:` around a yield
  bool is_made_ = false;
};

class PythonFactory final : public graph::BodyFactory {
 public:
  explicit PythonFactory(std::shared_ptr<PythonNode> node) : node_(std::move(node)) {}
  [[nodiscard]] std::unique_ptr<graph::Body> make(int instance) override;
  [[nodiscard]] graph::Home home() const override { return graph::Home::lane; }
  [[nodiscard]] bool has_ready() const override { return static_cast<bool>(node_->ready); }
  [[nodiscard]] bool is_fatal(const std::exception_ptr& error) const override;
  [[nodiscard]] PythonNode& node() const { return *node_; }

 private:
  std::shared_ptr<PythonNode> node_;
};

}  // namespace penstock::pybridge
