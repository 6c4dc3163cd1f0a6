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
namespace {

Device checked(Device device) {
  if (!device.is_cpu() && device.index >= device_count()) {
    throw_error<DeviceError>("device: \"{}\" was asked for, but this machine has {} GPUs that can be used",
                             device.str(), device_count());
  }
  return device;
}

}  // namespace

Shape shape_from(nb::handle object) {
  if (PyLong_Check(object.ptr())) return {nb::cast<std::int64_t>(object)};
  Shape shape;
  if (PySequence_Check(object.ptr()) == 0 || PyUnicode_Check(object.ptr())) {
    throw_error<ArgumentTypeError>("shape: {} is no int and no sequence of ints",
                                   nb::type_name(object.type()).c_str());
  }
  if (PyTuple_Check(object.ptr())) shape.reserve(static_cast<std::size_t>(PyTuple_Size(object.ptr())));
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
  if (PyUnicode_Check(object.ptr())) {
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &length);
    if (text == nullptr) throw nb::python_error();
    return checked(Device::parse({text, static_cast<std::size_t>(length)}));
  }
  // torch.device("cuda:1") and jax devices say it as text; CuPy's have an index.
  if (nb::hasattr(object, "id") && nb::hasattr(object, "compute_capability")) {
    return checked(Device::cuda(nb::cast<std::int32_t>(object.attr("id"))));
  }
  return checked(Device::parse(nb::cast<std::string>(nb::str(object))));
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
