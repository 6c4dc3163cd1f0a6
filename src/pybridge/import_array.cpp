// The array interfaces (__array_interface__ v3, __cuda_array_interface__ v2 and v3), the buffer
// protocol, and OpenCV's GpuMat.
#include "base/throw.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/foreign_owner.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/names.hpp"
#include "pybridge/type_strings.hpp"
#include "tensor/import.hpp"

#include <array>
#include <string>

namespace penstock::pybridge {
namespace {

// An array description with the room that its pointers need.
struct Described {
  ForeignArray array;
  std::array<std::int64_t, kMaxDims> shape{};
  std::array<std::int64_t, kMaxDims> strides{};
};

nb::object attribute(nb::handle object, const nb::str& name) {
  PyObject* value = PyObject_GetAttr(object.ptr(), name.ptr());
  if (value == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) throw nb::python_error();
    PyErr_Clear();
  }
  return nb::steal(value);
}

nb::object item(const nb::dict& interface, const char* key) {
  return interface.contains(key) ? nb::object(interface[key]) : nb::object(nb::none());
}

std::int64_t integer(const char* where, const char* field, nb::handle value) {
  const long long number = PyLong_Check(value.ptr()) ? PyLong_AsLongLong(value.ptr()) : -1;
  if (!PyLong_Check(value.ptr()) || (number == -1 && PyErr_Occurred() != nullptr)) {
    PyErr_Clear();
    throw_error<TensorError>("{}: {} is {}, expected a 64-bit integer", where, field,
                             nb::repr(value).c_str());
  }
  return number;
}

std::int32_t integers(const char* where, const char* field, nb::handle value,
                      std::array<std::int64_t, kMaxDims>& numbers) {
  if (!PyTuple_Check(value.ptr())) {
    throw_error<TensorError>("{}: {} is {}, expected a tuple of integers", where, field,
                             nb::repr(value).c_str());
  }
  const auto count = PyTuple_Size(value.ptr());
  if (count > kMaxDims) {
    throw_error<TensorError>("{}: {} has {} dimensions; at most {} are accepted", where, field, count,
                             kMaxDims);
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    numbers[static_cast<std::size_t>(i)] =
        integer(where, field, PyTuple_GetItem(value.ptr(), i));
  }
  return static_cast<std::int32_t>(count);
}

void read_data(const char* where, nb::handle data, ForeignArray& array) {
  if (!PyTuple_Check(data.ptr()) || PyTuple_Size(data.ptr()) != 2) {
    throw_error<TensorError>("{}: data is {}, expected (address, readonly)", where,
                             nb::repr(data).c_str());
  }
  const nb::handle address = PyTuple_GetItem(data.ptr(), 0);
  if (!PyLong_Check(address.ptr())) {
    throw_error<TensorError>("{}: data[0] is {}, expected an address", where,
                             nb::repr(address).c_str());
  }
  const unsigned long long value = PyLong_AsUnsignedLongLong(address.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw_error<TensorError>("{}: data[0] is {}, which no address can be", where,
                             nb::repr(address).c_str());
  }
  array.data = reinterpret_cast<void*>(static_cast<std::uintptr_t>(value));
  const int readonly = PyObject_IsTrue(PyTuple_GetItem(data.ptr(), 1));
  if (readonly < 0) throw nb::python_error();
  array.readonly = readonly != 0;
}

// All of an interface but its data.
void read_interface(const char* where, const nb::dict& interface, std::int64_t oldest_version,
                    Described& described) {
  const std::int64_t version = integer(where, "version", item(interface, "version"));
  if (version < oldest_version) {
    throw_error<TensorError>("{}: version is {}; {} or newer is accepted", where, version,
                             oldest_version);
  }
  const nb::object typestr = item(interface, "typestr");
  if (!PyUnicode_Check(typestr.ptr())) {
    throw_error<TensorError>("{}: typestr is {}, expected a string", where, nb::repr(typestr).c_str());
  }
  described.array.dtype = dtype_from_typestr(where, nb::cast<std::string>(typestr));
  if (!item(interface, "mask").is_none()) {
    throw_error<TensorError>("{}: mask is set; masked arrays are not accepted", where);
  }
  described.array.ndim = integers(where, "shape", item(interface, "shape"), described.shape);
  described.array.shape = described.shape.data();
  const nb::object strides = item(interface, "strides");
  if (strides.is_none()) return;
  if (integers(where, "strides", strides, described.strides) != described.array.ndim) {
    throw_error<TensorError>("{}: strides has another length than shape", where);
  }
  described.array.strides = described.strides.data();
}

nb::dict interface_of(const char* where, const nb::object& value) {
  if (!PyDict_Check(value.ptr())) {
    throw_error<TensorError>("{}: is {}, expected a dict", where,
                             nb::type_name(value.type()).c_str());
  }
  return nb::borrow<nb::dict>(value);
}

Tensor wrap(const char* where, const ForeignArray& array, std::unique_ptr<ForeignOwner> owner,
            const Layout& layout, order::Stream* producer = nullptr) {
  try {
    Tensor tensor =
        wrap_foreign(where, array, owner->owner(), layout, producer, producer != nullptr);
    static_cast<void>(owner.release());
    return tensor;
  } catch (...) {
    owner->abandon();
    throw;
  }
}

ForeignArray describe_buffer(const Py_buffer& buffer) {
  if (buffer.suboffsets != nullptr) {
    throw_error<TensorError>("as_tensor: the buffer has suboffsets; plain strides are accepted");
  }
  if (buffer.ndim > kMaxDims) {
    throw_error<TensorError>("as_tensor: the buffer has {} dimensions; at most {} are accepted",
                             buffer.ndim, kMaxDims);
  }
  static_assert(sizeof(Py_ssize_t) == sizeof(std::int64_t));
  ForeignArray array;
  array.dtype = dtype_from_format(buffer.format == nullptr ? "B" : buffer.format, buffer.itemsize);
  array.data = buffer.buf;
  array.ndim = buffer.ndim;
  array.shape = reinterpret_cast<const std::int64_t*>(buffer.shape);
  array.strides = reinterpret_cast<const std::int64_t*>(buffer.strides);
  array.readonly = buffer.readonly != 0;
  return array;
}

}  // namespace

