#include "pybridge/library_scope.hpp"

#include "base/throw.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

namespace penstock::pybridge {
namespace {

thread_local LibraryScope* innermost = nullptr;
// Streams that programs entered in the scopes of this thread, in order.
thread_local std::vector<Ref<order::Stream>> entered;

Ref<order::Stream> stream_of(Device device, std::uintptr_t handle, nb::handle owner = {}) {
  std::shared_ptr<void> keep;
  if (owner.is_valid()) keep = std::make_shared<PyRef>(PyRef::borrow(owner.ptr()));
  return order::Stream::wrap(device, handle, std::move(keep));
}

std::uintptr_t handle_of(const order::Stream& stream) { return stream.native(); }

void follow(order::Stream& own, order::Stream& other) {
  if (const auto mark = other.mark()) own.wait(*mark);
}

}  // namespace

bool is_in_use(Device device) {
  static std::array<std::atomic<bool>, 64> known{};
  const auto index = static_cast<std::size_t>(device.index);
  if (index >= known.size()) return false;
  if (known[index].load(std::memory_order_relaxed)) return true;
  if (!backend::of(device).is_in_use(device.index)) return false;
  known[index].store(true, std::memory_order_relaxed);
  return true;
}

bool follow_libraries(order::Stream& own) { return follow_libraries(own, own.device()); }

bool follow_libraries(order::Stream& own, Device device) {
  bool has_others = false;
  for (const auto& library : stream_libraries()) {
    if (device == own.device() && library->is_current(device.index, handle_of(own))) continue;
    follow(own, *current_stream_of(*library, device));
    has_others = true;
  }
  if (uses_legacy_stream()) {
    follow(own, *stream_of(device, kLegacyHandle));
    has_others = true;
  }
  return has_others;
}

void lead_libraries(Device device, order::Point point) {
  for (const auto& library : stream_libraries()) {
    current_stream_of(*library, device)->wait(point);
  }
  if (uses_legacy_stream()) stream_of(device, kLegacyHandle)->wait(point);
}

void lead_libraries_after_call(Device device) {
  if (device.is_cpu() || current_stream(device) != nullptr || stream_libraries().empty()) return;
  lead_libraries(device, working_stream(device).use());
}

LibraryScope::LibraryScope(order::Stream& own)
    : own_(own), outer_(innermost), first_(entered.size()) {
  const int device = own.device().index;
  own.backend().make_current(device);
  for (const auto& library : stream_libraries()) {
    if (!library->is_current(device, handle_of(own))) {
      library->make_current(device, handle_of(own));
    }
  }
  if (uses_legacy_stream()) {
    static_cast<void>(own.use());
    follow(*stream_of(own.device(), kLegacyHandle), own);
  }
  innermost = this;
}

LibraryScope::~LibraryScope() {
  innermost = outer_;
  entered.resize(std::min(entered.size(), first_));
}

bool LibraryScope::join() {
  static_cast<void>(own_.use());  // what the libraries launched on it was not seen
  for (std::size_t i = first_; i < entered.size(); ++i) follow(own_, *entered[i]);
  const bool has_entered = entered.size() > first_;
  entered.resize(first_);
  return follow_libraries(own_) || has_entered;
}

void LibraryScope::note_entered(std::uintptr_t handle, nb::handle owner) {
  if (innermost == nullptr) return;
  order::Stream& own = innermost->own_;
  if (handle == 0) handle = kLegacyHandle;
  if (handle == handle_of(own)) return;
  const int device = own.backend().stream_device(handle);
  innermost->add_entered(stream_of(Device::cuda(device), handle, owner));
}

void LibraryScope::note_entered(order::Stream& stream) {
  if (innermost == nullptr || &stream == &innermost->own_) return;
  if (stream.device().is_cpu()) return;
  innermost->add_entered(Ref<order::Stream>::share(&stream));
}

void LibraryScope::add_entered(Ref<order::Stream> other) {
  // What the operator was given is ready on its own stream.
  static_cast<void>(own_.use());
  follow(*other, own_);
  const auto known = [&](const auto& stream) { return stream.get() == other.get(); };
  const auto first = entered.begin() + static_cast<std::ptrdiff_t>(first_);
  if (std::none_of(first, entered.end(), known)) entered.push_back(std::move(other));
}

}  // namespace penstock::pybridge
