#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_traits.hpp"

#include <penstock/ops.hpp>

#include <vector>

namespace penstock::pybridge {
namespace {

Size size_from(nb::handle object) {
  const bool is_pair = (PyTuple_Check(object.ptr()) || PyList_Check(object.ptr())) &&
                       PySequence_Size(object.ptr()) == 2;
  if (!is_pair) {
    throw_error<ArgumentTypeError>("resize: size is {}, expected (height, width)",
                                   nb::repr(object).c_str());
  }
  return {integer_from(object[0], "resize: size"), integer_from(object[1], "resize: size")};
}

// The arguments that all operations have. What they hold is let go with the GIL.
struct Arguments {
  Arguments(const char* op, nb::handle out_object, nb::handle stream_object)
      : out(out_object), stream(stream_from(stream_object)) {
    if (!out.is_none()) target.emplace(tensor_from(out, op, "out"));
  }
  [[nodiscard]] std::optional<Tensor> out_tensor() const {
    return target ? std::optional(target->get()) : std::nullopt;
  }
  /// What is to be done in this thread waits here, where Ctrl-C ends it.
  void wait(const Tensor& source, const char* op) const {
    if (!works_here(stream ? &stream->impl() : nullptr)) return;
    wait_until_used(source, false, op);
    if (target) wait_until_used(target->get(), true, op);
  }
  /// `out` itself, where it is a tensor of ours.
  [[nodiscard]] nb::object result(Tensor made) const {
    if (target && own_tensor(out) != nullptr) return nb::borrow(out);
    return nb::cast(PyTensor(std::move(made)));
  }

  nb::handle out;
  std::optional<Stream> stream;
  std::optional<PyTensor> target;
};

nb::object resize_image(nb::handle src, nb::handle size, const std::string& interp, bool antialias,
                        nb::handle out, nb::handle stream) {
  if (antialias) throw_error<TensorError>("resize: antialias=True is not supported");
  const PyTensor source(tensor_from(src, "resize", "src"));
  const Arguments arguments("resize", out, stream);
  const Size target = size_from(size);
  arguments.wait(source.get(), "resize");
  return arguments.result([&] {
    const ReleaseGil release;
    return resize(source.get(), target, {arguments.stream, arguments.out_tensor(), interp});
  }());
}

nb::object convert_color(nb::handle src, const std::string& src_format,
                         const std::string& dst_format, const std::string& matrix,
                         const std::string& range, nb::handle out, nb::handle stream) {
  const Arguments arguments("cvt_color", out, stream);
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
    arguments.wait(plane.get(), "cvt_color");
    sources.push_back(plane.get());
  }
  const bool is_whole = !is_split || (is_image(src) && sources.size() == 1);
  return arguments.result([&] {
    const ReleaseGil release;
    const CvtColorOptions options{arguments.stream, arguments.out_tensor(), matrix, range};
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
  module.def("cvt_color", &convert_color, nb::arg("src"), nb::arg("src_format"),
             nb::arg("dst_format"), nb::kw_only(), nb::arg("matrix") = "bt601",
             nb::arg("range") = "limited", nb::arg("out").none() = nb::none(),
             nb::arg("stream").none() = nb::none(),
             nb::sig("def cvt_color(src: typing.Any, src_format: str, dst_format: str, *, "
                     "matrix: str = 'bt601', range: str = 'limited', out: typing.Any = None, "
                     "stream: typing.Any = None) -> Tensor"),
             "Converts uint8 \"I420\" or \"NV12\" to \"RGB\" or \"BGR\" (H, W, 3). `src` is (3H/2, "
             "W[, 1]) or a\n"
             "tuple of planes, each with rows of its own pitch.");
}

}  // namespace penstock::pybridge
