// Python's and nanobind's headers, and an owned reference that may be let go on any thread.
#pragma once

#include <Python.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include "pybridge/gil.hpp"
#include "pybridge/retire.hpp"

#include <utility>

namespace penstock::pybridge {

namespace nb = nanobind;

/// An owned Python object. Made with the GIL; dropped anywhere: the last reference goes through the
/// retire list.
class PyRef {
 public:
  PyRef() = default;
  /// Takes over a reference; may be nullptr.
  [[nodiscard]] static PyRef steal(PyObject* object) {
    PyRef ref;
    ref.object_ = object;
    return ref;
  }
  [[nodiscard]] static PyRef borrow(PyObject* object) {
    Py_XINCREF(object);
    return steal(object);
  }
  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef& operator=(PyRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  PyRef(const PyRef&) = delete;
  ~PyRef() {
    if (object_ != nullptr) retire(object_);
  }

  [[nodiscard]] PyObject* get() const { return object_; }
  [[nodiscard]] PyObject* leak() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

}  // namespace penstock::pybridge
