// Element types as NumPy's type strings ("<f4") and as the buffer protocol's formats ("f").
#pragma once

#include <penstock/dtype.hpp>

#include <string>
#include <string_view>

namespace penstock::pybridge {

/// TensorError that names what is not accepted; `where` begins the message.
[[nodiscard]] Dtype dtype_from_typestr(const char* where, std::string_view typestr);
/// The same, as an ExchangeError.
[[nodiscard]] Dtype dtype_from_format(std::string_view format, std::int64_t itemsize);

/// Empty for types that NumPy lacks.
[[nodiscard]] std::string typestr_of(Dtype dtype);
/// nullptr for types that the buffer protocol lacks.
[[nodiscard]] const char* format_of(Dtype dtype);

}  // namespace penstock::pybridge
