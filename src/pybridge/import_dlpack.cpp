// DLPack: the C exchange API, looked up on the type, and __dlpack__.
#include "base/throw.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/foreign_owner.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/names.hpp"
#include "pybridge/stream_library.hpp"
#include "pybridge/type_traits.hpp"
#include "tensor/import.hpp"
#include "tensor/work.hpp"

#include <cstring>

namespace penstock::pybridge {
namespace {

void check_version(const dlpack::ManagedVersioned& managed) {
  if (managed.version.major != dlpack::kMajorVersion) {
    throw_error<TensorError>("DLPack: version {}.{}; {}.x is accepted", managed.version.major,
                             managed.version.minor, dlpack::kMajorVersion);
  }
  if ((managed.flags & dlpack::kFlagSubbytePadded) != 0) {
    throw_error<TensorError>("DLPack: flags {:#x} say sub-byte items; whole bytes are accepted",
                             managed.flags);
  }
}

// Wraps a managed struct. When it throws the struct still belongs to the caller.
template <class Managed>
Tensor wrap_managed(Managed* managed, bool readonly, const Layout& layout, nb::handle on_release,
                    order::Stream* producer = nullptr, bool is_known = false) {
  ForeignArray array = describe(managed->dl_tensor, readonly);
  array.is_known = is_known;
  auto owner = keep_managed(managed, on_release);
  try {
    Tensor tensor = wrap_foreign("DLPack", array, owner->owner(), layout, producer);
    static_cast<void>(owner.release());
    return tensor;
  } catch (...) {
    owner->abandon();
    throw;
  }
}

// What __dlpack_device__ said. Kind: host memory, pinned or not, is one, and so is CUDA's.
struct SaidDevice {
  std::int64_t type = 0;
  std::int64_t id = 0;

  [[nodiscard]] static std::int64_t kind(std::int64_t type) {
    if (type == dlpack::kCudaHost) return dlpack::kCpu;
    if (type == dlpack::kCudaManaged) return dlpack::kCuda;
    return type;
  }
  void check(const dlpack::DeviceRecord& found) const {
    const bool same_id = kind(type) != dlpack::kCuda || id == found.device_id;
    if (kind(type) == kind(found.device_type) && same_id) return;
    throw_error<TensorError>(
        "DLPack: __dlpack_device__() is ({}, {}) but the capsule has device_type {}, device_id {}",
        type, id, static_cast<std::int32_t>(found.device_type), found.device_id);
  }
};

std::optional<SaidDevice> said_device(nb::handle object) {
  PyObject* method = PyObject_GetAttr(object.ptr(), names().dlpack_device.ptr());
  if (method == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) throw nb::python_error();
    PyErr_Clear();
    return std::nullopt;
  }
  const nb::object pair = nb::steal(method)();
  SaidDevice said;
  const auto read = [&](Py_ssize_t index, std::int64_t& number) {
    const nb::object value = nb::steal(PyNumber_Index(PyTuple_GetItem(pair.ptr(), index)));
    number = value.is_valid() ? PyLong_AsLongLong(value.ptr()) : -1;
    const bool is_read = PyErr_Occurred() == nullptr;
    PyErr_Clear();
    return is_read;
  };
  if (!PyTuple_Check(pair.ptr()) || PyTuple_Size(pair.ptr()) != 2 || !read(0, said.type) ||
      !read(1, said.id)) {
    throw_error<TensorError>(
        "DLPack: __dlpack_device__() returned {}, expected (device_type, device_id)",
        nb::repr(pair).c_str());
  }
  return said;
}

// `ready_on`: the stream that the producer was asked to make wait.
Tensor wrap_capsule(nb::handle capsule, const std::optional<SaidDevice>& said, const Layout& layout,
                    nb::handle on_release, order::Stream* ready_on = nullptr) {
  // The first time this lets other threads run, which may have the capsule, too.
  start_retiring();
  PyObject* object = capsule.ptr();
  if (PyCapsule_IsValid(object, dlpack::kVersionedCapsule) != 0) {
    auto* managed = static_cast<dlpack::ManagedVersioned*>(
        PyCapsule_GetPointer(object, dlpack::kVersionedCapsule));
    check_version(*managed);
    if (said) said->check(managed->dl_tensor.device);
    Tensor tensor = wrap_managed(managed, (managed->flags & dlpack::kFlagReadOnly) != 0, layout,
                                 on_release, ready_on);
    PyCapsule_SetName(object, dlpack::kUsedVersionedCapsule);
    return tensor;
  }
  if (PyCapsule_IsValid(object, dlpack::kCapsule) != 0) {
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(object, dlpack::kCapsule));
    if (said) said->check(managed->dl_tensor.device);
    Tensor tensor = wrap_managed(managed, false, layout, on_release, ready_on);
    PyCapsule_SetName(object, dlpack::kUsedCapsule);
    return tensor;
  }
  if (PyCapsule_CheckExact(object) == 0) {
    throw_error<TensorError>("DLPack: __dlpack__() returned {}, expected a capsule",
                             nb::type_name(capsule.type()).c_str());
  }
  const char* name = PyCapsule_GetName(object);
  throw_error<TensorError>(
      "DLPack: the capsule is named \"{}\", expected \"{}\" or \"{}\"{}",
      name == nullptr ? "" : name, dlpack::kVersionedCapsule, dlpack::kCapsule,
      name != nullptr && std::strncmp(name, "used_", 5) == 0 ? "; it was consumed before" : "");
}

