#include "bind.hpp"
#include "pybridge/failure.hpp"

#include <penstock/version.hpp>

NB_MODULE(_core, module) {
  using namespace penstock::pybridge;
  nb::set_leak_warnings(false);  // daemon threads may hold objects when the interpreter goes
  module.attr("__version__") = penstock::version();
  register_failures();
  bind_tensor(module);
  bind_stream(module);
  bind_memory(module);
  bind_ops(module);
  bind_run(module);
  bind_graph(module);
  bind_operators(module);
  bind_image_nodes(module);
  bind_warp(module);
  bind_runtime(module);
}
