// Exceptions between the two sides. A Python exception crosses C++ as a PythonFailure, which may be
// dropped on any thread, and comes out as itself; ours come out as the Python classes of their
// names.
#pragma once

#include <penstock/error.hpp>

#include "pybridge/python.hpp"

#include <exception>
#include <memory>

namespace penstock::pybridge {

/// A Python exception on its way through C++.
class PythonFailure : public Error {
 public:
  explicit PythonFailure(PyRef exception);
  [[nodiscard]] PyObject* exception() const { return exception_->get(); }
  /// A device fault or no memory: no on_error passes over it. With the GIL.
  [[nodiscard]] bool is_fatal() const;

 private:
  std::shared_ptr<PyRef> exception_;
};

/// The exception that is set in this thread, taken. With the GIL.
[[nodiscard]] PyRef take_python_error();
/// The Python exception for a C++ one. With the GIL.
[[nodiscard]] nb::object exception_object(const std::exception_ptr& error);
/// Sets the Python exception for a C++ one. With the GIL.
void set_python_error(const std::exception_ptr& error);
/// Lets nanobind translate all of ours.
void register_failures();

}  // namespace penstock::pybridge
