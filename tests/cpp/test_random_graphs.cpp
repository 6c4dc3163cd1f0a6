// Random graphs against a sequential interpreter of the same graph, over workers, capacities and
// schedules. A run that fails names its seed: PENSTOCK_TEST_SEED=N begins with that one.
#include "host_fixture.hpp"
#include "random_graph.hpp"

#include "exec/pool.hpp"

#include <cstdlib>
#include <random>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

constexpr int kRunsOfOnePool = 40;

std::uint64_t seed_base() {
  const char* text = std::getenv("PENSTOCK_TEST_SEED");
  if (text != nullptr) return std::strtoull(text, nullptr, 10);
  return std::random_device{}();
}

struct Schedule {
  int workers;
  int capacity;
  bool is_seeded;
};
Schedule schedule_of(std::uint64_t seed) {
  constexpr int kWorkers[] = {1, 2, 4};
  constexpr int kCapacities[] = {1, 2, 16};
  return {kWorkers[seed / kRunsOfOnePool % 3], kCapacities[seed % 3],
          seed / kRunsOfOnePool % 2 == 0};
}

// Empty if all is well.
std::string run_one(std::uint64_t seed, exec::Pool& pool) {
  const DrawnGraph drawn = draw_graph(seed, schedule_of(seed).capacity);
  std::string wrong;
  try {
    runtime::RunOptions options;
    options.pool = &pool;
    const auto run = runtime::Run::start(drawn.graph, options);
    if (!run->wait(now_ns() + exec_test::kPatience)) {
      wrong = "it does not end";
      run->abort(std::make_exception_ptr(Error("given up")));
      static_cast<void>(run->wait(kNever));
    }
  } catch (const std::exception& error) {
    wrong += error.what();
  }
  if (wrong.empty()) wrong = compare(drawn);
  if (wrong.empty()) return "";
  return "PENSTOCK_TEST_SEED=" + std::to_string(seed) + ": " + wrong + drawn.text;
}

}  // namespace

TEST_CASE("random graphs give what a sequential interpreter gives") {
  const std::uint64_t base = seed_base();
  MESSAGE("seeds from " << base);
  std::unique_ptr<exec::Pool> pool;
  std::uint64_t pool_of = UINT64_MAX;
  const int runs = backend::test::scaled(2000);
  for (int i = 0; i < runs; ++i) {
    const std::uint64_t seed = base + static_cast<std::uint64_t>(i);
    if (pool_of != seed / kRunsOfOnePool) {
      pool_of = seed / kRunsOfOnePool;
      const Schedule schedule = schedule_of(seed);
      exec::PoolOptions options;
      options.workers = schedule.workers;
      if (schedule.is_seeded) options.seed = seed;
      pool = exec::Pool::make(options);
    }
    const std::string wrong = run_one(seed, *pool);
    REQUIRE(wrong == "");
  }
}

TEST_CASE("random graphs with every step blocked once") {
  if (!backend::test::is_plain_schedule()) return;
  CHECK(backend::test::run_again({"--test-case=random graphs give*"},
                                 {"PENSTOCK_FAULT=block_once", "PENSTOCK_TEST_SCALE=0.1"}) == "");
}
