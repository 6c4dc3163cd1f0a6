// How runs and operators end: by their inputs, counts, stop, errors, or because nobody can go on.
#include "exec_fixture.hpp"
#include "graph_fixture.hpp"

#include <atomic>
#include <thread>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

/// Counts what its instances go through.
struct Lives {
  std::atomic<int> made{0}, started{0}, stopped{0}, gone{0};
};
class LivingBody final : public Body {
 public:
  LivingBody(Lives& lives, std::function<void(Activation&)> run, bool fails_to_start)
      : lives_(lives), run_(std::move(run)), fails_to_start_(fails_to_start) {
    ++lives_.made;
  }
  ~LivingBody() override { ++lives_.gone; }
  void start(Instance&) override {
    if (fails_to_start_) throw std::runtime_error("no start");
    ++lives_.started;
  }
  void run(Activation& a) override { run_(a); }
  void stop() override { ++lives_.stopped; }

 private:
  Lives& lives_;
  std::function<void(Activation&)> run_;
  bool fails_to_start_;
};
class LivingFactory final : public BodyFactory {
 public:
  LivingFactory(Lives& lives, std::function<void(Activation&)> run, int bad_instance = -1)
      : lives_(lives), run_(std::move(run)), bad_instance_(bad_instance) {}
  std::unique_ptr<Body> make(int instance) override {
    return std::make_unique<LivingBody>(lives_, run_, instance == bad_instance_);
  }

 private:
  Lives& lives_;
  std::function<void(Activation&)> run_;
  int bad_instance_;
};
NodeSpec living(NodeSpec spec, Lives& lives, std::function<void(Activation&)> run,
                int bad_instance = -1) {
  spec.factory = std::make_shared<LivingFactory>(lives, std::move(run), bad_instance);
  return spec;
}

NodeSpec endless(const std::string& name) {
  return node(name, {}, {"out"},
              [n = std::int64_t{0}](Activation& a) mutable { a.emit(0, message(n++)); });
}
void wait_for(runtime::Run& run) { REQUIRE(run.wait(now_ns() + exec_test::kPatience)); }

}  // namespace

TEST_CASE("ends: when a required input has ended and is empty, also if others have more") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int left = graph->add(numbers("left", 5));
  const int right = graph->add(endless("right"));  // ends because nobody wants it any more
  const int pair = graph->add(collect("pair", into, {"a", "b"}));
  graph->connect(left, 0, pair, 0);
  graph->connect(right, 0, pair, 1);
  static_cast<void>(run(graph));
  CHECK(into->rows.size() == 5);
}

TEST_CASE("ends: an optional input ends alone") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int left = graph->add(numbers("left", 50));
  const int right = graph->add(numbers("right", 5));
  NodeSpec spec = collect("pair", into, {"a", "b"});
  spec.inputs[1].is_optional = true;
  const int pair = graph->add(std::move(spec));
  graph->connect(left, 0, pair, 0);
  graph->connect(right, 0, pair, 1);
  static_cast<void>(run(graph));
  REQUIRE(into->rows.size() == 50);
  CHECK(into->rows[4] == std::vector<std::int64_t>{4, 4});
  CHECK(into->rows[5] == std::vector<std::int64_t>{5, -1});
}

TEST_CASE("ends: a count ends its operator and the senders into it, but not a sender with others") {
  for (const int instances : {1, 3}) {
    CAPTURE(instances);
    auto graph = std::make_shared<Graph>();
    auto few = std::make_shared<Collected>();
    auto all = std::make_shared<Collected>();
    const int forever = graph->add(endless("forever"));
    const int source = graph->add(numbers("source", 200));
    NodeSpec first = map("first", [](std::int64_t v) { return v; });
    first.options.count = 7;
    first.options.instances = instances;
    NodeSpec second = map("second", [](std::int64_t v) { return v; });
    second.options.count = 7;
    const int one = graph->add(std::move(first));
    const int two = graph->add(std::move(second));
    const int sink = graph->add(collect("few", few));
    const int others = graph->add(collect("all", all));
    graph->connect(forever, 0, one, 0);
    graph->connect(source, 0, two, 0);
    graph->connect(one, 0, sink, 0);
    graph->connect(two, 0, sink, 0);
    graph->connect(source, 0, others, 0);
    static_cast<void>(run(graph));
    CHECK(few->rows.size() == 14);
    CHECK(all->rows.size() == 200);
  }
}

