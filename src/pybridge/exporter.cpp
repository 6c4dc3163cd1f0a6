#include "pybridge/exporter.hpp"

#include "base/throw.hpp"
#include "pybridge/dtypes.hpp"
#include "pybridge/names.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_strings.hpp"
#include "pybridge/waiting.hpp"
#include "tensor/work.hpp"

#include <array>
#include <memory>

namespace penstock::pybridge {
namespace {

void refuse_gpu(const Tensor& tensor, const char* what) {
  if (!tensor.device().is_cpu()) {
    throw_error<TensorError>("{}: the tensor is on {}; use cpu() first", what, tensor.device().str());
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

bool wants_copy(nb::handle copy, nb::handle dl_device, const Tensor& tensor) {
  if (!dl_device.is_none()) {
    const auto device = nb::cast<std::pair<std::int64_t, std::int64_t>>(dl_device);
    const bool same = tensor.device().is_cpu() && (device.first == dlpack::kCpu) && device.second == 0;
    if (!same) {
      throw_error<ExchangeError>("__dlpack__: dl_device is ({}, {}) but the tensor is on {}; copy it first",
                                 device.first, device.second, tensor.device().str());
    }
  }
  return !copy.is_none() && nb::cast<bool>(copy);
}

void check_stream(nb::handle stream) {
  if (stream.is_none()) return;
  if (PyLong_Check(stream.ptr()) && PyLong_AsLongLong(stream.ptr()) == -1 && PyErr_Occurred() == nullptr) {
    return;
  }
  PyErr_Clear();
  throw_error<ExchangeError>("__dlpack__: stream is {}; for a tensor on the CPU None and -1 are accepted",
                             nb::repr(stream).c_str());
}

Tensor packed_copy(const Tensor& tensor) {
  Tensor copy = tensor.copy();
  wait_for_host(copy, "__dlpack__");
  return copy;
}

nb::object call(PyObject* function, const Tensor& tensor) {
  const nb::object argument = nb::cast(PyTensor(tensor));
  PyObject* result = PyObject_CallFunctionObjArgs(function, argument.ptr(), nullptr);
  if (result == nullptr) throw nb::python_error();
  return nb::steal(result);
}

// What the buffer protocol's views point to.
struct View {
  PyObject* holder;
  std::array<Py_ssize_t, kMaxDims> shape;
  std::array<Py_ssize_t, kMaxDims> strides;
};

int fill_view(PyObject* self, Py_buffer* view, int flags) {
  const Tensor& tensor = nb::cast<PyTensor&>(nb::handle(self)).get();
  refuse_gpu(tensor, "buffer");
  const char* format = format_of(tensor.dtype());
  if (format == nullptr) {
    throw_error<ExchangeError>("buffer: dtype {} is none of the buffer protocol's; use __dlpack__",
                               tensor.dtype().name());
  }
  if ((flags & PyBUF_WRITABLE) != 0 && tensor.readonly()) {
    throw_error<ExchangeError>("buffer: the tensor is read-only");
  }
  const bool wants_strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  const bool wants_packed = (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS || !wants_strides;
  if (wants_packed && !tensor.is_contiguous()) {
    throw_error<ExchangeError>("buffer: the tensor is not contiguous; use copy()");
  }
  wait_for_host(tensor, "buffer");
  auto extents = std::make_unique<View>();
  for (std::size_t i = 0; i < tensor.shape().size(); ++i) {
    extents->shape[i] = tensor.shape()[i];
    extents->strides[i] = tensor.strides()[i];
  }
  view->buf = tensor.data();
  view->obj = Py_NewRef(self);
  view->len = tensor.nbytes();
  view->itemsize = tensor.itemsize();
  view->readonly = tensor.readonly() ? 1 : 0;
  view->ndim = tensor.ndim();
  view->format = (flags & PyBUF_FORMAT) != 0 ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) != 0 ? extents->shape.data() : nullptr;
  view->strides = wants_strides ? extents->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = extents.release();
  return 0;
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  try {
    return fill_view(self, view, flags);
  } catch (nb::python_error& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_BufferError, error.what());
  }
  return -1;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<View*>(view->internal); }

}  // namespace

PyType_Slot buffer_slots[] = {
    {Py_bf_getbuffer, reinterpret_cast<void*>(&get_buffer)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(&release_buffer)},
    {0, nullptr},
};

void wait_for_host(const Tensor& tensor, const char* what) {
  TensorData& data = tensor.impl();
  if (!data.block->is_complete(true)) {
    wait_interruptibly([&](std::int64_t deadline_ns) { return sync_for(data, true, deadline_ns); });
  }
  // Nothing to wait for; an error of work that is over comes out, and the checker hears of it.
  const std::array operands{Operand{&data, false}};
  host_access(operands, tag(what));
}

nb::object export_dlpack(const Tensor& tensor, nb::handle stream, nb::handle max_version,
                         nb::handle dl_device, nb::handle copy) {
  refuse_gpu(tensor, "__dlpack__");
  check_stream(stream);
  const bool is_copy = wants_copy(copy, dl_device, tensor);
  const bool versioned =
      !max_version.is_none() && nb::cast<std::pair<int, int>>(max_version).first >= 1;
  const Tensor exported = is_copy ? packed_copy(tensor) : tensor;
  if (!versioned) {
    auto* managed = to_dlpack(exported);
    wait_for_host(exported, "__dlpack__");
    return capsule_of(managed, dlpack::kCapsule, [](PyObject* capsule) {
      destroy_capsule<dlpack::Managed>(capsule, dlpack::kCapsule);
    });
  }
  wait_for_host(exported, "__dlpack__");
  return capsule_of(to_dlpack_versioned(exported, is_copy ? dlpack::kFlagIsCopied : 0),
                    dlpack::kVersionedCapsule, [](PyObject* capsule) {
                      destroy_capsule<dlpack::ManagedVersioned>(capsule, dlpack::kVersionedCapsule);
                    });
}

nb::tuple dlpack_device(const Tensor& tensor) {
  return nb::make_tuple(static_cast<int>(tensor.device().is_cpu() ? dlpack::kCpu : dlpack::kCuda),
                        tensor.device().index);
}

nb::dict array_interface(const Tensor& tensor) {
  refuse_gpu(tensor, "__array_interface__");
  const std::string typestr = typestr_of(tensor.dtype());
  if (typestr.empty()) {
    throw nb::attribute_error("__array_interface__: NumPy has no such dtype; use __dlpack__");
  }
  wait_for_host(tensor, "__array_interface__");
  const auto tuple = [](std::span<const std::int64_t> numbers) {
    nb::list list;
    for (const std::int64_t number : numbers) list.append(number);
    return nb::tuple(list);
  };
  nb::dict interface;
  interface["version"] = 3;
  interface["typestr"] = typestr;
  interface["shape"] = tuple(tensor.shape());
  interface["strides"] = tuple(tensor.strides());
  interface["data"] =
      nb::make_tuple(reinterpret_cast<std::uintptr_t>(tensor.data()), tensor.readonly());
  return interface;
}

nb::object to_numpy(const Tensor& tensor) {
  refuse_gpu(tensor, "numpy");
  static PyObject* const asarray =
      nb::object(nb::module_::import_("numpy").attr("asarray")).release().ptr();
  if (format_of(tensor.dtype()) != nullptr) {
    return call(asarray, tensor);
  }
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

}  // namespace penstock::pybridge
