#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "indexing.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/registry.hpp"
#include "tensor/work.hpp"

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
  const auto align = rowalign.is_none() ? 0 : integer_from(rowalign, "rowalign");
  const ReleaseGil release;
  const Tensor tensor = Tensor::empty(sizes, type, letters, where, align);
  if (zeros) fill_bytes(tensor, 0, current_stream(where));
  return PyTensor(tensor);
}

nb::object as_tensor(nb::handle object, nb::handle layout, nb::handle on_release) {
  if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr())) {
    nb::object batch = nb::handle(registry().image_batch)(object, layout, on_release);
    if (!batch.is_none()) return batch;
  }
  Tensor tensor = import_tensor(object, layout_from(layout), on_release);
  if (layout.is_none() && own_tensor(object) != nullptr) return nb::borrow(object);
  return nb::cast(PyTensor(std::move(tensor)));
}

std::string describe(const Tensor& tensor) {
  std::string text =
      fmt::format("<penstock.Tensor {} {}", describe_shape(tensor.shape()), tensor.dtype().name());
  if (!tensor.layout().empty()) text += fmt::format(" \"{}\"", tensor.layout().str());
  text += " on " + tensor.device().str();
  return text + (tensor.readonly() ? ", read-only>" : ">");
}

void bind_attributes(nb::class_<PyTensor>& tensor) {
  tensor
      .def_prop_ro(
          "shape", [](const PyTensor& t) { return tuple_of(t.get().shape()); },
          nb::sig("def shape(self) -> tuple[int, ...]"))
      .def_prop_ro(
          "strides", [](const PyTensor& t) { return tuple_of(t.get().strides()); },
          nb::sig("def strides(self) -> tuple[int, ...]"),
          "Bytes from one element to the next, for each dimension.")
      .def_prop_ro(
          "dtype", [](const PyTensor& t) { return dtype_object(t.get().dtype()); },
          nb::sig("def dtype(self) -> typing.Any"))
      .def_prop_ro(
          "layout",
          [](const PyTensor& t) -> nb::object {
            const auto text = t.get().layout().str();
            if (text.empty()) return nb::none();
            return nb::str(text.data(), text.size());
          },
          nb::sig("def layout(self) -> str | None"))
      .def_prop_ro(
          "device", [](const PyTensor& t) { return device_object(t.get().device()); },
          nb::sig("def device(self) -> str"))
      .def_prop_ro("ndim", [](const PyTensor& t) { return t.get().ndim(); })
      .def_prop_ro(
          "size", [](const PyTensor& t) { return t.get().size(); }, "Number of elements.")
      .def_prop_ro("nbytes", [](const PyTensor& t) { return t.get().nbytes(); })
      .def_prop_ro("itemsize", [](const PyTensor& t) { return t.get().itemsize(); })
      .def_prop_ro(
          "data",
          [](const PyTensor& t) { return reinterpret_cast<std::uintptr_t>(t.get().data()); },
          "Address of the first element.")
      .def_prop_ro("readonly", [](const PyTensor& t) { return t.get().readonly(); })
      .def(
          "is_contiguous", [](const PyTensor& t) { return t.get().is_contiguous(); },
          "True if the elements are packed, last dimension innermost.")
      .def("__repr__", [](const PyTensor& t) { return describe(t.get()); });
}

std::int64_t length_of(const PyTensor& tensor) {
  if (tensor.get().ndim() == 0) throw nb::type_error("a tensor with no dimensions has no length");
  return tensor.get().shape()[0];
}

