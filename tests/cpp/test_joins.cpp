// Joins: which messages belong together, whatever is dropped on the way.
#include "exec_fixture.hpp"
#include "graph_fixture.hpp"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

std::int64_t hash_of(std::int64_t v) {
  auto x = static_cast<std::uint64_t>(v) * 0x9E3779B97F4A7C15u;
  x ^= x >> 31;
  return static_cast<std::int64_t>(x >> 1);
}
std::int64_t first_of(const Activation& a, std::size_t port = 0) {
  return *static_cast<const std::int64_t*>(a.port(port)[0]->value());
}
std::function<std::int64_t(std::int64_t)> keep_all() {
  return [](std::int64_t v) { return v; };
}
std::function<std::int64_t(std::int64_t)> drop_some(int one_in) {
  return [one_in](std::int64_t v) { return hash_of(v) % one_in == 0 ? -1 : v; };
}

struct Joined {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::shared_ptr<Collected> into = std::make_shared<Collected>();
  int pair = -1;

  void add_pair(std::initializer_list<const char*> names = {"a", "b"},
                const std::function<void(NodeSpec&)>& change = nullptr) {
    NodeSpec spec = collect("pair", into, names);
    if (change) change(spec);
    pair = graph->add(std::move(spec));
  }
  int add(NodeSpec spec, std::initializer_list<int> from) {
    const int index = graph->add(std::move(spec));
    for (const int sender : from) graph->connect(sender, 0, index, 0);
    return index;
  }
  int route(int from, int ways) {
    NodeSpec spec = node("route", {"in"}, {"out0", "out1", "out2"}, [ways](Activation& a) {
      const auto way = static_cast<std::uint32_t>(hash_of(first_of(a)) % (ways + 1));
      if (way < static_cast<std::uint32_t>(ways)) a.emit(way, a.port(0)[0]);
    });
    return add(std::move(spec), {from});
  }
};

/// Several for each number: v * 10, v * 10 + 1, ...
NodeSpec split(const std::string& name, int parts) {
  return node(name, {"in"}, {"out"}, [parts](Activation& a) {
    for (int i = 0; i < parts; ++i) a.emit(0, message(first_of(a) * 10 + i));
  });
}

}  // namespace

