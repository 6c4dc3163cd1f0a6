// The hazards and the memory tests again, under other schedules.
#include "tensor_fixture.hpp"

#include <string>
#include <vector>

using namespace penstock;

TEST_CASE("hazards under the seeded schedule, and with every step blocked once") {
  if (!backend::test::is_plain_schedule()) return;
  const std::vector<std::string> mine{
      "--source-file=*test_hazards.cpp,*test_memory.cpp,*test_memory_foreign.cpp"};
  for (const char* environment :
       {"PENSTOCK_SEED=1", "PENSTOCK_SEED=2", "PENSTOCK_FAULT=block_once"}) {
    CAPTURE(environment);
    CHECK(backend::test::run_again(mine, {environment, "PENSTOCK_TEST_SCALE=0.2"}) == "");
  }
}
