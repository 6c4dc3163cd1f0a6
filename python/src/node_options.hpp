// The words of operators and ports, from Python dicts.
#pragma once

#include <penstock/options.hpp>

#include "pybridge/python.hpp"

#include <functional>
#include <string>
#include <vector>

namespace penstock::pybridge {

using OnErrorCall = std::function<void(const std::exception_ptr&, const Message&)>;

/// GraphError that names the operator and the word for a value that does not fit.
[[nodiscard]] OperatorOptions options_from(nb::dict words);
[[nodiscard]] std::vector<PortSpec> ports_from(nb::list ports);
/// "raise", "skip", "restart", "end" or a callable (exc, message).
[[nodiscard]] OnError on_error_from(nb::handle word, OnErrorCall& call);
[[nodiscard]] StreamPolicy streams_from(nb::handle word);

}  // namespace penstock::pybridge
