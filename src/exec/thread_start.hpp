// What each thread of ours does first. Thread-safe.
#pragma once

namespace penstock::exec {

/// Called first on each thread of ours: its name in the system's tools (at most 15 characters) and
/// NVIDIA's.
void begin_thread(const char* name) noexcept;

}  // namespace penstock::exec
