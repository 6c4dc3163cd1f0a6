// The explicit form: a Python object with compute(inputs, outputs, context), and what these three
// are. With the GIL.
#pragma once

#include "pybridge/python_body.hpp"

namespace penstock::pybridge {

class ComputeBody final : public PythonBody {
 public:
  using PythonBody::PythonBody;
  void start(graph::Instance& instance) override;
  void stop() override;

  // What inputs, outputs and context do. Only while compute runs: StreamError or GraphError else.
  [[nodiscard]] nb::object receive(nb::handle port);
  [[nodiscard]] nb::list streams(nb::handle port);
  void send(nb::handle value, nb::handle port, nb::handle stream, bool give);
  void end();
  void set_number(std::uint64_t number);
  [[nodiscard]] nb::object stream();
  /// Of the operator's pool, if it has one.
  [[nodiscard]] nb::object extra_stream(const std::string& name);

 private:
  void call(graph::Activation& activation) override;
  [[nodiscard]] graph::Activation& running(const char* what) const;
  [[nodiscard]] graph::MessageRef staged(nb::handle value, std::uint32_t port, nb::handle stream,
                                         bool give) const;
  void release_streams();
  [[nodiscard]] std::size_t find(const std::vector<std::string>& ports, nb::handle name,
                                 const char* kind) const;

  nb::object inputs_;
  nb::object outputs_;
  nb::object context_;
  std::vector<std::size_t> received_;
  nb::object own_stream_;  // once it was asked for
  nb::dict pooled_;        // streams of the pool, by name
};

// The Python classes Inputs, Outputs, Context: handles on the body, which they outlive as dead
// ones.
struct ComputeHandle {
  ComputeBody* body = nullptr;
  /// GraphError once the run is over.
  [[nodiscard]] ComputeBody& get() const;
};
struct PyInputs : ComputeHandle {};
struct PyOutputs : ComputeHandle {};
struct PyContext : ComputeHandle {};

}  // namespace penstock::pybridge