TEST_CASE("ends: several instances of a source each give what they have") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  NodeSpec source = numbers("source", 0);
  source.factory = std::make_shared<FunctionFactory>([](int instance) {
    return [instance, n = 0](Activation& a) mutable {
      a.emit(0, message(std::int64_t{instance}));
      if (++n == 5 * (instance + 1)) a.end();
    };
  });
  source.options.instances = 3;
  const int from = graph->add(std::move(source));
  const int sink = graph->add(collect("sink", into));
  graph->connect(from, 0, sink, 0);
  static_cast<void>(run(graph));
  CHECK(into->rows.size() == 5 + 10 + 15);
}

TEST_CASE("ends: stop ends the sources, and the rest drains") {
  auto graph = std::make_shared<Graph>();
  Lives lives;
  std::atomic<std::int64_t> sent{0}, came{0};
  const int source = graph->add(
      node("source", {}, {"out"}, [&](Activation& a) { a.emit(0, message(sent.fetch_add(1))); }));
  NodeSpec slow = living(map("slow", nullptr), lives, [](Activation& a) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    a.emit(0, a.port(0)[0]);
  });
  slow.options.instances = 3;
  slow.options.capacity = 16;
  const int hop = graph->add(std::move(slow));
  const int sink = graph->add(node("sink", {"in"}, {}, [&](Activation&) { ++came; }));
  graph->connect(source, 0, hop, 0);
  graph->connect(hop, 0, sink, 0);
  const auto run = runtime::Run::start(graph, {});
  REQUIRE(exec_test::eventually([&] { return came.load() > 20; }));
  run->stop();
  wait_for(*run);
  CHECK(came.load() == sent.load());
  CHECK(lives.stopped.load() == 3);
}

TEST_CASE("ends: stop ends a loop that no source drives") {
  auto graph = std::make_shared<Graph>();
  std::atomic<int> rounds{0};
  NodeSpec loop = node("loop", {"in"}, {"out"}, [](Activation& a) {
    if (!a.is_source) return a.emit(0, a.port(0)[0]);
    a.emit(0, message(std::int64_t{0}));
    a.end();
  });
  loop.is_loop = true;
  loop.inputs[0].is_optional = true;
  const int begin = graph->add(std::move(loop));
  const int step = graph->add(node("step", {"in"}, {"out"}, [&](Activation& a) {
    ++rounds;
    a.emit(0, a.port(0)[0]);
  }));
  graph->connect(begin, 0, step, 0);
  graph->connect(step, 0, begin, 0);
  const auto run = runtime::Run::start(graph, {});
  REQUIRE(exec_test::eventually([&] { return rounds.load() > 100; }));
  run->stop();
  wait_for(*run);
}

TEST_CASE("ends: an error drops what is in flight and stops each body that was started") {
  for (const int instances : {1, 3}) {
    CAPTURE(instances);
    auto graph = std::make_shared<Graph>();
    Lives hops, sinks;
    const int source = graph->add(endless("source"));
    NodeSpec hop = living(map("hop", nullptr), hops, [](Activation& a) {
      if (*static_cast<const std::int64_t*>(a.port(0)[0]->value()) == 100) {
        throw std::out_of_range("a hundred");
      }
      a.emit(0, a.port(0)[0]);
    });
    hop.options.instances = instances;
    const int middle = graph->add(std::move(hop));
    const int sink =
        graph->add(living(node("sink", {"in"}, {}, nullptr), sinks, [](Activation&) {}));
    graph->connect(source, 0, middle, 0);
    graph->connect(middle, 0, sink, 0);
    const auto run = runtime::Run::start(graph, {});
    CHECK_THROWS_AS(static_cast<void>(run->wait(now_ns() + exec_test::kPatience)),
                    std::out_of_range);
    CHECK(run->failure().origin == "source #100");
    CHECK(hops.started.load() == instances);
    CHECK(hops.stopped.load() == hops.started.load());
    CHECK(sinks.stopped.load() == 1);
    CHECK(hops.gone.load() == hops.made.load());
  }
}

