// Python references and foreign deleters that C++ lets go, on whatever thread, end here. Who holds
// the GIL inside a binding runs them at once; otherwise they wait in a list that a small
// Python-owned thread empties within a millisecond. C++ workers never take the GIL for it.
// Thread-safe.
#pragma once

#include <Python.h>

#include <cstdint>

namespace penstock::pybridge {

/// Calls `call(context)` with the GIL, now or soon. After the interpreter has gone: never.
void retire(void (*call)(void* context), void* context);
/// Drops a reference.
void retire(PyObject* object);

/// While one lives the calling thread has the GIL, and what it retires is run at once. Around code
/// of ours only, never around a call into Python.
class RetireHere {
 public:
  RetireHere();
  ~RetireHere();
  RetireHere(const RetireHere&) = delete;
  RetireHere& operator=(const RetireHere&) = delete;
};

/// While one lives nothing is run at once: around a call into Python from inside a RetireHere.
class RetireLater {
 public:
  RetireLater();
  ~RetireLater();
  RetireLater(const RetireLater&) = delete;
  RetireLater& operator=(const RetireLater&) = delete;

 private:
  int outer_;
};

/// Runs what waits in the list. With the GIL.
void drain_retired();

/// Asks Python for the thread, once: before anything is made that C++ may let go. With the GIL.
void start_retiring();
/// The body of the thread; returns after stop_retiring(). Called with the GIL. It also adds threads
/// to a lane that lacks some.
void retire_loop();
void wake_retire_thread();
/// Waits until the thread is out of what it runs, at most so long: false if it was not. Without the
/// GIL.
bool stop_retiring(std::int64_t timeout_ns);
/// In a forked child, which has neither the thread nor the list's lock in a known state.
void forget_retire_thread();

}  // namespace penstock::pybridge
