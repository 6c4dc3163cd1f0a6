// Between the public words of a run and the runtime's own. Functions of plain values.
#pragma once

#include <penstock/run.hpp>

#include "runtime/run.hpp"

namespace penstock::runtime {

[[nodiscard]] RunOptions from_public(const penstock::RunOptions& options);
[[nodiscard]] penstock::RunStats to_public(const RunStats& stats);

}  // namespace penstock::runtime
