// The array interfaces (__array_interface__ v3, __cuda_array_interface__ v2 and v3), the buffer
// protocol, and OpenCV's GpuMat.
#include "base/throw.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/foreign_owner.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/names.hpp"
#include "pybridge/stream_library.hpp"
#include "pybridge/type_strings.hpp"
#include "tensor/import.hpp"

#include <array>
#include <cstring>
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
  const bool is_integer = PyIndex_Check(value.ptr()) != 0 && PyBool_Check(value.ptr()) == 0;
  const nb::object number = is_integer ? nb::steal(PyNumber_Index(value.ptr())) : nb::object();
  const long long result = number.is_valid() ? PyLong_AsLongLong(number.ptr()) : -1;
  if (!number.is_valid() || (result == -1 && PyErr_Occurred() != nullptr)) {
    PyErr_Clear();
    throw_error<TensorError>("{}: {} is {}, expected a 64-bit integer", where, field,
                             nb::repr(value).c_str());
  }
  return result;
}

std::string text(const char* where, const char* field, nb::handle value) {
  Py_ssize_t length = 0;
  const char* characters =
      PyUnicode_Check(value.ptr()) ? PyUnicode_AsUTF8AndSize(value.ptr(), &length) : nullptr;
  if (characters == nullptr || std::strlen(characters) != static_cast<std::size_t>(length)) {
    PyErr_Clear();
    throw_error<TensorError>("{}: {} is {}, expected a string", where, field,
                             nb::repr(value).c_str());
  }
  return {characters, static_cast<std::size_t>(length)};
}

std::int32_t integers(const char* where, const char* field, nb::handle value,
                      std::array<std::int64_t, kMaxDims>& numbers) {
  if (!PyTuple_Check(value.ptr())) {
    throw_error<TensorError>("{}: {} is {}, expected a tuple of integers", where, field,
                             nb::repr(value).c_str());
  }
  const auto count = PyTuple_Size(value.ptr());
  if (count > kMaxDims) {
    throw_error<TensorError>("{}: {} has {} dimensions; at most {} are accepted", where, field,
                             count, kMaxDims);
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    numbers[static_cast<std::size_t>(i)] = integer(where, field, PyTuple_GetItem(value.ptr(), i));
  }
  return static_cast<std::int32_t>(count);
}

void* address(const char* where, const char* field, nb::handle value) {
  const bool is_integer = PyIndex_Check(value.ptr()) != 0 && PyBool_Check(value.ptr()) == 0;
  const nb::object number = is_integer ? nb::steal(PyNumber_Index(value.ptr())) : nb::object();
  const unsigned long long result = number.is_valid() ? PyLong_AsUnsignedLongLong(number.ptr()) : 0;
  if (!number.is_valid() || PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw_error<TensorError>("{}: {} is {}, expected an address", where, field,
                             nb::repr(value).c_str());
  }
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(result));
}

void read_data(const char* where, nb::handle data, ForeignArray& array) {
  if (!PyTuple_Check(data.ptr()) || PyTuple_Size(data.ptr()) != 2) {
    throw_error<TensorError>("{}: data is {}, expected (address, readonly)", where,
                             nb::repr(data).c_str());
  }
  array.data = address(where, "data[0]", PyTuple_GetItem(data.ptr(), 0));
  const int readonly = PyObject_IsTrue(PyTuple_GetItem(data.ptr(), 1));
  if (readonly < 0) throw nb::python_error();
  array.readonly = readonly != 0;
}

// NumPy says "V2" or "f1" for the types of ml_dtypes; the array's own dtype has the name.
Dtype dtype_of(const char* where, const std::string& typestr, nb::handle object) {
  if (typestr.size() == 3 &&
      (typestr.ends_with("V1") || typestr.ends_with("V2") || typestr.ends_with("f1"))) {
    const nb::object name =
        nb::getattr(nb::getattr(object, "dtype", nb::none()), "name", nb::none());
    if (PyUnicode_Check(name.ptr()) &&
        nb::cast<std::string>(name).find("float") != std::string::npos) {
      return dtype_from_object(name);
    }
  }
  return dtype_from_typestr(where, typestr);
}

