// Joins by the latest and by time, and what joins keep over a long run.
#include "exec_fixture.hpp"
#include "graph_fixture.hpp"

#include <algorithm>
#include <atomic>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

std::int64_t first_of(const Activation& a, std::size_t port = 0) {
  return *static_cast<const std::int64_t*>(a.port(port)[0]->value());
}
NodeSpec latest_of(const std::string& name, bool drops) {
  NodeSpec spec = node(name, {"a", "b"}, {"out"}, [drops](Activation& a) {
    if (!drops || (first_of(a) + first_of(a, 1)) % 3 != 0) a.emit(0, message(first_of(a)));
  });
  spec.options.join = Join::latest;
  spec.options.is_join_set = true;
  return spec;
}

/// Every `step_ms` from `begin_ms` on; its value is its time.
NodeSpec times(const std::string& name, int count, int begin_ms, int step_ms) {
  NodeSpec spec = node(name, {}, {"out"}, nullptr);
  spec.factory = std::make_shared<FunctionFactory>([=](int) {
    return [=, n = 0](Activation& a) mutable {
      const std::int64_t ms = begin_ms + n * step_ms;
      MessageRef one = message(ms);
      one->time_ns = ms * 1'000'000;
      a.emit(0, std::move(one));
      if (++n == count) a.end();
    };
  });
  return spec;
}

/// Counts those that are alive.
struct Tracked {
  static inline std::atomic<std::int64_t> alive{0};
  explicit Tracked(std::int64_t v) : value(v) { ++alive; }
  Tracked(const Tracked& other) : value(other.value) { ++alive; }
  Tracked(Tracked&& other) noexcept : value(other.value) { ++alive; }
  ~Tracked() { --alive; }
  std::int64_t value;
};
std::int64_t tracked(const MessageRef& m) { return static_cast<const Tracked*>(m->value())->value; }

}  // namespace

