// Ranges and names in NVIDIA's tools, such as Nsight Systems. A tool is there from a program's
// start or not at all: with none, names are empty, and a range costs one look at its name.
// Thread-safe. Ranges nest on each thread; names live as long as the program.
#pragma once

#include <cstdint>
#include <string>

namespace penstock::trace {

/// What a range is called, as the tool knows it; nullptr if no tool listens.
using RangeName = void*;

/// True if the library was built with NVTX.
[[nodiscard]] bool has_nvtx();
/// Registers the name; the same one is registered once.
[[nodiscard]] RangeName range_name(const std::string& name);
/// The calling thread's name in the tools.
void name_thread(const char* name);
/// A CUDA stream's name in the tools.
void name_stream(std::uintptr_t stream, const std::string& name);

void begin_range(RangeName name);
void end_range();

/// A range for as long as it lives, on one thread.
class Range {
 public:
  explicit Range(RangeName name) : name_(name) {
    if (name_ != nullptr) [[unlikely]] {
      begin_range(name_);
    }
  }
  ~Range() {
    if (name_ != nullptr) [[unlikely]] {
      end_range();
    }
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  const RangeName name_;
};

}  // namespace penstock::trace
