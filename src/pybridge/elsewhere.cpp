#include "pybridge/elsewhere.hpp"

#include "pybridge/library_scope.hpp"
#include "pybridge/type_traits.hpp"
#include "pybridge/value.hpp"

#include <penstock/device.hpp>

#include <algorithm>

namespace penstock::pybridge {
namespace {

constexpr int kDeepest = 4;
constexpr int kHost = -1;

int device_of(nb::handle array, const char* index) {
  const nb::object number = array.attr("device").attr(index);
  return number.is_none() ? kHost : nb::cast<int>(number);
}

}  // namespace

Elsewhere::Elsewhere(Device own) : own_(own.index), is_needed_(device_count() > 1) {}

void Elsewhere::add(const MessageData& message) {
  if (!is_needed_) return;
  if (PyObject* value = own_object(message); value != nullptr) add(value, 0);
}

void Elsewhere::add(nb::handle value, int depth) {
  if (PyTuple_Check(value.ptr()) || PyList_Check(value.ptr())) {
    if (depth == kDeepest) return;
    for (nb::handle item : value) add(item, depth + 1);
    return;
  }
  if (PyDict_Check(value.ptr())) {
    if (depth == kDeepest) return;
    for (nb::handle item : nb::list(value.attr("values")())) add(item, depth + 1);
    return;
  }
  const TypeTraits traits = traits_of(value);
  if (!traits.is_torch && !traits.is_cupy) return;
  const int device = device_of(value, traits.is_torch ? "index" : "id");
  if (device == kHost || device == own_) return;
  const auto end = devices_.data() + devices_.size();
  if (std::find(devices_.data(), end, device) == end) devices_.push_back(device);
}

void Elsewhere::lead(order::Stream& own) const {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    lead_libraries(Device::cuda(devices_.data()[i]), own.use());
  }
}

void Elsewhere::follow(order::Stream& own) const {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    follow_libraries(own, Device::cuda(devices_.data()[i]));
  }
}

}  // namespace penstock::pybridge
