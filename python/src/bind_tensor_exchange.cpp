#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "exec/fork.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/lending.hpp"
#include "pybridge/library_scope.hpp"

#include <cstring>
#include <utility>

namespace penstock::pybridge {
namespace {

PyTensor to_device(const PyTensor& self, nb::handle device) {
  const Device where = device_from(device);
  if (where == self.get().device()) return PyTensor(self.get());
  if (self.get().device().is_cpu()) wait_until_used(self.get(), false, "to");
  const ReleaseGil release;
  return PyTensor(self.get().to(where));
}

PyTensor copy_of(const PyTensor& tensor) {
  if (tensor.get().device().is_cpu() && works_here()) wait_until_used(tensor.get(), false, "copy");
  PyTensor copied = [&] {
    const ReleaseGil release;
    return PyTensor(tensor.get().copy());
  }();
  lead_libraries_after_call(tensor.get().device());
  return copied;
}

void copy_to(const PyTensor& tensor, nb::handle dst) {
  const PyTensor target(tensor_from(dst, "copy_to", "dst"));
  const bool is_across = tensor.get().device() != target.get().device();
  for (const PyTensor* side : {&tensor, &target}) {
    const bool is_host = side->get().device().is_cpu() && (is_across || works_here());
    if (is_host) wait_until_used(side->get(), side == &target, "copy_to");
  }
  {
    const ReleaseGil release;
    tensor.get().copy_to(target.get());
  }
  for (const PyTensor* side : {&tensor, &target}) lead_libraries_after_call(side->get().device());
}

nb::object fields_of(nb::handle self) { return nb::getattr(self, "__dict__", nb::none()); }

nb::object made_as(nb::handle type, PyTensor tensor) {
  nb::object made = nb::inst_alloc(type);
  new (nb::inst_ptr<PyTensor>(made)) PyTensor(std::move(tensor));
  nb::inst_mark_ready(made);
  return made;
}

nb::object shallow_copy(nb::handle self) {
  nb::object made = made_as(self.type(), PyTensor(nb::cast<const PyTensor&>(self).get()));
  const nb::object fields = fields_of(self);
  if (!fields.is_none()) made.attr("__dict__").attr("update")(fields);
  return made;
}

nb::object deep_copy(nb::handle self, nb::dict memo) {
  nb::object made = made_as(self.type(), copy_of(nb::cast<const PyTensor&>(self)));
  const nb::object fields = fields_of(self);
  if (fields.is_none()) return made;
  memo[nb::steal(PyLong_FromVoidPtr(self.ptr()))] = made;
  made.attr("__dict__").attr("update")(nb::module_::import_("copy").attr("deepcopy")(fields, memo));
  return made;
}

// By value, as arrays of NumPy and PyTorch are pickled; a subclass with its attributes.
nb::tuple reduce(nb::handle self) {
  const Tensor& tensor = nb::cast<const PyTensor&>(self).get();
  const Tensor packed =
      tensor.is_contiguous() ? tensor : copy_of(nb::cast<const PyTensor&>(self)).get();
  wait_for_host(packed, "pickle");
  const auto name = packed.dtype().name();
  const auto letters = packed.layout().str();
  return nb::make_tuple(
      nb::module_::import_("penstock._runtime").attr("restore"),
      nb::make_tuple(
          self.type(), nb::bytes(packed.data(), static_cast<std::size_t>(packed.nbytes())),
          self.attr("shape"), nb::str(name.data(), name.size()),
          letters.empty() ? nb::none() : nb::object(nb::str(letters.data(), letters.size()))),
      fields_of(self));
}

nb::object restore(nb::handle type, const nb::bytes& bytes, nb::handle shape, nb::handle dtype,
                   nb::handle layout) {
  const nb::handle base = nb::type<PyTensor>();
  if (PyType_Check(type.ptr()) == 0 ||
      PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type.ptr()),
                       reinterpret_cast<PyTypeObject*>(base.ptr())) == 0) {
    throw_error<ArgumentTypeError>("unpickle: {} is no Tensor class", nb::repr(type).c_str());
  }
  const Tensor tensor =
      Tensor::empty(shape_from(shape), dtype_from_object(dtype), layout_from(layout));
  if (static_cast<std::int64_t>(bytes.size()) != tensor.nbytes()) {
    throw_error<TensorError>("unpickle: {} bytes, expected {}", bytes.size(), tensor.nbytes());
  }
  std::memcpy(tensor.data(), bytes.c_str(), bytes.size());
  return made_as(type, PyTensor(tensor));
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
      .def("__copy__", &shallow_copy)
      .def("__deepcopy__", &deep_copy)
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
          "__cuda_array_interface__",
          [](const PyTensor& t) { return cuda_array_interface(t.get()); },
          nb::sig("def __cuda_array_interface__(self) -> dict[str, typing.Any]"))
      .def_prop_ro(
          "__array_interface__", [](const PyTensor& t) { return array_interface(t.get()); },
          nb::sig("def __array_interface__(self) -> dict[str, typing.Any]"));
  tensor.attr("__dlpack_c_exchange_api__") = exchange_api_capsule();
}

}  // namespace

void bind_tensor_exchange(nb::module_& module, nb::class_<PyTensor>& tensor) {
  bind_copies(tensor);
  bind_protocols(tensor);
  module.def("_restore", &restore, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none());
}

}  // namespace penstock::pybridge