std::optional<Tensor> import_cuda_array(nb::handle object, const Layout& layout,
                                        nb::handle on_release) {
  constexpr const char* kWhere = "__cuda_array_interface__";
  const nb::object value = attribute(object, names().cuda_array);
  if (!value.is_valid()) return std::nullopt;
  const nb::dict interface = interface_of(kWhere, value);
  Described described;
  read_interface(kWhere, interface, 2, described);
  read_data(kWhere, item(interface, "data"), described.array);
  described.array.device = Device::cuda();
  if (device_count() == 0) {
    throw_error<DeviceError>("{}: the array is on a GPU, but this machine has none that can be used",
                             kWhere);
  }
  described.array.device =
      backend::of(Device::cuda()).address_info(described.array.data).device;
  Ref<order::Stream> producer;
  if (const nb::object stream = item(interface, "stream"); !stream.is_none()) {
    const std::int64_t handle = integer(kWhere, "stream", stream);
    if (handle <= 0) {
      throw_error<TensorError>("{}: stream is {}; 1 (legacy), 2 (per thread) or a handle are accepted",
                               kWhere, handle);
    }
    producer = order::Stream::wrap(described.array.device,
                                   static_cast<backend::StreamHandle>(handle));
  }
  return wrap(kWhere, described.array, keep_object(object, on_release), layout, producer.get());
}

