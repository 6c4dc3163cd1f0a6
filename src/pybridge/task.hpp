// A Python function in stream order.
#pragma once

#include "backend/backend.hpp"
#include "order/stream.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/py_tensor.hpp"

#include <memory>

namespace penstock::pybridge {

class PythonTask final : public backend::HostTask {
 public:
  PythonTask(PyRef function, PyRef arguments, PyRef keywords, Ref<order::Stream> stream,
             std::shared_ptr<LaunchResult> result);

  /// Takes the GIL. Tensors that the function returns count as written by this task.
  void run() override;
  void skip(const std::exception_ptr& error) override { result_->skipped = error; }
  [[nodiscard]] backend::Lane* lane() const override { return &PythonLane::instance(); }

 private:
  void note_results(nb::handle value);

  PyRef function_;
  PyRef arguments_;
  PyRef keywords_;
  Ref<order::Stream> stream_;
  std::shared_ptr<LaunchResult> result_;
};

/// Queues `function(*arguments, **keywords)` after the points of all tensors among them.
[[nodiscard]] PyEvent launch(order::Stream& stream, nb::handle function, nb::tuple arguments,
                             nb::handle writes, nb::dict keywords);

}  // namespace penstock::pybridge
