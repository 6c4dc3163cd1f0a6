// NumPy's basic indexing on tensors: integers, slices, Ellipsis and None.
#pragma once

#include <penstock/tensor.hpp>

#include "pybridge/python.hpp"

namespace penstock::pybridge {

/// A view. IndexError for what is outside, ArgumentTypeError for other kinds of index.
[[nodiscard]] Tensor index_tensor(const Tensor& tensor, nb::handle index);

}  // namespace penstock::pybridge
