// What the tests next to a GPU share: tensors that are filled late, and readers that count on the
// GPU what they find wrong. For one thread each.
#pragma once

#include "spin.hpp"

#include <penstock/penstock.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

namespace penstock::test {

inline constexpr int kNumbers = 1 << 14;

/// False, and says so once, where there is no GPU: then the test is over.
inline bool has_gpu() {
  if (device_count() > 0) return true;
  static const bool once = [] {
    MESSAGE("no GPU that CUDA can use: the tests called [gpu] do nothing");
    return true;
  }();
  return !once;
}

inline int* numbers_of(const Tensor& tensor) { return static_cast<int*>(tensor.data()); }

inline Tensor new_tensor(const Stream& stream) {
  return Tensor::empty({kNumbers}, i32, {}, stream);
}

/// A kernel that Penstock is told of: it waits for earlier uses, and later ones wait for it.
inline void fill(const Stream& stream, const Tensor& tensor, int value, long long cycles = kSlow) {
  uses(tensor, stream, true);
  spin_fill(stream.handle(), numbers_of(tensor), value, kNumbers, cycles);
}

/// A new tensor whose numbers come late.
inline Tensor slow_tensor(const Stream& stream, int value, long long cycles = kSlow) {
  Tensor tensor = new_tensor(stream);
  fill(stream, tensor, value, cycles);
  return tensor;
}

/// What the host finds once all uses are over.
inline int first_number(const Tensor& tensor) {
  const Tensor host = Tensor::empty({kNumbers}, i32);
  tensor.copy_to(host);
  host.sync();
  return *numbers_of(host);
}

/// A stream that checks tensors and counts those that are wrong.
class Reader {
 public:
  Reader() : wrong_(Tensor::zeros({1}, i32, {}, Device::cuda())) {
    wrong_.sync();  // the kernels' own use of it is on this stream alone
  }

  [[nodiscard]] const Stream& stream() const { return stream_; }
  void look(const Tensor& tensor, int value, long long cycles = 0, bool wait = true) {
    look_on(stream_, tensor, value, cycles, wait);
  }
  /// The same on another stream, by one thread at a time.
  void look_on(const Stream& stream, const Tensor& tensor, int value, long long cycles = 0,
               bool wait = true) {
    uses(tensor, stream, false, wait);
    uses(wrong_, stream, true);
    spin_check(stream.handle(), numbers_of(tensor), value, kNumbers, cycles, numbers_of(wrong_));
  }
  [[nodiscard]] int wrong() const {
    const Tensor host = Tensor::empty({1}, i32);
    wrong_.copy_to(host);
    host.sync();
    return *numbers_of(host);
  }

 private:
  Stream stream_{Device::cuda()};
  Tensor wrong_;
};

}  // namespace penstock::test
