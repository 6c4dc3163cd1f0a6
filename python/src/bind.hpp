// One function for each binding file.
#pragma once

#include "pybridge/python.hpp"

namespace penstock::pybridge {

void bind_tensor(nb::module_& module);
void bind_stream(nb::module_& module);
void bind_memory(nb::module_& module);
void bind_ops(nb::module_& module);
void bind_runtime(nb::module_& module);

}  // namespace penstock::pybridge
