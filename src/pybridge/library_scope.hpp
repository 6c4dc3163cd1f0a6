// Around what an operator calls on a GPU: its stream is the current one of PyTorch and CuPy, and
// what the program does on other streams of theirs is ordered with it. For one thread, with the
// GIL.
#pragma once

#include "order/stream.hpp"
#include "pybridge/stream_library.hpp"

#include <cstddef>
#include <cstdint>

namespace penstock::pybridge {

class LibraryScope {
 public:
  /// The stream stays current afterwards: the thread is a lane of ours.
  explicit LibraryScope(order::Stream& own);
  ~LibraryScope();
  LibraryScope(const LibraryScope&) = delete;
  LibraryScope& operator=(const LibraryScope&) = delete;

  /// The operator's stream waits for the streams that the program entered meanwhile, and for those
  /// that are current now; true if there were others than its own.
  bool join();

  /// A program made a stream of a library current on this thread; `owner` keeps it alive.
  static void note_entered(std::uintptr_t handle, nb::handle owner);
  /// The same for a stream of ours.
  static void note_entered(order::Stream& stream);

 private:
  void add_entered(Ref<order::Stream> other);

  order::Stream& own_;
  LibraryScope* outer_;
  std::size_t first_;  // of the thread's list of streams
};

/// Somebody in this process works on the device. No call once it is so.
[[nodiscard]] bool is_in_use(Device device);
/// Makes the stream wait for what the libraries' current streams, those of its device if none is
/// named, have been given on this thread; true if there were others than itself.
bool follow_libraries(order::Stream& own);
bool follow_libraries(order::Stream& own, Device device);
/// Makes the libraries' current streams on this thread wait for the point.
void lead_libraries(Device device, order::Point point);
/// After a call that queued work where the program named no stream, and so can't order it itself:
/// what the libraries do next comes after it.
void lead_libraries_after_call(Device device);

}  // namespace penstock::pybridge
