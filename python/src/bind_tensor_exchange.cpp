#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "exec/fork.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/host_wait.hpp"

#include <cstring>

namespace penstock::pybridge {
namespace {

PyTensor to_device(const PyTensor& self, nb::handle device) {
  const Device where = device_from(device);
  if (where == self.get().device()) return PyTensor(self.get());
  throw_error<DeviceError>("to: from {} to {} needs a build with CUDA", self.get().device().str(),
                           where.str());
}

PyTensor copy_of(const PyTensor& tensor) {
  if (works_here()) wait_until_used(tensor.get(), false, "copy");
  const ReleaseGil release;
  return PyTensor(tensor.get().copy());
}

void copy_to(const PyTensor& tensor, nb::handle dst) {
  const PyTensor target(tensor_from(dst, "copy_to", "dst"));
  if (works_here()) {
    wait_until_used(tensor.get(), false, "copy_to");
    wait_until_used(target.get(), true, "copy_to");
  }
  const ReleaseGil release;
  tensor.get().copy_to(target.get());
}

// By value, as arrays of NumPy and PyTorch are pickled.
nb::tuple reduce(nb::handle self) {
  const Tensor packed = nb::cast<const PyTensor&>(self).get().is_contiguous()
                            ? nb::cast<const PyTensor&>(self).get()
                            : copy_of(nb::cast<const PyTensor&>(self)).get();
  wait_for_host(packed, "pickle");
  const auto letters = packed.layout().str();
  return nb::make_tuple(
      nb::module_::import_("penstock._core").attr("_restore"),
      nb::make_tuple(
          nb::bytes(packed.data(), static_cast<std::size_t>(packed.nbytes())),
          nb::tuple(nb::cast<const PyTensor&>(self).get().ndim() == 0 ? nb::object(nb::tuple())
                                                                      : self.attr("shape")),
          nb::str(packed.dtype().name().data(), packed.dtype().name().size()),
          letters.empty() ? nb::none() : nb::object(nb::str(letters.data(), letters.size()))));
}

PyTensor restore(const nb::bytes& bytes, nb::handle shape, nb::handle dtype, nb::handle layout) {
  const Tensor tensor =
      Tensor::empty(shape_from(shape), dtype_from_object(dtype), layout_from(layout));
  if (static_cast<std::int64_t>(bytes.size()) != tensor.nbytes()) {
    throw_error<TensorError>("unpickle: {} bytes, expected {}", bytes.size(), tensor.nbytes());
  }
  std::memcpy(tensor.data(), bytes.c_str(), bytes.size());
  return PyTensor(tensor);
}

void bind_copies(nb::class_<PyTensor>& tensor) {
  tensor
      .def(
          "copy_to", &copy_to, nb::arg("dst"),
          nb::sig("def copy_to(self, dst: typing.Any) -> None"),
          "Copies the elements into a tensor or array of the same shape and dtype, on the current\n"
          "stream, or before it returns.")
      .def("copy", &copy_of, "A packed copy, made on the current stream, or before it returns.")
      .def("to", &to_device, nb::arg("device").none(),
           nb::sig("def to(self, device: typing.Any) -> Tensor"))
      .def("cpu", [](const PyTensor& t) { return to_device(t, nb::str("cpu")); })
      .def("cuda", [](const PyTensor& t) { return to_device(t, nb::str("cuda")); })
      .def(
          "numpy", [](const PyTensor& t) { return to_numpy(t.get()); },
          nb::sig("def numpy(self) -> typing.Any"), "A NumPy array over the same memory.")
      .def(
          "torch", [](const PyTensor& t) { return to_torch(t.get()); },
          nb::sig("def torch(self) -> typing.Any"), "A PyTorch tensor over the same memory.")
      .def("__copy__", [](const PyTensor& t) { return PyTensor(t.get()); })
      .def("__deepcopy__", [](const PyTensor& t, nb::handle) { return copy_of(t); })
      .def("__reduce__", &reduce);
}

void bind_protocols(nb::class_<PyTensor>& tensor) {
  tensor
      .def(
          "__dlpack__",
          [](const PyTensor& t, nb::handle stream, nb::handle max_version, nb::handle dl_device,
             nb::handle copy) {
            return export_dlpack(t.get(), stream, max_version, dl_device, copy);
          },
          nb::kw_only(), nb::arg("stream") = nb::none(), nb::arg("max_version") = nb::none(),
          nb::arg("dl_device") = nb::none(), nb::arg("copy") = nb::none(),
          nb::sig("def __dlpack__(self, *, stream: int | None = None, "
                  "max_version: tuple[int, int] | None = None, "
                  "dl_device: tuple[int, int] | None = None, copy: bool | None = None) "
                  "-> types.CapsuleType"))
      .def(
          "__dlpack_device__", [](const PyTensor& t) { return dlpack_device(t.get()); },
          nb::sig("def __dlpack_device__(self) -> tuple[int, int]"))
      .def(
          "__array__",
          [](const PyTensor& t, nb::handle dtype, nb::handle copy) {
            return to_numpy(t.get(), dtype, copy);
          },
          nb::arg("dtype") = nb::none(), nb::arg("copy") = nb::none(),
          nb::sig("def __array__(self, dtype: typing.Any = None, copy: bool | None = None) -> "
                  "typing.Any"))
      .def_prop_ro(
          "__array_interface__", [](const PyTensor& t) { return array_interface(t.get()); },
          nb::sig("def __array_interface__(self) -> dict[str, typing.Any]"));
  tensor.attr("__dlpack_c_exchange_api__") = exchange_api_capsule();
}

}  // namespace

void bind_tensor_exchange(nb::module_& module, nb::class_<PyTensor>& tensor) {
  bind_copies(tensor);
  bind_protocols(tensor);
  module.def("_restore", &restore);
}

}  // namespace penstock::pybridge
