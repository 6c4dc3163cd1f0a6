// Runs one test of this program again in a process with a tool attached, and reads what that tool
// was told. For tests; not thread-safe.
#pragma once

#include <string>
#include <vector>

namespace penstock::test {

struct NvtxLine {
  long thread = 0;
  std::string what;
  std::string name;
};

/// True in such a process.
[[nodiscard]] bool has_nvtx_tool();
/// What the tool was told; empty if the tests were built without NVTX. Throws what the process
/// said if it failed.
[[nodiscard]] std::vector<NvtxLine> nvtx_log_of(const std::string& test_case);

}  // namespace penstock::test
