// The imaging operations as operators: tensors in, tensors out, computed by the worker that runs
// them. A message may be a tensor or, where a function takes planes, a tuple of them.
#pragma once

#include "graph/graph.hpp"

#include <penstock/ops.hpp>

#include <optional>
#include <string>

namespace penstock::operators {

[[nodiscard]] graph::NodeSpec resize(Size size, std::string interp, OperatorOptions options = {});

/// Without `matrix` or `range` those in the message's metadata count, then BT.601, limited. An
/// empty `src_format` is the metadata's "format"; what is `dst_format` already goes on as it is.
[[nodiscard]] graph::NodeSpec cvt_color(std::string src_format, std::string dst_format,
                                        std::optional<std::string> matrix,
                                        std::optional<std::string> range,
                                        OperatorOptions options = {});

}  // namespace penstock::operators
