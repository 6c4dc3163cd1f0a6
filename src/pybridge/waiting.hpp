// Waiting on the host from Python: without the GIL, and looking for Ctrl-C meanwhile.
#pragma once

#include "base/time.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/python.hpp"
#include "pybridge/registry.hpp"

#include <cstdint>

namespace penstock::pybridge {

inline constexpr std::int64_t kSignalTickNs = 50'000'000;

/// Calls `wait(deadline_ns)` until it says true. An exception of a signal handler comes out here.
/// Python calls handlers on its main thread only: others wait once, for ever, and help meanwhile.
template <class Wait>
void wait_interruptibly(Wait&& wait) {
  const bool handles_signals = PyThread_get_thread_ident() == registry().main_thread;
  while (true) {
    {
      const ReleaseGil release;
      const LaneGuest guest;
      if (wait(handles_signals ? now_ns() + kSignalTickNs : kNever)) return;
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

}  // namespace penstock::pybridge
