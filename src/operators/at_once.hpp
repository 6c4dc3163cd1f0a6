// Work for the CPU inside of a body is done at once, there: the inputs are complete, and the worker
// is ours. A scope of one thread.
#pragma once

#include "tensor/work.hpp"

namespace penstock::operators {

class AtOnce {
 public:
  explicit AtOnce(Device device) : is_cpu_(device.is_cpu()) {
    if (is_cpu_) outer_ = exchange_current_stream(Device::cpu(), nullptr);
  }
  ~AtOnce() {
    if (is_cpu_) exchange_current_stream(Device::cpu(), outer_);
  }
  AtOnce(const AtOnce&) = delete;
  AtOnce& operator=(const AtOnce&) = delete;

 private:
  bool is_cpu_;
  order::Stream* outer_ = nullptr;
};

}  // namespace penstock::operators