// More fields than one make a structure, whatever the typestr says.
void check_fields(const char* where, nb::handle descr, nb::handle typestr) {
  if (descr.is_none()) return;
  const auto is_plain = [&] {
    if (!PyList_Check(descr.ptr()) || PyList_Size(descr.ptr()) != 1) return false;
    const nb::handle field = PyList_GetItem(descr.ptr(), 0);
    return PyTuple_Check(field.ptr()) && PyTuple_Size(field.ptr()) == 2 &&
           nb::handle(PyTuple_GetItem(field.ptr(), 1)).equal(typestr);
  };
  if (is_plain()) return;
  throw_error<TensorError>(
      "{}: descr is {}, which is more than typestr {}; plain items are accepted", where,
      nb::repr(descr).c_str(), nb::repr(typestr).c_str());
}

// All of an interface but its data.
void read_interface(const char* where, nb::handle object, const nb::dict& interface,
                    std::int64_t oldest_version, Described& described) {
  const std::int64_t version = integer(where, "version", item(interface, "version"));
  if (version < oldest_version) {
    throw_error<TensorError>("{}: version is {}; {} or newer is accepted", where, version,
                             oldest_version);
  }
  const nb::object typestr = item(interface, "typestr");
  described.array.dtype = dtype_of(where, text(where, "typestr", typestr), object);
  check_fields(where, item(interface, "descr"), typestr);
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
  std::int64_t bytes = buffer.itemsize;
  for (int dim = 0; array.shape != nullptr && dim < array.ndim; ++dim) {
    if (__builtin_mul_overflow(bytes, array.shape[dim], &bytes)) bytes = -1;
  }
  if (array.shape != nullptr && bytes >= 0 && bytes != buffer.len) {
    throw_error<TensorError>("as_tensor: the buffer's len is {}, but its shape says {} bytes",
                             buffer.len, bytes);
  }
  return array;
}

// The GPU that an array's memory belongs to.
Device gpu_of(const char* where, const void* address) {
  if (device_count() == 0) {
    throw_error<DeviceError>(
        "{}: the array is on a GPU, but this machine has none that can be used", where);
  }
  if (address == nullptr) return Device::cuda();  // as an array of no size has it
  const Device device = backend::of(Device::cuda()).address_info(address).device;
  if (device.is_cpu()) {
    throw_error<TensorError>(
        "{}: data is {}, which is no address in a GPU's memory; an array in host memory is passed "
        "as NumPy's",
        where, address);
  }
  return device;
}

}  // namespace

std::optional<Tensor> import_cuda_array(nb::handle object, const Layout& layout,
                                        nb::handle on_release) {
  constexpr const char* kWhere = "__cuda_array_interface__";
  const nb::object value = attribute(object, names().cuda_array);
  if (!value.is_valid()) return std::nullopt;
  const nb::dict interface = interface_of(kWhere, value);
  Described described;
  read_interface(kWhere, object, interface, 2, described);
  read_data(kWhere, item(interface, "data"), described.array);
  described.array.device = Device::cuda();
  const nb::object stream = item(interface, "stream");
  const std::int64_t handle = stream.is_none() ? -1 : integer(kWhere, "stream", stream);
  if (!stream.is_none() && handle <= 0) {
    throw_error<TensorError>(
        "{}: stream is {}; 1 (legacy), 2 (per thread) or a handle are accepted", kWhere, handle);
  }
  described.array.device = gpu_of(kWhere, described.array.data);
  // Version 2 can't say, and Numba's arrays say None while it works on the legacy stream.
  const bool is_unsaid =
      handle <= 0 &&
      (integer(kWhere, "version", item(interface, "version")) < 3 || uses_legacy_stream());
  Ref<order::Stream> producer;
  if (handle > 0 || is_unsaid) {
    producer = order::Stream::wrap(described.array.device,
                                   is_unsaid ? kLegacyHandle : static_cast<std::uintptr_t>(handle));
  }
  return wrap(kWhere, described.array, keep_object(object, on_release), layout, producer.get());
}

