// What each thread of ours does first.
// Thread-safe. The hook is for all threads that start after it was set; there is one.
#pragma once

namespace penstock::exec {

/// `hook` runs at the start of each thread that is started from now on; nullptr takes it away.
/// It must not throw.
void set_thread_start_hook(void (*hook)());

/// Called first on each thread of ours: its name in the system's tools (at most 15 characters) and
/// NVIDIA's, then the hook.
void begin_thread(const char* name) noexcept;

}  // namespace penstock::exec
