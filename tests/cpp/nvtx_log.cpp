#include "nvtx_log.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace penstock::test {

bool has_nvtx_tool() { return std::getenv("NVTX_TOOL_LOG") != nullptr; }

std::vector<NvtxLine> nvtx_log_of(const std::string& test_case) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const std::filesystem::path tool = self.parent_path() / "libpenstock_nvtx_tool.so";
  if (!std::filesystem::exists(tool)) return {};
  const std::filesystem::path log =
      std::filesystem::temp_directory_path() / ("penstock-nvtx-" + std::to_string(getpid()));
  const std::filesystem::path output = log.string() + ".txt";
  const std::string command = "NVTX_INJECTION64_PATH='" + tool.string() + "' NVTX_TOOL_LOG='" +
                              log.string() + "' '" + self.string() + "' -tc='" + test_case +
                              "' >'" + output.string() + "' 2>&1";
  const int status = std::system(command.c_str());
  std::stringstream said;
  said << std::ifstream(output).rdbuf();
  std::filesystem::remove(output);
  if (status != 0) throw std::runtime_error("the tests with a tool failed:\n" + said.str());
  std::vector<NvtxLine> lines;
  std::ifstream file(log);
  for (std::string text; std::getline(file, text);) {
    std::istringstream words(text);
    NvtxLine line;
    words >> line.thread >> line.what >> line.name;
    lines.push_back(line);
  }
  std::filesystem::remove(log);
  return lines;
}

}  // namespace penstock::test