std::optional<Tensor> import_buffer(nb::handle object, const Layout& layout,
                                    nb::handle on_release) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return std::nullopt;
  Py_buffer buffer;
  if (PyObject_GetBuffer(object.ptr(), &buffer, PyBUF_FULL_RO) != 0) {
    // NumPy refuses types that the protocol lacks: another protocol may have them.
    const bool is_refusal = PyErr_ExceptionMatches(PyExc_BufferError) != 0 ||
                            PyErr_ExceptionMatches(PyExc_ValueError) != 0;
    nb::python_error error;
    if (!is_refusal || !nb::hasattr(object, names().array)) throw error;
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
  read_interface(kWhere, object, interface, 3, described);
  const nb::object data = item(interface, "data");
  if (PyTuple_Check(data.ptr())) {
    read_data(kWhere, data, described.array);
    return wrap(kWhere, described.array, keep_object(object, on_release), layout);
  }
  // No address: the data is a buffer, of the object itself if nothing is named, and `offset`
  // counts.
  const nb::object holder = data.is_none() ? nb::borrow(object) : data;
  const std::int64_t offset = item(interface, "offset").is_none()
                                  ? 0
                                  : integer(kWhere, "offset", item(interface, "offset"));
  if (PyObject_CheckBuffer(holder.ptr()) == 0) {
    throw_error<TensorError>(
        "{}: data is {}, expected (address, readonly) or an object with a buffer", kWhere,
        data.is_none() ? "None and the object has no buffer" : nb::repr(data).c_str());
  }
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

// OpenCV's type: the depth in the low bits, channels - 1 above them. Version 5 has 5 bits for the
// depth, where version 4 has 3; channels() tells which, if it is there.
std::pair<Dtype, std::int64_t> read_type(std::int64_t type, std::int64_t channels) {
  constexpr std::array kDepths = {u8, i8, u16, i16, i32, f32, f64, f16, bf16, b8, u64, i64, u32};
  for (const int bits : {3, 5}) {
    const auto depth = static_cast<std::size_t>(type & ((1 << bits) - 1));
    const std::int64_t count = (type >> bits) + 1;
    if (depth < kDepths.size() && (channels == 0 || count == channels))
      return {kDepths[depth], count};
  }
  throw_error<TensorError>("GpuMat: type {} with {} channels is none of OpenCV's", type, channels);
}

std::optional<Tensor> import_gpu_mat(nb::handle object, const Layout& layout,
                                     nb::handle on_release) {
  const nb::object pointer = attribute(object, names().cuda_ptr);
  if (!pointer.is_valid() || PyCallable_Check(pointer.ptr()) == 0) return std::nullopt;
  constexpr const char* kWhere = "GpuMat";
  const auto get = [&](const char* name) {
    const nb::object member = nb::getattr(object, name, nb::none());
    return PyCallable_Check(member.ptr()) != 0 ? nb::object(member()) : member;
  };
  Described described;
  const nb::object channels = get("channels");
  const auto [dtype, count] =
      read_type(integer(kWhere, "type", get("type")),
                channels.is_none() ? 0 : integer(kWhere, "channels", channels));
  std::array<std::int64_t, kMaxDims> size{};
  if (integers(kWhere, "size", get("size"), size) != 2) {
    throw_error<TensorError>("{}: size is {}, expected (width, height)", kWhere,
                             nb::repr(get("size")).c_str());
  }
  const std::int64_t item_bytes = dtype.itemsize();
  described.array.dtype = dtype;
  described.shape = {size[1], size[0], count};
  described.strides = {integer(kWhere, "step", get("step")), count * item_bytes, item_bytes};
  described.array.ndim = count == 1 ? 2 : 3;
  described.array.shape = described.shape.data();
  described.array.strides = described.strides.data();
  described.array.data = address(kWhere, "cudaPtr()", pointer());
  described.array.device = gpu_of(kWhere, described.array.data);
  const auto producer = order::Stream::wrap(described.array.device, kLegacyHandle);
  return wrap(kWhere, described.array, keep_object(object, on_release), layout, producer.get());
}

}  // namespace penstock::pybridge
