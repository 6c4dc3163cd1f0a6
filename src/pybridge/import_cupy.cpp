// CuPy's arrays by their attributes. What they say is CuPy's own and not checked as a stranger's
// is, but for what every import is checked for.
#include "pybridge/dtypes.hpp"
#include "pybridge/foreign_owner.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/names.hpp"
#include "pybridge/stream_library.hpp"
#include "tensor/import.hpp"
#include "tensor/work.hpp"

#include <array>
#include <unordered_map>

namespace penstock::pybridge {
namespace {

nb::object get(nb::handle object, const nb::str& name) {
  PyObject* value = PyObject_GetAttr(object.ptr(), name.ptr());
  if (value == nullptr) throw nb::python_error();
  return nb::steal(value);
}

using Numbers = std::array<std::int64_t, kMaxDims>;

std::int32_t read(nb::handle tuple, Numbers& numbers) {
  const auto count = static_cast<std::int32_t>(PyTuple_Size(tuple.ptr()));
  for (std::int32_t i = 0; i < count && i < kMaxDims; ++i) {
    numbers[static_cast<std::size_t>(i)] = PyLong_AsLongLong(PyTuple_GetItem(tuple.ptr(), i));
  }
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  return count;
}

// NumPy has one object for each plain type.
Dtype dtype_of(nb::handle object) {
  static auto* known = new std::unordered_map<PyObject*, Dtype>;
  const auto found = known->find(object.ptr());
  if (found != known->end()) return found->second;
  const Dtype dtype = dtype_from_object(object);
  if (known->size() < 64) {
    known->emplace(object.ptr(), dtype);
    Py_INCREF(object.ptr());
  }
  return dtype;
}

Ref<order::Stream> producer_of(Device device) {
  const std::uintptr_t handle = current_cupy_stream(device.index);
  order::Stream* current = current_stream(device);
  if (current != nullptr && current->native() == handle) return Ref<order::Stream>::share(current);
  return order::Stream::wrap(device, handle);
}

}  // namespace

Tensor import_cupy(nb::handle object, const Layout& layout, nb::handle on_release) {
  Numbers shape{};
  Numbers strides{};
  const nb::object pointer = get(object, names().data);
  ForeignArray array;
  array.data = PyLong_AsVoidPtr(get(pointer, names().ptr).ptr());
  array.device =
      Device::cuda(static_cast<int>(PyLong_AsLong(get(pointer, names().device_id).ptr())));
  array.ndim = read(get(object, names().shape), shape);
  static_cast<void>(read(get(object, names().strides), strides));
  array.shape = shape.data();
  array.strides = strides.data();
  array.is_known = true;
  array.dtype = dtype_of(get(object, names().dtype));
  const auto producer = producer_of(array.device);
  auto owner = keep_object(object, on_release);
  try {
    Tensor tensor = wrap_foreign("cupy.ndarray", array, owner->owner(), layout, producer.get());
    static_cast<void>(owner.release());
    return tensor;
  } catch (...) {
    owner->abandon();
    throw;
  }
}

}  // namespace penstock::pybridge
