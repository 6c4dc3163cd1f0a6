// A Tensor as DLPack has it: the exact pointer, no offset, strides always there.
#include <penstock/tensor.hpp>

#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"

namespace penstock {
namespace {

// The managed struct with what it points to; one allocation, freed by its deleter.
template <class Managed>
struct Exported {
  Managed managed{};
  Ref<TensorData> tensor;
  std::array<std::int64_t, kMaxDims> shape;
  std::array<std::int64_t, kMaxDims> strides;
};

template <class Managed>
Exported<Managed>* export_tensor(const Tensor& tensor) {
  const TensorData& data = tensor.impl();
  auto* exported = new Exported<Managed>;
  exported->tensor = Ref<TensorData>::share(&tensor.impl());
  for (std::size_t i = 0; i < data.rank(); ++i) {
    exported->shape[i] = data.shape_[i];
    exported->strides[i] = data.strides_[i] / data.dtype.itemsize();
  }
  dlpack::TensorRecord& record = exported->managed.dl_tensor;
  record.data = data.size() == 0 ? nullptr : data.data;  // the standard's word for no elements
  record.device = {data.device.is_cpu() ? dlpack::kCpu : dlpack::kCuda, data.device.index};
  record.ndim = data.ndim;
  record.dtype = {static_cast<std::uint8_t>(data.dtype.code), data.dtype.bits, 1};
  record.shape = exported->shape.data();
  record.strides = exported->strides.data();
  record.byte_offset = 0;
  exported->managed.manager_ctx = exported;
  exported->managed.deleter = [](Managed* self) {
    delete static_cast<Exported<Managed>*>(self->manager_ctx);
  };
  return exported;
}

}  // namespace

dlpack::ManagedVersioned* to_dlpack_versioned(const Tensor& tensor, std::uint64_t extra_flags) {
  auto* exported = export_tensor<dlpack::ManagedVersioned>(tensor);
  exported->managed.version = {dlpack::kMajorVersion, dlpack::kMinorVersion};
  exported->managed.flags = extra_flags | (tensor.readonly() ? dlpack::kFlagReadOnly : 0);
  return &exported->managed;
}

dlpack::Managed* to_dlpack(const Tensor& tensor) {
  if (tensor.readonly()) {
    throw_error<ExchangeError>(
        "__dlpack__: the tensor is read-only, which a capsule without a version can't say; let the "
        "consumer ask with max_version=(1, 0) or later, or pass a copy()");
  }
  return &export_tensor<dlpack::Managed>(tensor)->managed;
}

}  // namespace penstock