void bind_sequence(nb::class_<PyTensor>& tensor) {
  tensor.def("__len__", &length_of)
      .def(
          "__iter__",
          [](nb::handle self) {
            static_cast<void>(length_of(nb::cast<const PyTensor&>(self)));
            return nb::steal(PySeqIter_New(self.ptr()));
          },
          nb::sig("def __iter__(self) -> collections.abc.Iterator[Tensor]"))
      .def("__bool__",
           [](const PyTensor&) -> bool {
             throw_error<TensorError>(
                 "Tensor: the truth value of a tensor is ambiguous; ask its numpy() array, "
                 "or say `is not None`");
           })
      .def(
          "__getitem__",
          [](const PyTensor& t, nb::handle index) {
            return PyTensor(index_tensor(t.get(), index));
          },
          nb::arg("index").none(), nb::sig("def __getitem__(self, index: typing.Any) -> Tensor"),
          "A view, as NumPy's basic indexing gives it.");
}

void bind_views(nb::class_<PyTensor>& tensor) {
  tensor
      .def(
          "reshape",
          [](const PyTensor& t, nb::args shape) {
            const bool is_one = shape.size() == 1;
            return PyTensor(t.get().reshape(shape_from(is_one ? nb::handle(shape[0]) : shape)));
          },
          "The same memory in another shape; raises TensorError rather than copy.",
          nb::sig("def reshape(self, *shape: typing.Any) -> Tensor"))
      .def(
          "view",
          [](const PyTensor& t, nb::handle layout) {
            return PyTensor(t.get().view(layout_from(layout)));
          },
          nb::arg("layout").none(), nb::sig("def view(self, layout: str | None) -> Tensor"),
          "The same memory with other dimension letters.");
}

}  // namespace

void bind_tensor(nb::module_& module) {
  nb::class_<PyTensor> tensor(module, "Tensor", nb::type_slots(buffer_slots),
                              nb::is_weak_referenceable(),
                              "A tensor that knows where and when it is ready.");
  tensor.def(
      "__init__",
      [](PyTensor* self, nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle device,
         nb::handle rowalign) {
        new (self) PyTensor(make(shape, dtype, layout, device, rowalign, false));
      },
      nb::arg("shape").none(), nb::arg("dtype").none(), nb::arg("layout").none() = nb::none(),
      nb::arg("device").none() = nb::none(), nb::arg("rowalign").none() = nb::none(),
      nb::sig("def __init__(self, shape: typing.Any, dtype: typing.Any, layout: str | None = None, "
              "device: typing.Any = None, rowalign: int | None = None) -> None"));
  bind_attributes(tensor);
  bind_sequence(tensor);
  bind_views(tensor);
  bind_tensor_exchange(module, tensor);

  module.def(
      "as_tensor", &as_tensor, nb::arg("obj").none(), nb::arg("layout").none() = nb::none(),
      nb::kw_only(), nb::arg("on_release").none() = nb::none(),
      nb::sig("def as_tensor(obj: typing.Any, layout: str | None = None, *, "
              "on_release: collections.abc.Callable[[], object] | None = None) -> Tensor"),
      "Wraps an array of any library, with no copy; a list or tuple of them is an ImageBatch.");
  module.def(
      "empty",
      [](nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle device,
         nb::handle rowalign) { return make(shape, dtype, layout, device, rowalign, false); },
      nb::arg("shape").none(), nb::arg("dtype").none(), nb::arg("layout").none() = nb::none(),
      nb::arg("device").none() = nb::none(), nb::arg("rowalign").none() = nb::none(),
      nb::sig("def empty(shape: typing.Any, dtype: typing.Any, layout: str | None = None, "
              "device: typing.Any = None, rowalign: int | None = None) -> Tensor"),
      "A tensor from the cache, contents undefined.");
  module.def(
      "zeros",
      [](nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle device,
         nb::handle rowalign) { return make(shape, dtype, layout, device, rowalign, true); },
      nb::arg("shape").none(), nb::arg("dtype").none(), nb::arg("layout").none() = nb::none(),
      nb::arg("device").none() = nb::none(), nb::arg("rowalign").none() = nb::none(),
      nb::sig("def zeros(shape: typing.Any, dtype: typing.Any, layout: str | None = None, "
              "device: typing.Any = None, rowalign: int | None = None) -> Tensor"),
      "A tensor from the cache, filled with zeros.");
}

}  // namespace penstock::pybridge
