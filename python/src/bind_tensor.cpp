#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "indexing.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/py_tensor.hpp"


namespace penstock::pybridge {
namespace {

nb::tuple tuple_of(std::span<const std::int64_t> numbers) {
  PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(numbers.size()));
  if (tuple == nullptr) throw nb::python_error();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    PyTuple_SetItem(tuple, static_cast<Py_ssize_t>(i), PyLong_FromLongLong(numbers[i]));
  }
  return nb::steal<nb::tuple>(tuple);
}

PyTensor make(nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle device,
              nb::handle rowalign, bool zeros) {
  const Shape sizes = shape_from(shape);
  const Dtype type = dtype_from_object(dtype);
  const Layout letters = layout_from(layout);
  const Device where = device_from(device);
  const auto align = rowalign.is_none() ? 0 : nb::cast<std::int64_t>(rowalign);
  const nb::gil_scoped_release release;
  Tensor tensor = Tensor::empty(sizes, type, letters, where, align);
  if (zeros) tensor = Tensor::zeros(sizes, type, letters, where);
  return PyTensor(std::move(tensor));
}

PyTensor to_device(const PyTensor& self, nb::handle device) {
  const Device where = device_from(device);
  if (where == self.get().device()) return PyTensor(self.get());
  throw_error<DeviceError>("to: from {} to {} needs a build with CUDA", self.get().device().str(),
                           where.str());
}

PyTensor as_tensor(nb::handle object, nb::handle layout, nb::handle on_release) {
  if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr())) {
    throw_error<ArgumentTypeError>(
        "as_tensor: {} is not accepted; pass one array, such as numpy.asarray(x)",
        nb::type_name(object.type()).c_str());
  }
  return PyTensor(import_tensor(object, layout_from(layout), on_release));
}

void bind_attributes(nb::class_<PyTensor>& tensor) {
  tensor
      .def_prop_ro("shape", [](const PyTensor& t) { return tuple_of(t.get().shape()); },
                   nb::sig("def shape(self) -> tuple[int, ...]"))
      .def_prop_ro("strides", [](const PyTensor& t) { return tuple_of(t.get().strides()); },
                   nb::sig("def strides(self) -> tuple[int, ...]"),
                   "Bytes from one element to the next, for each dimension.")
      .def_prop_ro("dtype", [](const PyTensor& t) { return dtype_object(t.get().dtype()); },
                   nb::sig("def dtype(self) -> typing.Any"))
      .def_prop_ro("layout", [](const PyTensor& t) -> nb::object {
        const auto text = t.get().layout().str();
        if (text.empty()) return nb::none();
        return nb::str(text.data(), text.size());
      }, nb::sig("def layout(self) -> str | None"))
      .def_prop_ro("device", [](const PyTensor& t) { return device_object(t.get().device()); },
                   nb::sig("def device(self) -> str"))
      .def_prop_ro("ndim", [](const PyTensor& t) { return t.get().ndim(); })
      .def_prop_ro("size", [](const PyTensor& t) { return t.get().size(); }, "Number of elements.")
      .def_prop_ro("nbytes", [](const PyTensor& t) { return t.get().nbytes(); })
      .def_prop_ro("itemsize", [](const PyTensor& t) { return t.get().itemsize(); })
      .def_prop_ro("data", [](const PyTensor& t) {
        return reinterpret_cast<std::uintptr_t>(t.get().data());
      }, "Address of the first element.")
      .def_prop_ro("readonly", [](const PyTensor& t) { return t.get().readonly(); })
      .def("is_contiguous", [](const PyTensor& t) { return t.get().is_contiguous(); })
      .def("__len__", [](const PyTensor& t) {
        if (t.get().ndim() == 0) throw nb::type_error("len() of a tensor with no dimensions");
        return t.get().shape()[0];
      });
}

void bind_views(nb::class_<PyTensor>& tensor) {
  tensor
      .def("reshape", [](const PyTensor& t, nb::args shape) {
        const bool is_one = shape.size() == 1;
        return PyTensor(t.get().reshape(shape_from(is_one ? nb::handle(shape[0]) : shape)));
      }, "The same memory in another shape; raises TensorError rather than copy.",
           nb::sig("def reshape(self, *shape: typing.Any) -> Tensor"))
      .def("view", [](const PyTensor& t, nb::handle layout) {
        return PyTensor(t.get().view(layout_from(layout)));
      }, nb::arg("layout").none(), nb::sig("def view(self, layout: str | None) -> Tensor"),
           "The same memory with other dimension letters.")
      .def("__getitem__", [](const PyTensor& t, nb::handle index) {
        return PyTensor(index_tensor(t.get(), index));
      }, nb::sig("def __getitem__(self, index: typing.Any) -> Tensor"), "A view, as NumPy's basic indexing gives it.");
}

