#include "arguments.hpp"

#include "base/throw.hpp"
#include "pybridge/current.hpp"
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
  if (device.is_cpu() || device.index < device_count()) return device;
  std::string why;
  try {
    backend::cuda().make_current(device.index);
  } catch (const DeviceError& error) {
    why = error.what();
  }
  throw_error<DeviceError>(
      "device: \"{}\" was asked for, but this machine has {} GPUs that can be used: {}",
      device.str(), device_count(), why);
}

// What libraries have for devices: torch says it as text, CuPy, Numba and cuda.core by attributes
// of a GPU, JAX by its platform, DLPack by a pair of numbers.
Device foreign_device(nb::handle object) {
  const auto index = [&](const char* name) {
    return Device::cuda(static_cast<std::int32_t>(integer_from(object.attr(name), "device")));
  };
  if (nb::hasattr(object, "platform") && nb::hasattr(object, "id")) {
    const auto platform = nb::cast<std::string>(nb::str(object.attr("platform")));
    if (platform == "cpu") return Device::cpu();
    if (platform == "gpu" || platform == "cuda") return index("id");
  }
  if (nb::hasattr(object, "compute_capability")) {
    if (nb::hasattr(object, "id")) return index("id");
    if (nb::hasattr(object, "device_id")) return index("device_id");
  }
  if (PyTuple_Check(object.ptr()) && PyTuple_Size(object.ptr()) == 2) {
    const auto kind = integer_from(PyTuple_GetItem(object.ptr(), 0), "device");
    const auto number = integer_from(PyTuple_GetItem(object.ptr(), 1), "device");
    if (kind == dlpack::kCpu && number == 0) return Device::cpu();
    if (kind == dlpack::kCuda) return Device::cuda(static_cast<std::int32_t>(number));
  }
  return Device::parse(nb::cast<std::string>(nb::str(object)));
}

}  // namespace

std::int64_t integer_from(nb::handle object, const char* what) {
  if (PyIndex_Check(object.ptr()) == 0 || PyBool_Check(object.ptr())) {
    throw_error<ArgumentTypeError>("{}: {} is no integer", what, nb::repr(object).c_str());
  }
  const nb::object number = nb::steal(PyNumber_Index(object.ptr()));
  if (!number.is_valid()) throw nb::python_error();
  const long long value = PyLong_AsLongLong(number.ptr());
  if (value == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw_error<TensorError>("{}: {} is more than 64 bits", what, nb::repr(number).c_str());
  }
  return value;
}

Shape shape_from(nb::handle object) {
  if (PyLong_Check(object.ptr())) return {integer_from(object, "shape")};
  if (PySequence_Check(object.ptr()) == 0 || PyUnicode_Check(object.ptr())) {
    throw_error<ArgumentTypeError>("shape: {} is no int and no sequence of ints",
                                   nb::type_name(object.type()).c_str());
  }
  Shape shape;
  if (PyTuple_Check(object.ptr()))
    shape.reserve(static_cast<std::size_t>(PyTuple_Size(object.ptr())));
  for (nb::handle extent : object) shape.push_back(integer_from(extent, "shape"));
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
    if (const auto entered = entered_device()) return *entered;
    return device_count() > 0 ? Device::cuda() : Device::cpu();
  }
  if (PyUnicode_Check(object.ptr())) {
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &length);
    if (text == nullptr) throw nb::python_error();
    return checked(Device::parse({text, static_cast<std::size_t>(length)}));
  }
  return checked(foreign_device(object));
}

nb::object device_object(Device device) {
  static auto* objects = new std::map<std::pair<int, int>, PyObject*>;
  PyObject*& object = (*objects)[{static_cast<int>(device.kind), device.index}];
  if (object == nullptr) {
    object = call_or_stay(
        [&] { return nb::object(nb::handle(registry().device)(device.str())).release().ptr(); });
  }
  return nb::borrow(object);
}

Tensor tensor_from(nb::handle object, const char* op, const char* argument) {
  try {
    return import_tensor(object, {}, nb::none());
  } catch (const ArgumentTypeError&) {
    throw_error<ArgumentTypeError>(
        "{}: {} is {}, expected a tensor or an array that as_tensor() takes", op, argument,
        nb::type_name(object.type()).c_str());
  } catch (const ExchangeError& error) {
    throw_error<ExchangeError>("{}: {}: {}", op, argument, error.what());
  } catch (const TensorError& error) {
    throw_error<TensorError>("{}: {}: {}", op, argument, error.what());
  }
}

}  // namespace penstock::pybridge
