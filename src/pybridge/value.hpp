// Messages that hold Python objects, and messages' values as Python objects. With the GIL, but for
// dropping them.
#pragma once

#include "graph/message_data.hpp"
#include "pybridge/python.hpp"

#include <optional>
#include <vector>

namespace penstock::pybridge {

/// The Python object of a message, and what the runtime has to order of it.
struct PyValue {
  PyObject* object;     // owned
  TensorData* tensor;   // owned; a view of the object, if it is an array that C++ needs as one
  PyObject* container;  // borrowed: the object, if it may hold Penstock tensors
  std::vector<Tensor>* tensors;  // owned; those in the container, if C++ needs them
};

/// `for_cpp`: some consumer is C++, so an array is wrapped now, while there is a GIL.
[[nodiscard]] Ref<MessageData> message_of(nb::handle object, bool for_cpp);
/// The value as a Python object: itself, a penstock.Tensor, a number or a string.
/// ArgumentTypeError for a C++ type that Python has nothing for.
[[nodiscard]] nb::object object_of(const MessageData& message);
/// The Python object behind a message, nullptr if it holds a C++ value.
[[nodiscard]] PyObject* own_object(const MessageData& message);

/// An array of another library as a tensor, if it is one.
[[nodiscard]] std::optional<Tensor> as_array(nb::handle object);
/// False for what is known to be on the host alone: numbers, strings, NumPy's arrays.
[[nodiscard]] bool may_be_on_device(const MessageData& message);

}  // namespace penstock::pybridge
