// The `with stream:` blocks that the calling thread is in. A task begins with none of its thread's
// own, but for its stream, and what it leaves open ends with it. For the calling thread only.
#pragma once

#include <penstock/device.hpp>
#include <penstock/stream.hpp>

#include "pybridge/python.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace penstock::pybridge {

/// Makes the stream current for the thread, one of a GPU in PyTorch and CuPy, too.
void enter(const Stream& stream);
/// Makes the one before current again. StreamError if the stream was not the last to be entered.
void leave(const Stream& stream);
/// The device of the innermost block or task, if there is one.
[[nodiscard]] std::optional<Device> entered_device();

/// Around a piece of a generator, or a whole call: blocks that are open at its end are left, and
/// kept in `open`, to be entered again by the next piece, on whatever thread.
class KeptBlocks {
 public:
  explicit KeptBlocks(std::vector<Stream>& open);
  ~KeptBlocks();
  KeptBlocks(const KeptBlocks&) = delete;
  KeptBlocks& operator=(const KeptBlocks&) = delete;

 private:
  std::vector<Stream>& open_;
  std::size_t outer_;
};

/// While one lives the thread runs a task of the stream, which is current already.
class EnteredTask {
 public:
  explicit EnteredTask(const Stream& stream);
  ~EnteredTask();
  EnteredTask(const EnteredTask&) = delete;
  EnteredTask& operator=(const EnteredTask&) = delete;

 private:
  std::size_t outer_;
};

/// Calls an operator on the caller's thread; what was current in PyTorch and CuPy is so again
/// afterwards, whatever it left there.
[[nodiscard]] nb::object call_directly(nb::handle f, const nb::tuple& args, const nb::dict& words);

}  // namespace penstock::pybridge
