// warp_affine and draw_boxes, called and as nodes.
#include "base/throw.hpp"
#include "bind.hpp"
#include "node_spec.hpp"
#include "op_arguments.hpp"
#include "operators/at_once.hpp"
#include "operators/imaging.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/importer.hpp"

#include <penstock/ops.hpp>

#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace penstock::pybridge {
namespace {

using operators::WarpWords;

WarpWords warp_words(nb::handle size, std::string interp, std::string border_mode,
                     nb::handle border_value, bool inverse) {
  WarpWords words;
  if (!size.is_none()) words.size = size_from(size, "warp_affine");
  words.interp = std::move(interp);
  words.border_mode = std::move(border_mode);
  words.border_value = numbers_from(border_value, "warp_affine: border_value");
  words.inverse = inverse;
  return words;
}

nb::object warp_image(nb::handle src, nb::handle xform, nb::handle size, std::string interp,
                      std::string border_mode, nb::handle border_value, bool inverse,
                      nb::handle out, nb::handle stream) {
  const PyTensor source(tensor_from(src, "warp_affine", "src"));
  const OpArguments arguments("warp_affine", out, stream);
  const AffineMatrix matrix = matrix_from(xform, "warp_affine: xform");
  const WarpWords words =
      warp_words(size, std::move(interp), std::move(border_mode), border_value, inverse);
  arguments.wait(source.get());
  return arguments.result([&] {
    const ReleaseGil release;
    return warp_affine(source.get(), matrix,
                       {arguments.stream(), arguments.out(), words.size, words.interp,
                        words.border_mode, words.border_value, words.inverse});
  }());
}

nb::object draw_on_image(nb::handle src, nb::handle boxes, nb::handle color, nb::handle thickness,
                         nb::handle out, nb::handle stream) {
  const PyTensor source(tensor_from(src, "draw_boxes", "src"));
  const OpArguments arguments("draw_boxes", out, stream);
  auto found = boxes_from(boxes);
  std::optional<PyTensor> tensor;
  if (auto* given = std::get_if<Tensor>(&found)) {
    tensor.emplace(*given);
    found = std::vector<Box>();
    arguments.wait(tensor->get());
  }
  const std::vector<double> numbers = numbers_from(color, "draw_boxes: color");
  const std::int64_t width = integer_from(thickness, "draw_boxes: thickness");
  arguments.wait(source.get());
  return arguments.result([&] {
    const ReleaseGil release;
    const DrawBoxesOptions options{arguments.stream(), arguments.out(), numbers, width};
    if (tensor) return draw_boxes(source.get(), tensor->get(), options);
    return draw_boxes(source.get(), std::get<std::vector<Box>>(found), options);
  }());
}

// Boxes as a C++ node takes them: tensors as they are, lists as one of float64.
nb::object boxes_as_tensor(nb::handle object) {
  if (own_tensor(object) != nullptr) return nb::borrow(object);
  auto found = boxes_from(object);
  if (auto* tensor = std::get_if<Tensor>(&found)) return nb::cast(PyTensor(std::move(*tensor)));
  const auto& boxes = std::get<std::vector<Box>>(found);
  const operators::AtOnce scope(Device::cpu());
  Tensor made = Tensor::empty({std::ssize(boxes), 4}, f64);
  static_assert(sizeof(Box) == 4 * sizeof(double));
  if (!boxes.empty()) std::memcpy(made.data(), boxes.data(), boxes.size() * sizeof(Box));
  return nb::cast(PyTensor(std::move(made)));
}

PyNodeSpec draw_node(nb::handle boxes, nb::handle color, nb::handle thickness) {
  std::optional<std::vector<Box>> fixed;
  if (!boxes.is_none()) {
    auto found = boxes_from(boxes);
    if (std::holds_alternative<Tensor>(found)) {
      found = boxes_from(boxes_as_tensor(boxes).attr("numpy")().attr("tolist")());
    }
    fixed = std::get<std::vector<Box>>(std::move(found));
  }
  return {operators::draw_boxes(numbers_from(color, "draw_boxes: color"),
                                integer_from(thickness, "draw_boxes: thickness"),
                                std::move(fixed))};
}

void bind_nodes(nb::module_& module) {
  module.def(
      "_warp_affine_node",
      [](nb::handle xform, nb::handle size, std::string interp, std::string border_mode,
         nb::handle border_value, bool inverse) {
        return PyNodeSpec{operators::warp_affine(
            matrix_from(xform, "warp_affine: xform"),
            warp_words(size, std::move(interp), std::move(border_mode), border_value, inverse))};
      },
      nb::arg("xform"), nb::arg("size").none(), nb::arg("interp"), nb::arg("border_mode"),
      nb::arg("border_value"), nb::arg("inverse"));
  module.def("_draw_boxes_node", &draw_node, nb::arg("boxes").none(), nb::arg("color"),
             nb::arg("thickness"));
  module.def("_boxes_as_tensor", &boxes_as_tensor, nb::arg("boxes").none());
}

}  // namespace

void bind_warp(nb::module_& module) {
  module.def(
      "warp_affine", &warp_image, nb::arg("src"), nb::arg("xform"), nb::kw_only(),
      nb::arg("size").none() = nb::none(), nb::arg("interp") = "linear",
      nb::arg("border_mode") = "constant", nb::arg("border_value") = 0, nb::arg("inverse") = false,
      nb::arg("out").none() = nb::none(), nb::arg("stream").none() = nb::none(),
      nb::sig("def warp_affine(src: typing.Any, xform: typing.Any, *, "
              "size: tuple[int, int] | None = None, interp: str = 'linear', "
              "border_mode: str = 'constant', border_value: typing.Any = 0, "
              "inverse: bool = False, out: typing.Any = None, stream: typing.Any = None) "
              "-> Tensor"),
      "Moves the pixels of a uint8 or float32 image (H, W[, C]) or batch (N, H, W, C): what is at\n"
      "(x, y) goes to xform·(x, y, 1). TensorError names what does not fit.");
  module.def(
      "draw_boxes", &draw_on_image, nb::arg("src"), nb::arg("boxes").none(), nb::kw_only(),
      nb::arg("color") = nb::make_tuple(0, 255, 0), nb::arg("thickness") = 1,
      nb::arg("out").none() = nb::none(), nb::arg("stream").none() = nb::none(),
      nb::sig("def draw_boxes(src: typing.Any, boxes: typing.Any, *, "
              "color: typing.Any = (0, 255, 0), thickness: int = 1, "
              "out: typing.Any = None, stream: typing.Any = None) -> Tensor"),
      "Draws boxes (x1, y1, x2, y2), end exclusive, on a uint8 or float32 image (H, W[, C]),\n"
      "from their edges inwards. TensorError names what does not fit.");
  bind_nodes(module);
}

}  // namespace penstock::pybridge
