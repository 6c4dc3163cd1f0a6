// The words of operators and ports, from Python dicts.
#pragma once

#include <penstock/options.hpp>

#include "pybridge/python.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock::pybridge {

/// Names of a graph's sources, by the number that origins have; filled when it starts.
using SourceNames = std::shared_ptr<std::vector<std::string>>;
using OnErrorCall = std::function<void(const std::exception_ptr&, const Message&)>;

/// GraphError that names the operator and the word for a value that does not fit.
[[nodiscard]] OperatorOptions options_from(nb::dict words, const SourceNames& sources);
[[nodiscard]] std::vector<PortSpec> ports_from(nb::list ports);
/// "raise", "skip", "restart", "end" or a callable (exc, message).
[[nodiscard]] OnError on_error_from(nb::handle word, OnErrorCall& call, const SourceNames& sources);
[[nodiscard]] StreamPolicy streams_from(nb::handle word);

}  // namespace penstock::pybridge
