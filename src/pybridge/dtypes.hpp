// Element types as Python objects: NumPy's, those of ml_dtypes if it can be imported, else ours.
// NumPy is imported at the first use. With the GIL.
#pragma once

#include <penstock/dtype.hpp>

#include "pybridge/python.hpp"

namespace penstock::pybridge {

[[nodiscard]] nb::object dtype_object(Dtype dtype);
/// Reads a NumPy dtype or scalar type, a Python type, a name, a dtype of ml_dtypes or of ours.
[[nodiscard]] Dtype dtype_from_object(nb::handle object);
[[nodiscard]] bool is_numpy_dtype(nb::handle object);

}  // namespace penstock::pybridge
