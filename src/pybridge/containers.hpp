// Penstock tensors inside of Python values. With the GIL.
#pragma once

#include "pybridge/importer.hpp"
#include "pybridge/python.hpp"
#include "pybridge/type_traits.hpp"

namespace penstock::pybridge {

/// A value that is no tensor itself and may hold some.
[[nodiscard]] inline bool is_container(nb::handle value) {
  return PyTuple_Check(value.ptr()) || PyList_Check(value.ptr()) || PyDict_Check(value.ptr()) ||
         is_image(value);
}

/// Calls body for every Penstock tensor in the value: itself, the planes of an Image, those in a
/// tuple, list or dict, four levels deep.
template <class Body>
void for_each_tensor(nb::handle value, Body&& body, int depth = 0) {
  constexpr int kDeepest = 4;
  if (const Tensor* tensor = own_tensor(value); tensor != nullptr) {
    body(*tensor);
  } else if (is_image(value)) {
    for_each_tensor(value.attr("planes"), body, depth + 1);
  } else if (depth < kDeepest && (PyTuple_Check(value.ptr()) || PyList_Check(value.ptr()))) {
    for (nb::handle item : value) for_each_tensor(item, body, depth + 1);
  } else if (depth < kDeepest && PyDict_Check(value.ptr())) {
    for (auto [key, item] : nb::borrow<nb::dict>(value)) for_each_tensor(item, body, depth + 1);
  }
}

}  // namespace penstock::pybridge
