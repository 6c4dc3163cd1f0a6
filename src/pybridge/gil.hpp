// Giving up and taking the GIL so that the interpreter's end does no harm. While it ends, CPython
// makes any other thread that asks for the GIL exit by unwinding its stack, through frames (ours,
// nanobind's) that would end the process for it. So a thread of ours that comes for the GIL once
// the end has begun sleeps for good instead; the process goes without it.
#pragma once

#include <Python.h>

#include <cxxabi.h>

namespace penstock::pybridge {

/// At the end of the exit handler: from now on only the thread that calls this gets the GIL.
void begin_end();
/// Sleeps for good if the end has begun and this is not the thread that ends it.
void stop_here_at_end();
/// For ever: in place of letting CPython's unwinding pass.
[[noreturn]] void sleep_for_good();

/// Calls what takes the GIL, or what runs Python and so loses and takes it.
template <class Call>
auto call_or_stay(Call&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const abi::__forced_unwind&) {
    sleep_for_good();
  }
}

/// Takes the GIL again that PyEval_SaveThread() gave up.
inline void retake_gil(PyThreadState* state) {
  stop_here_at_end();
  call_or_stay([state] { PyEval_RestoreThread(state); });
}

/// The GIL is given up while one lives.
class ReleaseGil {
 public:
  ReleaseGil() : state_(PyEval_SaveThread()) {}
  ~ReleaseGil() { retake_gil(state_); }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

/// The GIL is held while one lives.
class AcquireGil {
 public:
  AcquireGil() : state_(take()) {}
  ~AcquireGil() { PyGILState_Release(state_); }
  AcquireGil(const AcquireGil&) = delete;
  AcquireGil& operator=(const AcquireGil&) = delete;

 private:
  static PyGILState_STATE take() {
    stop_here_at_end();
    return call_or_stay([] { return PyGILState_Ensure(); });
  }
  PyGILState_STATE state_;
};

}  // namespace penstock::pybridge
