// Waiting on the host from Python: without the GIL, and looking for Ctrl-C meanwhile.
#pragma once

#include "base/time.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/python.hpp"

#include <cstdint>

namespace penstock::pybridge {

inline constexpr std::int64_t kSignalTickNs = 50'000'000;

/// Calls `wait(deadline_ns)` until it says true. An exception of a signal handler comes out here.
template <class Wait>
void wait_interruptibly(Wait&& wait) {
  while (true) {
    {
      const nb::gil_scoped_release release;
      const LaneGuest guest;
      if (wait(now_ns() + kSignalTickNs)) return;
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

}  // namespace penstock::pybridge
