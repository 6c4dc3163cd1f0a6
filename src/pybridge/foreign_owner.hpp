// What keeps imported memory alive: a DLPack struct, a Python object or a buffer, and the user's
// on_release. Its end runs with the GIL, by the retire list.
#pragma once

#include <penstock/dlpack.hpp>
#include <penstock/tensor.hpp>

#include "pybridge/python.hpp"

#include <memory>

namespace penstock::pybridge {

class ForeignOwner {
 public:
  ForeignOwner() = default;
  ForeignOwner(const ForeignOwner&) = delete;
  ForeignOwner& operator=(const ForeignOwner&) = delete;
  virtual ~ForeignOwner();

  /// For Tensor's import, which takes the object over once it accepted the array.
  [[nodiscard]] Owner owner() { return {&ForeignOwner::release, this}; }
  void set_on_release(nb::handle callable);
  /// The array was refused: what was kept stays the producer's, nothing is called.
  virtual void abandon() = 0;

 protected:
  void forget_on_release() { Py_CLEAR(on_release_); }

 private:
  static void release(void* context);
  PyObject* on_release_ = nullptr;
};

/// Keeps a Python object.
[[nodiscard]] std::unique_ptr<ForeignOwner> keep_object(nb::handle object, nb::handle on_release);
/// Keeps a DLPack struct and calls its deleter, if it has one.
[[nodiscard]] std::unique_ptr<ForeignOwner> keep_managed(dlpack::ManagedVersioned* managed,
                                                         nb::handle on_release);
[[nodiscard]] std::unique_ptr<ForeignOwner> keep_managed(dlpack::Managed* managed,
                                                         nb::handle on_release);
/// Keeps a buffer that was got from the exporter, and releases it.
[[nodiscard]] std::unique_ptr<ForeignOwner> keep_buffer(const Py_buffer& buffer,
                                                        nb::handle on_release);

}  // namespace penstock::pybridge
