// The C++ objects behind the Python classes.
#pragma once

#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>

#include "order/point.hpp"
#include "pybridge/python.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace penstock::pybridge {

/// penstock.Tensor. Dropped with the GIL, so that an owner behind it goes at once if it can.
class PyTensor {
 public:
  explicit PyTensor(Tensor tensor) : tensor_(std::move(tensor)) {}
  PyTensor(PyTensor&&) = default;
  PyTensor& operator=(PyTensor&&) = delete;
  ~PyTensor() {
    const RetireHere scope;
    tensor_.reset();
  }
  [[nodiscard]] const Tensor& get() const { return *tensor_; }

 private:
  std::optional<Tensor> tensor_;
};

/// What a launch gave back: a value or an exception, once its event is complete.
struct LaunchResult {
  PyRef value;
  PyRef exception;
  std::exception_ptr skipped;
  order::Point point;  // when it is there
};

/// penstock.Event.
struct PyEvent {
  PyEvent(Event made, std::shared_ptr<LaunchResult> value)
      : event(std::move(made)), result(std::move(value)) {}
  PyEvent(PyEvent&&) = default;
  PyEvent& operator=(PyEvent&&) = delete;
  ~PyEvent() {
    const RetireHere scope;
    result.reset();
  }

  Event event;
  std::shared_ptr<LaunchResult> result;
};

}  // namespace penstock::pybridge
