// Waiting on the host for the uses of a tensor, as Python code wants it: without the GIL, and
// Ctrl-C ends it. With the GIL.
#pragma once

#include <penstock/tensor.hpp>

#include "tensor/work.hpp"

namespace penstock::pybridge {

/// True if host work for the stream (nullptr: the current one, if any) is done by the calling
/// thread before the call returns, and not queued.
[[nodiscard]] inline bool works_here(order::Stream* stream = nullptr) {
  if (stream == nullptr) stream = current_stream(Device::cpu());
  return stream == nullptr || stream->is_running_here();
}

/// Waits until the writes so far (with `for_write` all uses) are complete; from a task, not for its
/// own stream. Rethrows an error of that work. `what` begins the message in a forked child.
void wait_until_used(const Tensor& tensor, bool for_write, const char* what);

/// The same for all uses, before the memory is handed out; the checker hears of a read.
void wait_for_host(const Tensor& tensor, const char* what);

}  // namespace penstock::pybridge
