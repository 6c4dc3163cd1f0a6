#include "arguments.hpp"

#include "base/throw.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/names.hpp"
#include "pybridge/registry.hpp"
#include "tensor/work.hpp"

#include <map>
#include <string>
#include <utility>

namespace penstock::pybridge {

Shape shape_from(nb::handle object) {
  if (PyLong_Check(object.ptr())) return {nb::cast<std::int64_t>(object)};
  Shape shape;
  if (PySequence_Check(object.ptr()) == 0 || PyUnicode_Check(object.ptr())) {
    throw_error<ArgumentTypeError>("shape: {} is no int and no sequence of ints",
                                   nb::type_name(object.type()).c_str());
  }
  for (nb::handle extent : object) {
    const long long number = PyLong_AsLongLong(nb::steal(PyNumber_Index(extent.ptr())).ptr());
    if (number == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
    shape.push_back(number);
  }
  return shape;
}

Layout layout_from(nb::handle object) {
  if (object.is_none()) return {};
  if (!PyUnicode_Check(object.ptr())) {
    throw_error<ArgumentTypeError>("layout: {} is no string such as \"HWC\"",
                                   nb::type_name(object.type()).c_str());
  }
  return {nb::cast<std::string>(object)};
}

Device device_from(nb::handle object) {
  if (object.is_none()) {
    if (current_stream(Device::cpu()) != nullptr) return Device::cpu();
    return device_count() > 0 ? Device::cuda() : Device::cpu();
  }
  // torch.device("cuda:1") and jax devices say it as text; CuPy's have an index.
  if (!PyUnicode_Check(object.ptr()) && nb::hasattr(object, "id") &&
      nb::hasattr(object, "compute_capability")) {
    return Device::cuda(nb::cast<std::int32_t>(object.attr("id")));
  }
  const auto text = nb::cast<std::string>(nb::str(object));
  const Device device = Device::parse(text);
  if (!device.is_cpu() && device.index >= device_count()) {
    throw_error<DeviceError>("device: \"{}\" was asked for, but this machine has {} GPUs that can be used",
                             text, device_count());
  }
  return device;
}

nb::object device_object(Device device) {
  static auto* objects = new std::map<std::pair<int, int>, PyObject*>;
  PyObject*& object = (*objects)[{static_cast<int>(device.kind), device.index}];
  if (object == nullptr) {
    object = nb::object(nb::handle(registry().device)(device.str())).release().ptr();
  }
  return nb::borrow(object);
}

std::optional<Stream> stream_from(nb::handle object) {
  if (object.is_none()) return std::nullopt;
  const nb::object impl = nb::steal(PyObject_GetAttr(object.ptr(), names().impl.ptr()));
  if (!impl.is_valid()) PyErr_Clear();
  Stream* stream = nullptr;
  if (!impl.is_valid() || !nb::try_cast<Stream*>(impl, stream) || stream == nullptr) {
    throw_error<StreamError>("stream: {} is no penstock.Stream; use as_stream() for other libraries'",
                             nb::type_name(object.type()).c_str());
  }
  return *stream;
}

nb::object stream_object(const Stream& stream) {
  return nb::handle(registry().stream)(nb::cast(Stream(stream)));
}

Tensor tensor_from(nb::handle object) {
  return import_tensor(object, {}, nb::none());
}

}  // namespace penstock::pybridge