TEST_CASE("joins: the latest runs for each new message, and nothing goes back") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int left = graph->add(numbers("left", 2'000));
  const int right = graph->add(numbers("right", 500));
  NodeSpec spec = collect("pair", into, {"a", "b"});
  spec.options.join = Join::latest;
  spec.options.is_join_set = true;
  const int pair = graph->add(std::move(spec));
  graph->connect(left, 0, pair, 0);
  graph->connect(right, 0, pair, 1);
  static_cast<void>(run(graph));
  const auto& rows = into->rows;
  REQUIRE(rows.size() >= 500);  // all of whichever comes later
  REQUIRE(rows.back() == std::vector<std::int64_t>{1'999, 499});
  for (std::size_t i = 1; i < rows.size(); ++i) {
    // One of both is new.
    REQUIRE(rows[i][0] - rows[i - 1][0] + rows[i][1] - rows[i - 1][1] == 1);
    REQUIRE(rows[i][0] >= rows[i - 1][0]);
  }
}

TEST_CASE("joins: a join by origin after one by the latest, which repeats its lead") {
  for (const bool drops : {false, true}) {
    auto graph = std::make_shared<Graph>();
    auto into = std::make_shared<Collected>();
    const int left = graph->add(numbers("left", 3'000));
    const int right = graph->add(numbers("right", 3'000));
    const int latest = graph->add(latest_of("latest", drops));
    NodeSpec spec = collect("pair", into, {"a", "b"});
    spec.inputs[1].is_optional = true;
    const int pair = graph->add(std::move(spec));
    graph->connect(left, 0, latest, 0);
    graph->connect(right, 0, latest, 1);
    graph->connect(left, 0, pair, 0);
    graph->connect(latest, 0, pair, 1);
    static_cast<void>(run(graph));
    REQUIRE(into->rows.size() == 3'000);
    for (std::int64_t i = 0; i < 3'000; ++i) {
      const auto& row = into->rows[static_cast<std::size_t>(i)];
      REQUIRE(row[0] == i);
      REQUIRE((row[1] == i || row[1] == -1));
    }
    if (!drops) CHECK(into->rows.back()[1] == 2'999);
  }
}

TEST_CASE("joins: within a time") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int left = graph->add(times("left", 100, 0, 10));
  const int right = graph->add(times("right", 40, 3, 20));
  NodeSpec spec = collect("pair", into, {"a", "b"});
  spec.options.join = Join::within;
  spec.options.within_ms = 4;
  const int pair = graph->add(std::move(spec));
  graph->connect(left, 0, pair, 0);
  graph->connect(right, 0, pair, 1);
  const auto stats = run(graph);
  REQUIRE(into->rows.size() == 40);
  for (std::int64_t i = 0; i < 40; ++i) {
    CHECK(into->rows[static_cast<std::size_t>(i)] == std::vector<std::int64_t>{i * 20, i * 20 + 3});
  }
  CHECK(stats.edges[0].unpaired >= 39);
}

TEST_CASE("joins: a branch that takes in more than the other's edge holds") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int source = graph->add(numbers("source", 200));
  NodeSpec batch = node("batch", {"in"}, {"out"}, [](Activation& a) {
    for (std::size_t i = 0; i < a.items(); ++i) a.emit(0, a.port(0)[i], i);
  });
  batch.options.batch = 50;
  batch.options.max_delay_ms = 60'000;
  batch.options.capacity = 1;
  const int hop = graph->add(std::move(batch));
  NodeSpec spec = collect("pair", into, {"a", "b"});
  spec.options.capacity = 1;
  const int pair = graph->add(std::move(spec));
  graph->connect(source, 0, hop, 0);
  graph->connect(source, 0, pair, 0);
  graph->connect(hop, 0, pair, 1);
  static_cast<void>(run(graph));
  REQUIRE(into->rows.size() == 200);
  for (const auto& row : into->rows) REQUIRE(row[0] == row[1]);
}

TEST_CASE("joins: a million messages with drops of all kinds, and little is kept") {
  const auto count = static_cast<std::int64_t>(exec_test::scaled(1'000'000));
  auto graph = std::make_shared<Graph>();
  NodeSpec from = node("source", {}, {"out"}, nullptr);
  from.factory = std::make_shared<FunctionFactory>([count](int) {
    return [count, n = std::int64_t{0}](Activation& a) mutable {
      a.emit(0, message(Tracked(n++)));
      if (n == count) a.end();
    };
  });
  const int source = graph->add(std::move(from));
  NodeSpec detect = node("detect", {"in"}, {"out"}, [](Activation& a) {
    const std::int64_t v = tracked(a.port(0)[0]);
    if (v % 7 == 3) throw std::runtime_error("bad");
    if (v % 5 != 0) a.emit(0, message(Tracked(v)));
  });
  detect.options.policy = Policy::drop_oldest;
  detect.options.on_error = OnError::skip;
  detect.options.is_on_error_set = true;
  const int hop = graph->add(std::move(detect));
  NodeSpec more = node("more", {"in"}, {"out"}, [](Activation& a) { a.emit(0, a.port(0)[0]); });
  more.options.policy = Policy::drop_newest;
  more.options.instances = 2;
  const int last = graph->add(std::move(more));
  std::int64_t rows = 0, wrong = 0, most = 0;
  const int draw = graph->add(node("draw", {"a", "b"}, {}, [&](Activation& a) {
    ++rows;
    wrong += tracked(a.port(0)[0]) != tracked(a.port(1)[0]) ? 1 : 0;
    most = std::max(most, Tracked::alive.load());
  }));
  graph->connect(source, 0, hop, 0);
  graph->connect(hop, 0, last, 0);
  graph->connect(source, 0, draw, 0);
  graph->connect(last, 0, draw, 1);
  const auto stats = run(graph);
  CHECK(wrong == 0);
  CHECK(rows > 0);
  CHECK(most < 300);
  std::int64_t unpaired = 0;
  for (const auto& edge : stats.edges) unpaired += edge.to == "draw" ? edge.unpaired : 0;
  CHECK(rows + unpaired == count);
  CHECK(exec_test::eventually([] { return Tracked::alive.load() == 0; }));
}