TEST_CASE("ends: a body that does not start is not stopped, the others are") {
  for (const int instances : {1, 3}) {
    CAPTURE(instances);
    auto graph = std::make_shared<Graph>();
    Lives lives;
    const int source = graph->add(endless("source"));
    NodeSpec spec =
        living(node("sink", {"in"}, {}, nullptr), lives, [](Activation&) {}, instances - 1);
    spec.options.instances = instances;
    const int sink = graph->add(std::move(spec));
    graph->connect(source, 0, sink, 0);
    const auto run = runtime::Run::start(graph, {});
    CHECK_THROWS_WITH(static_cast<void>(run->wait(now_ns() + exec_test::kPatience)), "no start");
    CHECK(lives.started.load() == instances - 1);
    CHECK(lives.stopped.load() == instances - 1);
    CHECK(lives.gone.load() == instances);
  }
}

TEST_CASE("ends: abort from outside") {
  auto graph = std::make_shared<Graph>();
  const int source = graph->add(endless("source"));
  const int sink = graph->add(node("sink", {"in"}, {}, [](Activation&) {}));
  graph->connect(source, 0, sink, 0);
  const auto run = runtime::Run::start(graph, {});
  run->abort(std::make_exception_ptr(std::runtime_error("enough")));
  CHECK_THROWS_WITH(static_cast<void>(run->wait(now_ns() + exec_test::kPatience)), "enough");
}

TEST_CASE("ends: a deadlock is told within a second, with who waits for whom") {
  auto graph = std::make_shared<Graph>();
  const int source = graph->add(numbers("source", 1'000));
  const int half = graph->add(map("half", [](std::int64_t v) { return v % 2 == 0 ? v : -1; }));
  NodeSpec pair = collect("pair", std::make_shared<Collected>(), {"a", "b"});
  pair.options.join = Join::position;
  pair.options.is_join_set = true;
  const int join = graph->add(std::move(pair));
  graph->connect(source, 0, join, 0);
  graph->connect(source, 0, half, 0);
  graph->connect(half, 0, join, 1);
  const std::int64_t begun = now_ns();
  std::string told;
  try {
    static_cast<void>(run(graph));
  } catch (const DeadlockError& error) {
    told = error.what();
  }
  CHECK(now_ns() - begun < (exec_test::kSanitized ? exec_test::kPatience : exec_test::kSecond));
  CHECK(told.find("source waits for room in its edge to pair.a, which is full (4)") !=
        std::string::npos);
  CHECK(told.find("pair waits for a message on \"b\" from half") != std::string::npos);
  CHECK(told.find("half waits for a message on \"in\" from source") != std::string::npos);
}

TEST_CASE("ends: the last handle may be dropped at any time, also by the run itself") {
  for (int i = 0; i < 50; ++i) {
    auto graph = std::make_shared<Graph>();
    const int source = graph->add(numbers("source", 20));
    const int sink = graph->add(collect("sink", std::make_shared<Collected>()));
    graph->connect(source, 0, sink, 0);
    std::atomic<bool> is_over{false};
    auto run = runtime::Run::start(graph, {});
    run->on_end([&] { is_over.store(true); });
    if (i % 2 == 0) std::this_thread::yield();
    run.reset();
    REQUIRE(exec_test::eventually([&] { return is_over.load(); }));
  }
}
