// DLPack's C exchange API on our type, and PyTorch's used to make its tensors.
#include "base/throw.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/lending.hpp"
#include "pybridge/names.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/stream_library.hpp"
#include "tensor/tensor_data.hpp"
#include "tensor/work.hpp"

#include <algorithm>

namespace penstock::pybridge {
namespace {

// Each returns 0, or -1 with a Python exception set.
template <class Body>
int guarded(Body&& body) {
  try {
    body();
    return 0;
  } catch (const std::exception&) {
    set_python_error(std::current_exception());
  }
  return -1;
}

const Tensor& own(void* object) {
  const Tensor* tensor = own_tensor(static_cast<PyObject*>(object));
  if (tensor == nullptr) throw_error<ArgumentTypeError>("DLPack: the object is no penstock.Tensor");
  return *tensor;
}

// To a consumer that asks for no order: the host waits, or the streams that it may work on.
void hand_out(const Tensor& tensor, const char* what) {
  if (tensor.device().is_cpu()) {
    wait_for_host(tensor, what);
    return;
  }
  lend_to_current(tensor);
  if (current_stream(tensor.device()) == nullptr) lend(tensor, kLegacyHandle);
}

int allocate(dlpack::TensorRecord* prototype, dlpack::ManagedVersioned** out, void* context,
             dlpack::SetError set_error) {
  try {
    const Dtype dtype{static_cast<DtypeCode>(prototype->dtype.code), prototype->dtype.bits};
    const bool is_cpu = prototype->device.device_type == dlpack::kCpu;
    if ((!is_cpu && prototype->device.device_type != dlpack::kCuda) ||
        prototype->dtype.lanes != 1) {
      throw_error<TensorError>(
          "DLPack: the allocator makes tensors on the CPU and on CUDA's devices, with one lane");
    }
    const Device device = is_cpu ? Device::cpu() : Device::cuda(prototype->device.device_id);
    const Shape shape(prototype->shape, prototype->shape + prototype->ndim);
    const Tensor tensor = Tensor::empty(shape, dtype, {}, device);
    if (!is_cpu) lend_to_current(tensor);
    *out = to_dlpack_versioned(tensor);
    return 0;
  } catch (const std::exception& error) {
    set_error(context, "RuntimeError", error.what());
    return -1;
  }
}

int from_object(void* object, dlpack::ManagedVersioned** out) {
  return guarded([&] {
    const Tensor& tensor = own(object);
    hand_out(tensor, "__dlpack_c_exchange_api__");
    *out = to_dlpack_versioned(tensor);
  });
}

int to_object(dlpack::ManagedVersioned* managed, void** out) {
  return guarded([&] {
    if (managed->version.major != dlpack::kMajorVersion) {
      throw_error<TensorError>("DLPack: version {}.{}; {}.x is accepted", managed->version.major,
                               managed->version.minor, dlpack::kMajorVersion);
    }
    start_retiring();
    const Tensor tensor =
        Tensor::wrap(managed->dl_tensor, (managed->flags & dlpack::kFlagReadOnly) != 0,
                     {[](void* context) {
                        retire(
                            [](void* held) {
                              auto* struct_ = static_cast<dlpack::ManagedVersioned*>(held);
                              if (struct_->deleter != nullptr) struct_->deleter(struct_);
                            },
                            context);
                      },
                      managed});
    *out = nb::cast(PyTensor(tensor)).release().ptr();
  });
}

int borrow(void* object, dlpack::TensorRecord* out) {
  return guarded([&] {
    const Tensor& tensor = own(object);
    hand_out(tensor, "__dlpack_c_exchange_api__");
    TensorData& data = tensor.impl();
    *out = {data.data,
            {data.device.is_cpu() ? dlpack::kCpu : dlpack::kCuda, data.device.index},
            data.ndim,
            {static_cast<std::uint8_t>(data.dtype.code), data.dtype.bits, 1},
            data.shape_.data(),
            data.item_strides(),
            0};
  });
}

// The legacy stream where no other is current: what is handed out waits for that one, too.
int work_stream(dlpack::DeviceType type, std::int32_t index, void** out) {
  *out = nullptr;
  if (type != dlpack::kCuda) return 0;
  return guarded([&] {
    if (const order::Stream* current = current_stream(Device::cuda(index))) {
      *out = reinterpret_cast<void*>(current->native());
    }
  });
}

const dlpack::ExchangeApi* torch_api(nb::handle tensor_type) {
  const nb::object capsule = nb::getattr(tensor_type, names().exchange_api, nb::none());
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kExchangeCapsule) == 0) return nullptr;
  const auto* api = static_cast<const dlpack::ExchangeApi*>(
      PyCapsule_GetPointer(capsule.ptr(), dlpack::kExchangeCapsule));
  return api->header.version.major == dlpack::kMajorVersion ? api : nullptr;
}

}  // namespace

nb::object exchange_api_capsule() {
  static dlpack::ExchangeApi api = {
      {{dlpack::kMajorVersion, dlpack::kMinorVersion}, nullptr},
      allocate,
      from_object,
      to_object,
      borrow,
      work_stream,
  };
  return nb::steal(PyCapsule_New(&api, dlpack::kExchangeCapsule, nullptr));
}

nb::object to_torch(const Tensor& tensor) {
  // Under the GIL: a guarded static would wait with it held.
  static PyObject* torch = nullptr;
  static const dlpack::ExchangeApi* api = nullptr;
  if (torch == nullptr) {
    const nb::object module = nb::module_::import_("torch");
    api = torch_api(module.attr("Tensor"));
    torch = nb::object(module).release().ptr();
  }
  for (std::size_t i = 0; i < tensor.strides().size(); ++i) {
    if (tensor.strides()[i] >= 0 || tensor.shape()[i] < 2) continue;
    throw_error<TensorError>(
        "torch: the stride of dimension {} is {} bytes; PyTorch has none below 0, use "
        "copy()",
        i, tensor.strides()[i]);
  }
  if (api == nullptr) return nb::handle(torch).attr("from_dlpack")(PyTensor(tensor));
  if (tensor.device().is_cpu()) {
    wait_for_host(tensor, "torch");
  } else {
    lend_to_current(tensor);
  }
  void* made = nullptr;
  auto* managed = to_dlpack_versioned(tensor);
  if (api->managed_tensor_to_py_object_no_sync(managed, &made) != 0) {
    managed->deleter(managed);
    throw nb::python_error();
  }
  return nb::steal(static_cast<PyObject*>(made));
}

}  // namespace penstock::pybridge