// PyTorch's API gives the memory as it is, where the numbers are to be negated or conjugated first.
void refuse_lazy(nb::handle object, dlpack::DataType dtype) {
  const auto code = static_cast<DtypeCode>(dtype.code);
  const bool may_be_lazy = code == DtypeCode::complex || code == DtypeCode::float_;
  for (const nb::str* bit : {&names().is_conj, &names().is_neg}) {
    if (!may_be_lazy || !nb::cast<bool>(object.attr(*bit)())) continue;
    throw_error<ExchangeError>(
        "as_tensor: {}() is true: the numbers are conjugated or negated only when they are read; "
        "pass "
        "x.resolve_conj().resolve_neg()",
        bit->c_str());
  }
}

// What __dlpack__ gave, and on a GPU the stream on which that is ready.
struct Answer {
  nb::object capsule;
  Ref<order::Stream> ready_on;
};

// Asks with all keywords, and without after a TypeError. No capsule and `refusal` set on a
// BufferError.
Answer ask(nb::handle method, const std::optional<SaidDevice>& said, PyRef& refusal) {
  Answer answer;
  nb::dict keywords = names().max_version_keyword;
  const bool is_gpu = said && SaidDevice::kind(said->type) == dlpack::kCuda && said->id >= 0 &&
                      said->id < device_count();
  const Device device = is_gpu ? Device::cuda(static_cast<int>(said->id)) : Device::cpu();
  if (is_gpu) {
    order::Stream& own = working_stream(device);
    answer.ready_on = Ref<order::Stream>::share(&own);
    keywords = nb::dict();
    keywords.update(names().max_version_keyword);
    keywords["stream"] = own.native();
  }
  PyObject* capsule = PyObject_Call(method.ptr(), names().no_arguments.ptr(), keywords.ptr());
  if (capsule == nullptr && PyErr_ExceptionMatches(PyExc_TypeError) != 0) {
    PyErr_Clear();
    capsule = PyObject_CallNoArgs(method.ptr());
    // Without a stream it is ready on the legacy one.
    if (is_gpu) {
      answer.ready_on = order::Stream::wrap(device, kLegacyHandle);
    }
  }
  if (capsule == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_BufferError) == 0) throw nb::python_error();
    refusal = take_python_error();
  }
  answer.capsule = nb::steal(capsule);
  return answer;
}

// The stream that the type's library works on now, for a tensor on a GPU.
Ref<order::Stream> work_stream(const TypeTraits& type, const dlpack::DeviceRecord& where) {
  if (SaidDevice::kind(where.device_type) != dlpack::kCuda) return {};
  if (where.device_id < 0 || where.device_id >= device_count()) return {};  // refused by its name
  const Device device = Device::cuda(where.device_id);
  order::Stream* current = current_stream(device);
  if (StreamLibrary* torch = type.is_torch ? torch_streams() : nullptr; torch != nullptr) {
    const bool is_own = current != nullptr && torch->is_current(device.index, current->native());
    return is_own ? Ref<order::Stream>::share(current) : current_stream_of(*torch, device);
  }
  void* handle = nullptr;
  if (type.exchange->current_work_stream(dlpack::kCuda, where.device_id, &handle) != 0) {
    throw nb::python_error();
  }
  const std::uintptr_t native =
      handle == nullptr ? kLegacyHandle : reinterpret_cast<std::uintptr_t>(handle);
  if (current != nullptr && current->native() == native) return Ref<order::Stream>::share(current);
  return order::Stream::wrap(device, native);
}

}  // namespace

std::optional<Tensor> import_exchange(nb::handle object, const TypeTraits& type,
                                      const Layout& layout, nb::handle on_release, PyRef& refusal) {
  if (type.has_requires_grad && nb::cast<bool>(object.attr(names().requires_grad))) {
    throw_error<ExchangeError>(
        "as_tensor: requires_grad is set, and Penstock keeps no gradients; pass x.detach()");
  }
  dlpack::ManagedVersioned* managed = nullptr;
  if (type.exchange->managed_tensor_from_py_object_no_sync(object.ptr(), &managed) != 0) {
    if (PyErr_Occurred() == nullptr) {
      throw_error<TensorError>("DLPack: the exchange API of {} failed",
                               nb::type_name(object.type()).c_str());
    }
    if (PyErr_ExceptionMatches(PyExc_BufferError) == 0) throw nb::python_error();
    refusal = take_python_error();
    return std::nullopt;
  }
  if (managed == nullptr) {
    throw_error<TensorError>("DLPack: the exchange API of {} gave no tensor",
                             nb::type_name(object.type()).c_str());
  }
  try {
    check_version(*managed);
    if (type.is_torch) refuse_lazy(object, managed->dl_tensor.dtype);
    const auto producer = work_stream(type, managed->dl_tensor.device);
    return wrap_managed(managed, (managed->flags & dlpack::kFlagReadOnly) != 0, layout, on_release,
                        producer.get(), type.is_torch);
  } catch (...) {
    if (managed->deleter != nullptr) managed->deleter(managed);
    throw;
  }
}

std::optional<Tensor> import_dlpack(nb::handle object, const Layout& layout, nb::handle on_release,
                                    PyRef& refusal) {
  if (PyCapsule_CheckExact(object.ptr()) != 0) {
    return wrap_capsule(object, {}, layout, on_release);
  }
  PyObject* method = PyObject_GetAttr(object.ptr(), names().dlpack.ptr());
  if (method == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) throw nb::python_error();
    PyErr_Clear();
    return std::nullopt;
  }
  const nb::object bound = nb::steal(method);
  const auto said = said_device(object);
  const Answer answer = ask(bound, said, refusal);
  if (!answer.capsule.is_valid()) return std::nullopt;
  return wrap_capsule(answer.capsule, said, layout, on_release, answer.ready_on.get());
}

}  // namespace penstock::pybridge
