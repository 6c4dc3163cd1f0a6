// One function for each binding file.
#pragma once

#include "pybridge/py_tensor.hpp"

namespace penstock::pybridge {

void bind_tensor(nb::module_& module);
/// The part of it that copies, moves and speaks other libraries' protocols.
void bind_tensor_exchange(nb::module_& module, nb::class_<PyTensor>& tensor);
void bind_stream(nb::module_& module);
void bind_memory(nb::module_& module);
void bind_ops(nb::module_& module);
void bind_warp(nb::module_& module);
void bind_graph(nb::module_& module);
void bind_run(nb::module_& module);
void bind_operators(nb::module_& module);
void bind_image_nodes(nb::module_& module);
void bind_runtime(nb::module_& module);

}  // namespace penstock::pybridge