void bind_copies(nb::class_<PyTensor>& tensor) {
  tensor
      .def("copy_to", [](const PyTensor& t, const PyTensor& target) {
        const nb::gil_scoped_release release;
        t.get().copy_to(target.get());
      }, nb::arg("dst"), "Copies the elements on the current stream, or before it returns.")
      .def("copy", [](const PyTensor& t) {
        const nb::gil_scoped_release release;
        return PyTensor(t.get().copy());
      }, "A packed copy, made on the current stream, or before it returns.")
      .def("to", &to_device, nb::arg("device"), nb::sig("def to(self, device: typing.Any) -> Tensor"))
      .def("cpu", [](const PyTensor& t) { return to_device(t, nb::str("cpu")); })
      .def("cuda", [](const PyTensor& t) { return to_device(t, nb::str("cuda")); })
      .def("numpy", [](const PyTensor& t) { return to_numpy(t.get()); },
           nb::sig("def numpy(self) -> typing.Any"), "A NumPy array over the same memory.")
      .def("torch", [](const PyTensor& t) { return to_torch(t.get()); },
           nb::sig("def torch(self) -> typing.Any"), "A PyTorch tensor over the same memory.");
}

void bind_protocols(nb::class_<PyTensor>& tensor) {
  tensor
      .def("__dlpack__", [](const PyTensor& t, nb::handle stream, nb::handle max_version,
                            nb::handle dl_device, nb::handle copy) {
        return export_dlpack(t.get(), stream, max_version, dl_device, copy);
      }, nb::kw_only(), nb::arg("stream") = nb::none(), nb::arg("max_version") = nb::none(),
           nb::arg("dl_device") = nb::none(), nb::arg("copy") = nb::none(),
           nb::sig("def __dlpack__(self, *, stream: int | None = None, "
                   "max_version: tuple[int, int] | None = None, "
                   "dl_device: tuple[int, int] | None = None, copy: bool | None = None) "
                   "-> types.CapsuleType"))
      .def("__dlpack_device__", [](const PyTensor& t) { return dlpack_device(t.get()); },
           nb::sig("def __dlpack_device__(self) -> tuple[int, int]"))
      .def_prop_ro("__array_interface__", [](const PyTensor& t) { return array_interface(t.get()); },
                   nb::sig("def __array_interface__(self) -> dict[str, typing.Any]"));
}

}  // namespace

void bind_tensor(nb::module_& module) {
  nb::class_<PyTensor> tensor(module, "Tensor", nb::type_slots(buffer_slots),
                              "A tensor that knows where and when it is ready.");
  tensor.def("__init__", [](PyTensor* self, nb::handle shape, nb::handle dtype, nb::handle layout,
                            nb::handle device, nb::handle rowalign) {
    new (self) PyTensor(make(shape, dtype, layout, device, rowalign, false));
  }, nb::arg("shape"), nb::arg("dtype"), nb::arg("layout").none() = nb::none(),
             nb::arg("device").none() = nb::none(), nb::arg("rowalign").none() = nb::none(),
             nb::sig("def __init__(self, shape: typing.Any, dtype: typing.Any, layout: str | None = None, "
                     "device: typing.Any = None, rowalign: int | None = None) -> None"));
  bind_attributes(tensor);
  bind_views(tensor);
  bind_copies(tensor);
  bind_protocols(tensor);
  tensor.attr("__dlpack_c_exchange_api__") = exchange_api_capsule();

  module.def("as_tensor", &as_tensor, nb::arg("obj"), nb::arg("layout").none() = nb::none(),
             nb::kw_only(), nb::arg("on_release").none() = nb::none(),
             nb::sig("def as_tensor(obj: typing.Any, layout: str | None = None, *, "
                     "on_release: collections.abc.Callable[[], object] | None = None) -> Tensor"),
             "Wraps an array of any library, with no copy.");
  module.def("empty", [](nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle device,
                         nb::handle rowalign) {
    return make(shape, dtype, layout, device, rowalign, false);
  }, nb::arg("shape"), nb::arg("dtype"), nb::arg("layout").none() = nb::none(),
             nb::arg("device").none() = nb::none(), nb::arg("rowalign").none() = nb::none(),
             nb::sig("def empty(shape: typing.Any, dtype: typing.Any, layout: str | None = None, "
                     "device: typing.Any = None, rowalign: int | None = None) -> Tensor"),
             "A tensor from the cache, contents undefined.");
  module.def("zeros", [](nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle device,
                         nb::handle rowalign) {
    return make(shape, dtype, layout, device, rowalign, true);
  }, nb::arg("shape"), nb::arg("dtype"), nb::arg("layout").none() = nb::none(),
             nb::arg("device").none() = nb::none(), nb::arg("rowalign").none() = nb::none(),
             nb::sig("def zeros(shape: typing.Any, dtype: typing.Any, layout: str | None = None, "
                     "device: typing.Any = None, rowalign: int | None = None) -> Tensor"),
             "A tensor from the cache, filled with zeros.");
}

}  // namespace penstock::pybridge