TEST_CASE("joins: several senders on one port against the direct branch") {
  for (const bool through_merge : {false, true}) {
    CAPTURE(through_merge);
    Joined g;
    const int source = g.graph->add(numbers("source", 5'000));
    const int route = g.route(source, 2);
    const int left = g.graph->add(map("left", drop_some(5)));
    const int right = g.graph->add(map("right", keep_all()));
    g.graph->connect(route, 0, left, 0);
    g.graph->connect(route, 1, right, 0);
    g.add_pair();
    g.graph->connect(source, 0, g.pair, 0);
    if (through_merge) {
      const int merge = g.add(map("merge", keep_all()), {left, right});
      g.graph->connect(merge, 0, g.pair, 1);
    } else {
      g.graph->connect(left, 0, g.pair, 1);
      g.graph->connect(right, 0, g.pair, 1);
    }
    const auto stats = run(g.graph);
    std::size_t expected = 0;
    for (std::int64_t v = 0; v < 5'000; ++v) {
      const auto way = hash_of(v) % 3;
      if (way == 1 || (way == 0 && hash_of(v) % 5 != 0)) ++expected;
    }
    REQUIRE(g.into->rows.size() == expected);
    for (const auto& row : g.into->rows) REQUIRE(row[0] == row[1]);
    CHECK(stats.edges[0].unpaired + stats.edges[3].unpaired == 5'000 - static_cast<int>(expected));
  }
}

TEST_CASE("joins: the order stays where what is missing is told of early") {
  for (const int instances : {1, 3}) {
    for (const int batch : {1, 8}) {
      CAPTURE(instances);
      CAPTURE(batch);
      Joined g;
      const int source = g.graph->add(numbers("source", 4'000));
      const int filter = g.add(map("filter", drop_some(3)), {source});
      NodeSpec slow = map("slow", drop_some(4));
      slow.options.instances = instances;
      slow.options.batch = batch;
      slow.options.capacity = 16;
      const int detect = g.add(std::move(slow), {filter});
      g.add_pair({"a", "b"}, [](NodeSpec& spec) { spec.inputs[1].is_optional = true; });
      g.graph->connect(source, 0, g.pair, 0);
      g.graph->connect(detect, 0, g.pair, 1);
      static_cast<void>(run(g.graph));
      REQUIRE(g.into->rows.size() == 4'000);
      for (std::int64_t i = 0; i < 4'000; ++i) {
        const auto& row = g.into->rows[static_cast<std::size_t>(i)];
        REQUIRE(row[0] == i);
        REQUIRE(row[1] == (hash_of(i) % 3 == 0 || hash_of(i) % 4 == 0 ? -1 : i));
      }
    }
  }
}

TEST_CASE("joins: what will not come is known at once") {
  Joined g;
  std::atomic<int> rows{0};
  std::atomic<bool> came{true};
  NodeSpec spec = node("source", {}, {"out"}, nullptr);
  spec.factory = std::make_shared<FunctionFactory>([&](int) {
    return [&, n = 0](Activation& a) mutable {
      if (n > 0 && !exec_test::eventually([&] { return rows.load() >= n; })) {
        came.store(false);
      }
      a.emit(0, message(std::int64_t{n}));
      if (++n == 5) a.end();
    };
  });
  const int source = g.graph->add(std::move(spec));
  const int none = g.add(map("none", [](std::int64_t) { return -1; }), {source});
  NodeSpec pair = node("pair", {"a", "b"}, {}, [&](Activation&) { rows.fetch_add(1); });
  pair.inputs[1].is_optional = true;
  g.pair = g.graph->add(std::move(pair));
  g.graph->connect(source, 0, g.pair, 0);
  g.graph->connect(none, 0, g.pair, 1);
  runtime::RunOptions options;
  options.workers = 4;
  static_cast<void>(run(g.graph, options));
  CHECK(came.load());
  CHECK(rows.load() == 5);
}

TEST_CASE("joins: of different sources by number") {
  Joined g;
  const int left = g.add(map("some left", drop_some(3)), {g.graph->add(numbers("left", 1'000))});
  const int right = g.add(map("some right", drop_some(2)), {g.graph->add(numbers("right", 700))});
  g.add_pair();
  g.graph->connect(left, 0, g.pair, 0);
  g.graph->connect(right, 0, g.pair, 1);
  static_cast<void>(run(g.graph));
  std::vector<std::vector<std::int64_t>> expected;
  for (std::int64_t v = 0; v < 700; ++v) {
    if (hash_of(v) % 3 != 0 && hash_of(v) % 2 != 0) expected.push_back({v, v});
  }
  CHECK(g.into->rows == expected);
}

TEST_CASE("joins: a common source first, then the groups") {
  Joined g;
  const int x = g.graph->add(numbers("x", 500));
  const int y = g.graph->add(numbers("y", 500));
  const int of_x = g.add(map("of x", drop_some(3)), {x});
  g.add_pair({"a", "b", "c"});
  g.graph->connect(x, 0, g.pair, 0);
  g.graph->connect(y, 0, g.pair, 1);
  g.graph->connect(of_x, 0, g.pair, 2);
  static_cast<void>(run(g.graph));
  REQUIRE(g.into->rows.size() > 200);
  for (const auto& row : g.into->rows) {
    REQUIRE(row[0] == row[1]);
    REQUIRE(row[0] == row[2]);
  }
}

TEST_CASE("joins: a result has the origin of its lead, and that of no other input") {
  Joined g;
  const int x = g.graph->add(numbers("x", 300));
  const int y = g.graph->add(numbers("y", 300));
  NodeSpec both =
      node("both", {"a", "b"}, {"out"}, [](Activation& a) { a.emit(0, message(first_of(a))); });
  const int mixed = g.graph->add(std::move(both));
  g.graph->connect(x, 0, mixed, 0);
  g.graph->connect(y, 0, mixed, 1);
  g.add_pair();
  g.graph->connect(mixed, 0, g.pair, 0);  // of x
  g.graph->connect(y, 0, g.pair, 1);
  CHECK(compile(*g.graph).nodes[static_cast<std::size_t>(g.pair)].groups == 2);
  static_cast<void>(run(g.graph));
  REQUIRE(g.into->rows.size() == 300);
  for (const auto& row : g.into->rows) REQUIRE(row[0] == row[1]);
}

TEST_CASE("joins: several results of one activation pair one by one") {
  for (const int again : {1, 2}) {
    CAPTURE(again);
    Joined g;
    const int source = g.graph->add(numbers("source", 1'000));
    int last = g.add(split("split", 3), {source});
    if (again == 2) last = g.add(split("again", 2), {last});
    const int some = g.add(map("some", drop_some(3)), {last});
    const int others = g.add(map("others", drop_some(4)), {last});
    g.add_pair();
    g.graph->connect(some, 0, g.pair, 0);
    g.graph->connect(others, 0, g.pair, 1);
    static_cast<void>(run(g.graph));
    REQUIRE(g.into->rows.size() > 500);
    for (const auto& row : g.into->rows) REQUIRE(row[0] == row[1]);
  }
}

TEST_CASE("joins: a message that goes on as it is keeps its origin for its other consumers") {
  Joined g;
  const int source = g.graph->add(numbers("source", 2'000));
  NodeSpec twice = node("twice", {"in"}, {"out"}, [](Activation& a) {
    a.emit(0, a.port(0)[0]);
    a.emit(0, a.port(0)[0]);
  });
  const int both = g.add(std::move(twice), {source});
  std::atomic<int> wrong{0};
  NodeSpec look = node("look", {"in"}, {}, [&](Activation& a) {
    if (a.lead()->origin.sub != kNoSub || a.lead()->weight != MessageData::kWhole) ++wrong;
  });
  g.add(std::move(look), {source});
  std::set<std::uint32_t> subs;
  g.add(node("subs", {"in"}, {}, [&](Activation& a) { subs.insert(a.lead()->origin.sub); }),
        {both});
  static_cast<void>(run(g.graph));
  CHECK(wrong.load() == 0);
  CHECK(subs == std::set<std::uint32_t>{0, 1});
}

TEST_CASE("joins: by position, with sizes and one of each sender") {
  Joined g;
  const int left = g.graph->add(numbers("left", 10));
  const int right = g.graph->add(numbers("right", 7));
  g.add_pair({"a", "b"}, [](NodeSpec& spec) {
    spec.inputs[0].size = 3;
    spec.inputs[1].size = 2;
  });
  g.graph->connect(left, 0, g.pair, 0);
  g.graph->connect(right, 0, g.pair, 1);
  static_cast<void>(run(g.graph));
  CHECK(g.into->rows ==
        std::vector<std::vector<std::int64_t>>{{0, 1, 2, 0, 1}, {3, 4, 5, 2, 3}, {6, 7, 8, 4, 5}});

  Joined any;
  any.add_pair({"a"}, [](NodeSpec& spec) { spec.inputs[0].size = kAnySize; });
  for (const int count : {3, 1, 2}) {
    any.graph->connect(any.graph->add(numbers("n" + std::to_string(count), count)), 0, any.pair, 0);
  }
  static_cast<void>(run(any.graph));
  CHECK(any.into->rows == std::vector<std::vector<std::int64_t>>{{0, 0, 0}, {1, 1}, {2}});
}

TEST_CASE("joins: aggregates tell of the numbers that end in them") {
  Joined g;
  const int source = g.graph->add(numbers("source", 300));
  NodeSpec sum = node("sum", {"in"}, {"out"}, [](Activation& a) {
    std::int64_t all = 0;
    for (const MessageRef& m : a.port(0)) all += value_of<std::int64_t>(m);
    a.emit(0, message(all));
  });
  sum.inputs[0].size = 3;
  const int sums = g.add(std::move(sum), {source});
  g.add_pair({"a", "b"}, [](NodeSpec& spec) { spec.inputs[1].is_optional = true; });
  g.graph->connect(source, 0, g.pair, 0);
  g.graph->connect(sums, 0, g.pair, 1);
  static_cast<void>(run(g.graph));
  REQUIRE(g.into->rows.size() == 300);
  for (const auto& row : g.into->rows) {
    REQUIRE(row[1] == (row[0] % 3 == 2 ? 3 * row[0] - 3 : -1));
  }
}
