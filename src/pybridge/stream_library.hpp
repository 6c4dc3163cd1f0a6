// A library that holds a current CUDA stream for each thread and device: PyTorch, CuPy. Found once
// it is imported. With the GIL.
#pragma once

#include "order/stream.hpp"
#include "pybridge/python.hpp"

#include <cstdint>
#include <memory>
#include <span>

namespace penstock::pybridge {

inline constexpr std::uintptr_t kLegacyHandle = 1;

class StreamLibrary {
 public:
  StreamLibrary() = default;
  StreamLibrary(const StreamLibrary&) = delete;
  StreamLibrary& operator=(const StreamLibrary&) = delete;
  virtual ~StreamLibrary() = default;

  /// The handle of the thread's current stream for the device; kLegacyHandle for the default one.
  [[nodiscard]] virtual std::uintptr_t current(int device) = 0;
  [[nodiscard]] virtual bool is_current(int device, std::uintptr_t handle) {
    return current(device) == handle;
  }
  /// The current stream is never destroyed.
  [[nodiscard]] virtual bool lasts(int) { return false; }
  virtual void make_current(int device, std::uintptr_t handle) = 0;
  /// What was current, in the library's own terms.
  [[nodiscard]] virtual nb::object save(int device) = 0;
  virtual void restore(int device, nb::handle saved) = 0;
};

/// nullptr unless the library is imported and speaks CUDA.
[[nodiscard]] std::unique_ptr<StreamLibrary> find_torch_streams(nb::handle module);
[[nodiscard]] std::unique_ptr<StreamLibrary> find_cupy_streams(nb::handle module);

/// Those that are there by now. From the first time on they tell note_entered() of each stream that
/// a program makes current.
[[nodiscard]] std::span<const std::unique_ptr<StreamLibrary>> stream_libraries();
/// The library's current stream, as ours.
[[nodiscard]] Ref<order::Stream> current_stream_of(StreamLibrary& library, Device device);
/// What stream_libraries() has of PyTorch; nullptr if it is not imported.
[[nodiscard]] StreamLibrary* torch_streams();
/// CuPy's current stream for the device.
[[nodiscard]] std::uintptr_t current_cupy_stream(int device);
/// Numba is there: it launches on the legacy stream, whatever is current elsewhere.
[[nodiscard]] bool uses_legacy_stream();
/// A module, if it is imported already.
[[nodiscard]] nb::object imported(const nb::str& name);

}  // namespace penstock::pybridge
