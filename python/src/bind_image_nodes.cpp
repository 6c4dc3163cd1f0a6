// The imaging operations as nodes of a graph.
#include "arguments.hpp"
#include "bind.hpp"
#include "node_spec.hpp"
#include "operators/imaging.hpp"

#include <nanobind/stl/optional.h>

#include <utility>

namespace penstock::pybridge {

void bind_image_nodes(nb::module_& module) {
  module.def("_resize_node", [](std::int64_t height, std::int64_t width, std::string interp) {
    return PyNodeSpec{operators::resize({height, width}, std::move(interp))};
  });
  module.def(
      "_cvt_color_node",
      [](std::string src_format, std::string dst_format, std::optional<std::string> matrix,
         std::optional<std::string> range) {
        return PyNodeSpec{operators::cvt_color(std::move(src_format), std::move(dst_format),
                                               std::move(matrix), std::move(range))};
      },
      nb::arg("src_format"), nb::arg("dst_format"), nb::arg("matrix").none(),
      nb::arg("range").none());
}

}  // namespace penstock::pybridge