std::optional<Tensor> import_buffer(nb::handle object, const Layout& layout,
                                    nb::handle on_release) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return std::nullopt;
  Py_buffer buffer;
  if (PyObject_GetBuffer(object.ptr(), &buffer, PyBUF_FULL_RO) != 0) {
    // NumPy refuses types that the protocol lacks: another protocol may have them.
    if (PyErr_ExceptionMatches(PyExc_BufferError) == 0 &&
        PyErr_ExceptionMatches(PyExc_ValueError) == 0) {
      throw nb::python_error();
    }
    PyErr_Clear();
    return std::nullopt;
  }
  auto owner = keep_buffer(buffer, on_release);
  ForeignArray array;
  try {
    array = describe_buffer(buffer);
  } catch (...) {
    owner->abandon();
    throw;
  }
  return wrap("as_tensor", array, std::move(owner), layout);
}

std::optional<Tensor> import_array(nb::handle object, const Layout& layout, nb::handle on_release) {
  constexpr const char* kWhere = "__array_interface__";
  const nb::object value = attribute(object, names().array);
  if (!value.is_valid()) return std::nullopt;
  const nb::dict interface = interface_of(kWhere, value);
  Described described;
  read_interface(kWhere, interface, 3, described);
  const nb::object data = item(interface, "data");
  if (PyTuple_Check(data.ptr())) {
    read_data(kWhere, data, described.array);
    return wrap(kWhere, described.array, keep_object(object, on_release), layout);
  }
  // No address: the data is a buffer, of the object itself if nothing is named, and `offset` counts.
  const nb::object holder = data.is_none() ? nb::borrow(object) : data;
  const std::int64_t offset =
      item(interface, "offset").is_none() ? 0 : integer(kWhere, "offset", item(interface, "offset"));
  Py_buffer buffer;
  if (PyObject_GetBuffer(holder.ptr(), &buffer, PyBUF_FULL_RO) != 0) throw nb::python_error();
  described.array.data = static_cast<std::byte*>(buffer.buf) + offset;
  described.array.readonly = buffer.readonly != 0;
  const std::int64_t length = buffer.len;
  auto owner = keep_buffer(buffer, on_release);
  if (!fits_in(described.array, offset, length)) {
    owner->abandon();
    throw_error<TensorError>("{}: shape, strides and offset {} lead out of the buffer of {} bytes",
                             kWhere, offset, length);
  }
  return wrap(kWhere, described.array, std::move(owner), layout);
}

std::optional<Tensor> import_gpu_mat(nb::handle object, const Layout& layout,
                                     nb::handle on_release) {
  const nb::object pointer = attribute(object, names().cuda_ptr);
  if (!pointer.is_valid() || PyCallable_Check(pointer.ptr()) == 0) return std::nullopt;
  constexpr const char* kWhere = "GpuMat";
  // OpenCV's type: depth in the low three bits, channels - 1 above them.
  constexpr std::array kDepths = {u8, i8, u16, i16, i32, f32, f64, f16};
  const auto get = [&](const char* name) {
    const nb::object member = object.attr(name);
    return PyCallable_Check(member.ptr()) != 0 ? nb::object(member()) : member;
  };
  const auto type = nb::cast<std::int64_t>(get("type"));
  const auto size = nb::cast<std::pair<std::int64_t, std::int64_t>>(get("size"));
  const std::int64_t channels = (type >> 3) + 1;
  Described described;
  described.array.dtype = kDepths[static_cast<std::size_t>(type & 7)];
  described.shape = {size.second, size.first, channels};
  const std::int64_t item_bytes = described.array.dtype.itemsize();
  described.strides = {nb::cast<std::int64_t>(get("step")), channels * item_bytes, item_bytes};
  described.array.ndim = channels == 1 ? 2 : 3;
  described.array.shape = described.shape.data();
  described.array.strides = described.strides.data();
  described.array.data = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(pointer()));
  if (device_count() == 0) {
    throw_error<DeviceError>("{}: the array is on a GPU, but this machine has none that can be used",
                             kWhere);
  }
  described.array.device =
      backend::of(Device::cuda()).address_info(described.array.data).device;
  return wrap(kWhere, described.array, keep_object(object, on_release), layout);
}

}  // namespace penstock::pybridge
