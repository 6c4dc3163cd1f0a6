#include "pybridge/lending.hpp"

#include "base/throw.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/place.hpp"
#include "pybridge/stream_library.hpp"
#include "pybridge/type_strings.hpp"
#include "tensor/work.hpp"

namespace penstock::pybridge {
namespace {

std::uintptr_t handle_of(const order::Stream& stream) { return stream.native(); }

// The checker takes it for a read: what another library writes is its user's affair.
void lend_on(TensorData& tensor, order::Stream& stream) {
  if (stream.actor() != nullptr) {
    const std::array operands{Operand{&tensor, false}};
    wait_for_operands(stream, operands);
  }
  tensor.block->lend_to(stream);
  if (stream.actor() == nullptr) return;
  if (auto* shadow = tensor.block->shadow(); shadow != nullptr) {
    order::check::access(*shadow, order::check::enqueue(*stream.actor()), tensor.range(), false,
                         place_tag("export"));
  }
}

}  // namespace

void lend(const Tensor& tensor, std::uintptr_t handle) {
  TensorData& data = tensor.impl();
  if (order::Stream* current = current_stream(data.device);
      current != nullptr && handle_of(*current) == handle) {
    lend_on(data, *current);
    return;
  }
  lend_on(data, *order::Stream::wrap(data.device, handle));
}

void lend_to_current(const Tensor& tensor) {
  const Device device = tensor.device();
  const auto libraries = stream_libraries();
  order::Stream* current = current_stream(device);
  if (current != nullptr) lend_on(tensor.impl(), *current);
  for (const auto& library : libraries) {
    if (current != nullptr && library->is_current(device.index, handle_of(*current))) continue;
    lend_on(tensor.impl(), *current_stream_of(*library, device));
  }
  if (current == nullptr && libraries.empty()) lend(tensor, kLegacyHandle);
}

void lend_unordered(const Tensor& tensor) { tensor.impl().block->lend_unseen(); }

void lend_by_dlpack(const Tensor& tensor, nb::handle stream) {
  if (stream.is_none()) {
    lend(tensor, kLegacyHandle);
    return;
  }
  std::int64_t number = 0;
  if (PyBool_Check(stream.ptr()) != 0 || !nb::try_cast(stream, number) || number == 0 ||
      number < -1) {
    throw_error<ExchangeError>(
        "__dlpack__: stream is {}; accepted are a handle, 1 (legacy), 2 (per thread), -1 (no "
        "wait) and None (legacy); 0 says nothing",
        nb::repr(stream).c_str());
  }
  if (number == -1) {
    lend_unordered(tensor);
  } else {
    lend(tensor, static_cast<std::uintptr_t>(number));
  }
}

nb::dict cuda_array_interface(const Tensor& tensor) {
  const Device device = tensor.device();
  if (device.is_cpu() || typestr_of(tensor.dtype()).empty()) {
    throw nb::attribute_error(
        "a tensor on the CPU, or of a dtype that NumPy lacks, has no __cuda_array_interface__");
  }
  nb::dict interface = interface_of(tensor);
  // The writer's stream if there is one; of several one is made to wait for the others.
  order::Points writes;
  tensor.impl().block->collect(false, writes);
  auto ready = backend::StreamHandle::none;
  if (writes.size() == 1) ready = order::Slot::at(writes[0].slot).stream();
  if (ready == backend::StreamHandle::none) {
    order::Stream& own = working_stream(device);
    tensor.impl().block->wait_on(own, false);
    ready = own.handle();
  }
  interface["stream"] = backend::of(device).native_stream(ready);
  lend_to_current(tensor);
  if (stream_libraries().empty()) lend_unordered(tensor);
  return interface;
}

}  // namespace penstock::pybridge
