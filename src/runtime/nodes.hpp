// The two kinds of nodes.
#pragma once

#include "runtime/node.hpp"

#include <cstdint>
#include <memory>

namespace penstock::runtime {

/// One instance: works on its executor.
[[nodiscard]] std::unique_ptr<Node> make_single_node(RunState& run, std::uint32_t index);
/// Several, or one for each source: works wherever it is notified.
[[nodiscard]] std::unique_ptr<Node> make_many_node(RunState& run, std::uint32_t index);

}  // namespace penstock::runtime
