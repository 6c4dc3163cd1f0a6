#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/py_tensor.hpp"

#include <penstock/ops.hpp>


#include <vector>

namespace penstock::pybridge {
namespace {

std::optional<Tensor> optional_tensor(nb::handle object) {
  if (object.is_none()) return std::nullopt;
  return tensor_from(object);
}

Size size_from(nb::handle object) {
  std::pair<std::int64_t, std::int64_t> size;
  if (!nb::try_cast(object, size)) {
    throw_error<ArgumentTypeError>("resize: size is {}, expected (height, width)",
                                   nb::repr(object).c_str());
  }
  return {size.first, size.second};
}

PyTensor resize_image(nb::handle src, nb::handle size, const std::string& interp, bool antialias,
                      nb::handle out, nb::handle stream) {
  if (antialias) throw_error<TensorError>("resize: antialias=True is not supported");
  const Tensor source = tensor_from(src);
  const ResizeOptions options{stream_from(stream), optional_tensor(out), interp};
  const Size target = size_from(size);
  const nb::gil_scoped_release release;
  return PyTensor(resize(source, target, options));
}

PyTensor convert_color(nb::handle src, const std::string& src_format, const std::string& dst_format,
                       const std::string& matrix, const std::string& range, nb::handle out,
                       nb::handle stream) {
  const CvtColorOptions options{stream_from(stream), optional_tensor(out), matrix, range};
  if (!PyTuple_Check(src.ptr()) && !PyList_Check(src.ptr())) {
    const Tensor source = tensor_from(src);
    const nb::gil_scoped_release release;
    return PyTensor(cvt_color(source, src_format, dst_format, options));
  }
  std::vector<Tensor> planes;
  for (nb::handle plane : src) planes.push_back(tensor_from(plane));
  const nb::gil_scoped_release release;
  return PyTensor(cvt_color(planes, src_format, dst_format, options));
}

}  // namespace

void bind_ops(nb::module_& module) {
  module.def("resize", &resize_image, nb::arg("src"), nb::arg("size"), nb::arg("interp") = "linear",
             nb::kw_only(), nb::arg("antialias") = false, nb::arg("out").none() = nb::none(),
             nb::arg("stream").none() = nb::none(),
             nb::sig("def resize(src: typing.Any, size: tuple[int, int], interp: str = 'linear', *, "
                     "antialias: bool = False, out: typing.Any = None, stream: typing.Any = None) "
                     "-> Tensor"),
             "Resizes a uint8 image (H, W[, C]) or batch (N, H, W, C) to (height, width), half-pixel\n"
             "centres, within half a step of the exact value. TensorError names what does not fit.");
  module.def("cvt_color", &convert_color, nb::arg("src"), nb::arg("src_format"),
             nb::arg("dst_format"), nb::kw_only(), nb::arg("matrix") = "bt601",
             nb::arg("range") = "limited", nb::arg("out").none() = nb::none(),
             nb::arg("stream").none() = nb::none(),
             nb::sig("def cvt_color(src: typing.Any, src_format: str, dst_format: str, *, "
                     "matrix: str = 'bt601', range: str = 'limited', out: typing.Any = None, "
                     "stream: typing.Any = None) -> Tensor"),
             "Converts uint8 \"I420\" or \"NV12\" to \"RGB\" or \"BGR\" (H, W, 3). `src` is (3H/2, W[, 1]) or a\n"
             "tuple of planes, each with rows of its own pitch.");
}

}  // namespace penstock::pybridge
