// Ranges and thread names, as a tool is told of them.
#include "nvtx_log.hpp"
#include "operator_fixture.hpp"
#include "trace/nvtx.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>

using namespace penstock::test;

namespace {

constexpr int kMessages = 20;

void run_graph() {
  const auto twice = ps::op([](int x) { return 2 * x; }, {.name = "twice"});
  const auto numbers =
      ps::source([n = 0]() mutable { return n < kMessages ? std::optional(n++) : std::nullopt; },
                 {.name = "numbers"});
  CHECK(taken<int>(numbers >> twice).size() == kMessages);
}

}  // namespace

TEST_CASE("nvtx: the graph that is run with a tool") { run_graph(); }

TEST_CASE("nvtx: with no tool a range has no name") {
  if (has_nvtx_tool()) return;
  CHECK(penstock::trace::range_name("anything") == nullptr);
  const penstock::trace::Range range(nullptr);
}

TEST_CASE("nvtx: a tool sees a range for each activation, and the threads' names") {
  if (!penstock::trace::has_nvtx() || has_nvtx_tool()) return;
  const auto lines = nvtx_log_of("nvtx: the graph that is run with a tool");
  REQUIRE_FALSE(lines.empty());
  std::map<long, std::vector<std::string>> open;
  std::map<std::string, int> ranges;
  std::map<std::string, int> registered;
  bool has_worker = false;
  for (const NvtxLine& line : lines) {
    if (line.what == "register") ++registered[line.name];
    if (line.what == "thread") has_worker = has_worker || line.name.starts_with("penstock-w");
    if (line.what == "push") {
      ++ranges[line.name];
      open[line.thread].push_back(line.name);
    }
    if (line.what == "pop") {
      REQUIRE_FALSE(open[line.thread].empty());
      open[line.thread].pop_back();
    }
  }
  CHECK(has_worker);
  for (const auto& [thread, names] : open) CHECK(names.empty());
  CHECK(ranges["twice"] == kMessages);
  CHECK(ranges["numbers"] == kMessages + 1);  // the last finds the end
  for (const auto& [name, times] : registered) {
    CAPTURE(name);
    CHECK(times == 1);
  }
}
