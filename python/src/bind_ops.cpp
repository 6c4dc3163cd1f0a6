#include "base/throw.hpp"
#include "bind.hpp"
#include "op_arguments.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_traits.hpp"

#include <penstock/ops.hpp>

#include <vector>

namespace penstock::pybridge {
namespace {

nb::object resize_image(nb::handle src, nb::handle size, const std::string& interp, bool antialias,
                        nb::handle out, nb::handle stream) {
  if (antialias) throw_error<TensorError>("resize: antialias=True is not supported");
  const PyTensor source(tensor_from(src, "resize", "src"));
  const OpArguments arguments("resize", out, stream);
  const Size target = size_from(size, "resize");
  arguments.wait(source.get());
  return arguments.result([&] {
    const ReleaseGil release;
    return resize(source.get(), target, {arguments.stream(), arguments.out(), interp});
  }());
}

nb::object convert_color(nb::handle src, const std::string& src_format,
                         const std::string& dst_format, const std::string& matrix,
                         const std::string& range, nb::handle out, nb::handle stream) {
  const OpArguments arguments("cvt_color", out, stream);
  const nb::object planes = is_image(src) ? nb::object(src.attr("planes")) : nb::borrow(src);
  const bool is_split = PyTuple_Check(planes.ptr()) || PyList_Check(planes.ptr());
  std::vector<PyTensor> kept;
  std::vector<Tensor> sources;
  if (is_split) {
    for (nb::handle plane : planes) kept.emplace_back(tensor_from(plane, "cvt_color", "src"));
  } else {
    kept.emplace_back(tensor_from(planes, "cvt_color", "src"));
  }
  for (const PyTensor& plane : kept) {
    arguments.wait(plane.get());
    sources.push_back(plane.get());
  }
  const bool is_whole = !is_split || (is_image(src) && sources.size() == 1);
  return arguments.result([&] {
    const ReleaseGil release;
    const CvtColorOptions options{arguments.stream(), arguments.out(), matrix, range};
    Tensor made = is_whole ? cvt_color(sources[0], src_format, dst_format, options)
                           : cvt_color(sources, src_format, dst_format, options);
    sources.clear();
    return made;
  }());
}

}  // namespace

void bind_ops(nb::module_& module) {
  module.def(
      "resize", &resize_image, nb::arg("src"), nb::arg("size"), nb::arg("interp") = "linear",
      nb::kw_only(), nb::arg("antialias") = false, nb::arg("out").none() = nb::none(),
      nb::arg("stream").none() = nb::none(),
      nb::sig("def resize(src: typing.Any, size: tuple[int, int], interp: str = 'linear', *, "
              "antialias: bool = False, out: typing.Any = None, stream: typing.Any = None) "
              "-> Tensor"),
      "Resizes a uint8 image (H, W[, C]) or batch (N, H, W, C) to (height, width), half-pixel\n"
      "centres, within half a step of the exact value. TensorError names what does not fit.");
  module.def(
      "cvt_color", &convert_color, nb::arg("src"), nb::arg("src_format"), nb::arg("dst_format"),
      nb::kw_only(), nb::arg("matrix") = "bt601", nb::arg("range") = "limited",
      nb::arg("out").none() = nb::none(), nb::arg("stream").none() = nb::none(),
      nb::sig("def cvt_color(src: typing.Any, src_format: str, dst_format: str, *, "
              "matrix: str = 'bt601', range: str = 'limited', out: typing.Any = None, "
              "stream: typing.Any = None) -> Tensor"),
      "Converts uint8 \"I420\" or \"NV12\" (3H/2, W[, 1]) to \"RGB\" or \"BGR\" (H, W, 3), or "
      "back. `src` may\n"
      "be a tuple of planes, each with rows of its own pitch.");
}

}  // namespace penstock::pybridge
