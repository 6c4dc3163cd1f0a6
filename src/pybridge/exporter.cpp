#include "pybridge/exporter.hpp"

#include "base/throw.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/lending.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_strings.hpp"

#include <string>
#include <utility>

namespace penstock::pybridge {
namespace {

void refuse_gpu(const Tensor& tensor, const char* what) {
  if (!tensor.device().is_cpu()) {
    throw_error<TensorError>("{}: the tensor is on {}; use cpu() first", what,
                             tensor.device().str());
  }
}

template <class Managed>
nb::object capsule_of(Managed* managed, const char* name, PyCapsule_Destructor destructor) {
  PyObject* capsule = PyCapsule_New(managed, name, destructor);
  if (capsule == nullptr) {
    managed->deleter(managed);
    throw nb::python_error();
  }
  return nb::steal(capsule);
}

// Runs only for a capsule that nobody consumed: a consumer renames it.
template <class Managed>
void destroy_capsule(PyObject* capsule, const char* name) {
  if (PyCapsule_IsValid(capsule, name) == 0) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  const RetireHere scope;
  managed->deleter(managed);
}

// Before it is waited for; to_dlpack() says why.
void refuse_readonly(const Tensor& tensor) {
  if (tensor.readonly()) static_cast<void>(to_dlpack(tensor));
}

// A pair of numbers, as DLPack has versions and devices.
std::pair<std::int64_t, std::int64_t> pair_from(nb::handle object, const char* argument) {
  const bool is_pair = PyTuple_Check(object.ptr()) && PyTuple_Size(object.ptr()) == 2;
  std::pair<std::int64_t, std::int64_t> pair;
  if (!is_pair || !nb::try_cast(object, pair, false)) {
    throw_error<ArgumentTypeError>("__dlpack__: {} is {}, expected a tuple of two integers",
                                   argument, nb::repr(object).c_str());
  }
  return pair;
}

// True if the consumer wants it on the CPU, from a GPU.
bool wants_cpu(nb::handle dl_device, const Tensor& tensor) {
  if (dl_device.is_none()) return false;
  const auto device = pair_from(dl_device, "dl_device");
  const Device own = tensor.device();
  if (device.first == dlpack::kCpu && device.second == 0) return !own.is_cpu();
  if (device.first == dlpack::kCuda && !own.is_cpu() && device.second == own.index) return false;
  throw_error<ExchangeError>(
      "__dlpack__: dl_device is ({}, {}) but the tensor is on {}; copy it first", device.first,
      device.second, tensor.device().str());
}

bool wants_copy(nb::handle copy) {
  if (!copy.is_none() && PyBool_Check(copy.ptr()) == 0) {
    throw_error<ArgumentTypeError>("__dlpack__: copy is {}; None, True and False are accepted",
                                   nb::repr(copy).c_str());
  }
  return copy.ptr() == Py_True;
}

// True if the consumer wants no wait.
bool is_unordered(nb::handle stream) {
  if (stream.is_none()) return false;
  if (PyLong_Check(stream.ptr())) {
    if (PyLong_AsLongLong(stream.ptr()) == -1 && PyErr_Occurred() == nullptr) return true;
    PyErr_Clear();
  }
  throw_error<ExchangeError>(
      "__dlpack__: stream is {}; for a tensor on the CPU None and -1 are accepted",
      nb::repr(stream).c_str());
}

Tensor packed_copy(const Tensor& tensor) {
  if (works_here() && tensor.device().is_cpu()) wait_until_used(tensor, false, "__dlpack__");
  Tensor copy = [&] {
    const ReleaseGil release;
    return tensor.copy();
  }();
  return copy;
}

nb::object call(PyObject* function, const Tensor& tensor) {
  const nb::object argument = nb::cast(PyTensor(tensor));
  PyObject* result = PyObject_CallFunctionObjArgs(function, argument.ptr(), nullptr);
  if (result == nullptr) throw nb::python_error();
  return nb::steal(result);
}

}  // namespace

nb::object export_dlpack(const Tensor& tensor, nb::handle stream, nb::handle max_version,
                         nb::handle dl_device, nb::handle copy) {
  const bool is_to_cpu = wants_cpu(dl_device, tensor);
  if (is_to_cpu) {
    if (copy.ptr() == Py_False) {
      throw_error<ExchangeError>(
          "__dlpack__: dl_device is the CPU, the tensor is on {}, and copy=False forbids the copy",
          tensor.device().str());
    }
    const nb::object moved = nb::cast(PyTensor([&] {
      const ReleaseGil release;
      return tensor.to(Device::cpu());
    }()));
    return export_dlpack(nb::cast<const PyTensor&>(moved).get(), nb::none(), max_version,
                         nb::none(), nb::none());
  }
  const bool is_cpu = tensor.device().is_cpu();
  const bool no_wait = is_cpu && is_unordered(stream);
  const auto version = max_version.is_none() ? std::pair<std::int64_t, std::int64_t>{0, 0}
                                             : pair_from(max_version, "max_version");
  const bool is_copy = wants_copy(copy);
  if (version.first < 1 && !is_copy) refuse_readonly(tensor);
  const Tensor exported = is_copy ? packed_copy(tensor) : tensor;
  if (!is_cpu) {
    lend_by_dlpack(exported, stream);
  } else if (is_copy || !no_wait) {
    wait_for_host(exported, "__dlpack__");
  }
  if (version.first < 1) {
    return capsule_of(to_dlpack(exported), dlpack::kCapsule, [](PyObject* capsule) {
      destroy_capsule<dlpack::Managed>(capsule, dlpack::kCapsule);
    });
  }
  return capsule_of(to_dlpack_versioned(exported, is_copy ? dlpack::kFlagIsCopied : 0),
                    dlpack::kVersionedCapsule, [](PyObject* capsule) {
                      destroy_capsule<dlpack::ManagedVersioned>(capsule, dlpack::kVersionedCapsule);
                    });
}

nb::tuple dlpack_device(const Tensor& tensor) {
  return nb::make_tuple(static_cast<int>(tensor.device().is_cpu() ? dlpack::kCpu : dlpack::kCuda),
                        tensor.device().index);
}

nb::dict interface_of(const Tensor& tensor) {
  const auto tuple = [](std::span<const std::int64_t> numbers) {
    nb::list list;
    for (const std::int64_t number : numbers) list.append(number);
    return nb::tuple(list);
  };
  nb::dict interface;
  interface["version"] = 3;
  interface["typestr"] = typestr_of(tensor.dtype());
  interface["shape"] = tuple(tensor.shape());
  interface["strides"] = tuple(tensor.strides());
  interface["data"] =
      nb::make_tuple(reinterpret_cast<std::uintptr_t>(tensor.data()), tensor.readonly());
  return interface;
}

nb::dict array_interface(const Tensor& tensor) {
  if (!tensor.device().is_cpu() || typestr_of(tensor.dtype()).empty()) {
    throw nb::attribute_error(
        "a tensor on a GPU, or of a dtype that NumPy lacks, has no __array_interface__");
  }
  wait_for_host(tensor, "__array_interface__");
  return interface_of(tensor);
}

nb::object to_numpy(const Tensor& tensor) {
  refuse_gpu(tensor, "numpy");
  static PyObject* asarray = nullptr;  // under the GIL: a guarded static would wait with it held
  if (asarray == nullptr) {
    asarray = nb::object(nb::module_::import_("numpy").attr("asarray")).release().ptr();
  }
  // Here and not in the buffer protocol, whose errors NumPy drops, Ctrl-C among them.
  wait_for_host(tensor, "numpy");
  if (format_of(tensor.dtype()) != nullptr) return call(asarray, tensor);
  // Types that only ml_dtypes has: the bytes as integers, seen as that type.
  const nb::object dtype = dtype_object(tensor.dtype());
  if (!is_numpy_dtype(dtype)) {
    throw_error<TensorError>("numpy: dtype {} needs the package ml_dtypes; pip install ml_dtypes",
                             tensor.dtype().name());
  }
  auto* plain = TensorData::view_of(tensor.impl());
  const Tensor bytes(plain);
  plain->dtype = tensor.itemsize() == 1 ? u8 : u16;
  return call(asarray, bytes).attr("view")(dtype);
}

nb::object to_numpy(const Tensor& tensor, nb::handle dtype, nb::handle copy) {
  nb::object array = to_numpy(tensor);
  const bool same = dtype.is_none() || array.attr("dtype").equal(dtype);
  if (same && copy.ptr() != Py_True) return array;
  if (same) return array.attr("copy")();
  if (copy.ptr() == Py_False) {
    throw_error<TensorError>("__array__: dtype {} needs a copy, and copy=False was asked for",
                             nb::repr(dtype).c_str());
  }
  return array.attr("astype")(dtype);
}

}  // namespace penstock::pybridge
