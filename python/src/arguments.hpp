// Python arguments as C++ values.
#pragma once

#include <penstock/penstock.hpp>

#include "pybridge/python.hpp"
#include "pybridge/stream_objects.hpp"

#include <optional>

namespace penstock::pybridge {

/// An integer, or what has `__index__`. `what` names it in messages: ArgumentTypeError for
/// something else, TensorError for what 64 bits can't hold.
[[nodiscard]] std::int64_t integer_from(nb::handle object, const char* what);
/// A shape from an int or a sequence of ints.
[[nodiscard]] Shape shape_from(nb::handle object);
[[nodiscard]] Layout layout_from(nb::handle object);
/// None: that of the current stream, else the first GPU, else the CPU. A string, a device of
/// another library, or anything with such a `.device`.
[[nodiscard]] Device device_from(nb::handle object);
/// The Device object for a device.
[[nodiscard]] nb::object device_object(Device device);
/// A tensor, or anything that as_tensor takes; `op` and `argument` name it in messages.
[[nodiscard]] Tensor tensor_from(nb::handle object, const char* op, const char* argument);

}  // namespace penstock::pybridge
