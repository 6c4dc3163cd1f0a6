// Graphs that run: order, gaps, joins, batches, windows, instances, ends, errors.
#include "graph_fixture.hpp"

#include <atomic>
#include <numeric>
#include <thread>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {
std::vector<std::int64_t> column(const Collected& collected, std::size_t index = 0) {
  std::vector<std::int64_t> all;
  for (const auto& row : collected.rows) all.push_back(row.at(index));
  return all;
}
std::vector<std::int64_t> range(std::int64_t count) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}
}  // namespace

TEST_CASE("runtime: a chain keeps the order") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int source = graph->add(numbers("source", 10'000));
  const int twice = graph->add(map("twice", [](std::int64_t v) { return v * 2; }));
  const int sink = graph->add(collect("sink", into));
  graph->connect(source, "", twice, "");
  graph->connect(twice, "", sink, "");
  const auto stats = run(graph);
  REQUIRE(into->rows.size() == 10'000);
  for (std::int64_t i = 0; i < 10'000; ++i)
    REQUIRE(into->rows[static_cast<std::size_t>(i)][0] == i * 2);
  CHECK(stats.operators[1].activations == 10'000);
}

TEST_CASE("runtime: a join by origin leaves gaps and never shifts") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int source = graph->add(numbers("source", 3'000));
  const int detect = graph->add(map("detect", [](std::int64_t v) { return v % 3 == 0 ? -1 : v; }));
  const int draw = graph->add(collect("draw", into, {"frames", "boxes"}));
  graph->connect(source, "", draw, "frames");
  graph->connect(source, "", detect, "");
  graph->connect(detect, "", draw, "boxes");
  const auto stats = run(graph);
  REQUIRE(into->rows.size() == 2'000);
  for (const auto& row : into->rows) REQUIRE(row[0] == row[1]);
  CHECK(stats.edges[0].unpaired == 1'000);
}

TEST_CASE("runtime: instances work at once, and the order is the inputs'") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  NodeSpec slow = map("slow", [](std::int64_t v) {
    std::this_thread::sleep_for(std::chrono::microseconds(v % 4 * 200));
    return v;
  });
  slow.options.instances = 3;
  const int source = graph->add(numbers("source", 200));
  const int work = graph->add(std::move(slow));
  const int sink = graph->add(collect("sink", into));
  graph->connect(source, "", work, "");
  graph->connect(work, "", sink, "");
  static_cast<void>(run(graph));
  CHECK(column(*into) == range(200));
}

TEST_CASE("runtime: batches go when full, and what is left goes at the end") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  auto sizes = std::make_shared<std::vector<std::size_t>>();
  NodeSpec batch = node("batch", {"in"}, {"out"}, [sizes](Activation& a) {
    sizes->push_back(a.items());
    for (std::size_t i = 0; i < a.items(); ++i) {
      a.emit(0, message(value_of<std::int64_t>(a.port(0)[i]) + 1000), i);
    }
  });
  batch.options.batch = 8;
  batch.options.max_delay_ms = 10'000;
  batch.options.capacity = 16;
  const int source = graph->add(numbers("source", 20));
  const int work = graph->add(std::move(batch));
  const int sink = graph->add(collect("sink", into));
  graph->connect(source, "", work, "");
  graph->connect(work, "", sink, "");
  static_cast<void>(run(graph));
  CHECK(*sizes == std::vector<std::size_t>{8, 8, 4});
  REQUIRE(into->rows.size() == 20);
  CHECK(into->rows[19][0] == 1019);
}

TEST_CASE("runtime: an exception ends the run and comes out of wait") {
  auto graph = std::make_shared<Graph>();
  const int source = graph->add(numbers("source", 1'000'000'000));
  const int bad = graph->add(node("bad", {"in"}, {}, [](Activation& a) {
    if (value_of<std::int64_t>(a.port(0)[0]) == 7) throw std::out_of_range("seven");
  }));
  graph->connect(source, "", bad, "");
  const auto running = runtime::Run::start(graph, {});
  CHECK_THROWS_WITH_AS(static_cast<void>(running->wait(now_ns() + exec_test::kPatience)), "seven",
                       std::out_of_range);
  CHECK(running->failure().node == "bad");
  CHECK(running->failure().origin == "source #7");
}

TEST_CASE("runtime: nobody can go on") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  NodeSpec stuck = numbers("stuck", 1);
  stuck.factory = std::make_shared<FunctionFactory>([](int) { return [](Activation&) {}; });
  const int left = graph->add(numbers("left", 100));
  NodeSpec pair = collect("pair", into, {"a", "b"});
  pair.inputs[1].size = 200;
  const int join = graph->add(std::move(pair));
  const int right = graph->add(numbers("right", 300));
  graph->connect(left, "", join, "a");
  graph->connect(right, "", join, "b");
  static_cast<void>(run(graph));
  CHECK(into->rows.size() == 1);
}

TEST_CASE("runtime: a loop runs until its cycle is empty") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  NodeSpec loop = node("loop", {"in"}, {"out"}, [](Activation& a) {
    if (a.is_source) {
      a.emit(0, message(std::int64_t{0}));
      a.end();
    } else {
      a.emit(0, message(value_of<std::int64_t>(a.port(0)[0])));
    }
  });
  loop.is_loop = true;
  loop.inputs[0].is_optional = true;
  const int begin = graph->add(std::move(loop));
  const int step = graph->add(map("step", [](std::int64_t v) { return v < 1000 ? v + 1 : -1; }));
  const int sink = graph->add(collect("sink", into));
  graph->connect(begin, "", step, "");
  graph->connect(step, "", begin, "");
  graph->connect(step, "", sink, "");
  static_cast<void>(run(graph));
  CHECK(into->rows.size() == 1000);
}
