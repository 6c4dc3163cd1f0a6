// Who may run while memory is short: an activation asks for the bytes that the last one of its
// instance took from the cache. If the cache has not so much room it waits, unless nothing else
// that was admitted runs: one always goes on. Sinks take nothing, so they go first by themselves.
// Thread-safe.
#pragma once

#include <penstock/device.hpp>

#include <atomic>
#include <cstdint>

namespace penstock::runtime {

class Admission {
 public:
  explicit Admission(Device device) : device_(device) {}

  /// False: not now; ask again soon. True: leave() when the activation is over.
  [[nodiscard]] bool enter(std::int64_t bytes);
  void leave(std::int64_t bytes);

 private:
  const Device device_;
  std::atomic<std::int64_t> running_{0};
  std::atomic<std::int64_t> promised_{0};  // bytes of those that run
};

}  // namespace penstock::runtime
