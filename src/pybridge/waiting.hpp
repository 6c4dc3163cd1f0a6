// Waiting on the host from Python: without the GIL, and looking for Ctrl-C meanwhile.
#pragma once

#include "base/throw.hpp"
#include "base/time.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/python.hpp"
#include "pybridge/registry.hpp"

#include <cstdint>

namespace penstock::pybridge {

inline constexpr std::int64_t kSignalTickNs = 50'000'000;

/// Calls `wait(deadline_ns)` until it says true. An exception of a signal handler comes out here.
/// Python calls handlers on its main thread only: others wait once, for ever, and help meanwhile.
/// Once the interpreter's exit has stopped the runtime, what is not complete never will be: a
/// StreamError on the main thread; others are about to be frozen and wait quietly.
template <class Wait>
void wait_interruptibly(Wait&& wait) {
  const bool handles_signals = PyThread_get_thread_ident() == registry().main_thread;
  while (true) {
    const bool is_over = handles_signals && PythonLane::instance().is_stopped();
    {
      const ReleaseGil release;
      const LaneGuest guest;
      if (wait(handles_signals ? now_ns() + kSignalTickNs : kNever)) return;
    }
    if (is_over) {
      throw_error<StreamError>("wait: the interpreter is at its end, and this work was abandoned");
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

}  // namespace penstock::pybridge
