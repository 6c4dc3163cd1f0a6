// What an exception of an operator does, by on_error.
#include "exec_fixture.hpp"
#include "graph_fixture.hpp"

#include <atomic>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

std::int64_t first_of(const Activation& a) { return value_of<std::int64_t>(a.port(0)[0]); }

struct Line {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::shared_ptr<Collected> into = std::make_shared<Collected>();

  explicit Line(NodeSpec middle, std::int64_t count = 20) {
    const int source = graph->add(numbers("source", count));
    const int hop = graph->add(std::move(middle));
    const int sink = graph->add(collect("sink", into));
    graph->connect(source, 0, hop, 0);
    graph->connect(hop, 0, sink, 0);
  }
  std::vector<std::int64_t> values() const {
    std::vector<std::int64_t> all;
    for (const auto& row : into->rows) all.push_back(row[0]);
    return all;
  }
};

/// Throws for every fifth.
NodeSpec bad(OnError on_error) {
  NodeSpec spec = node("bad", {"in"}, {"out"}, [](Activation& a) {
    for (std::size_t i = 0; i < a.items(); ++i) {
      const std::int64_t v = value_of<std::int64_t>(a.port(0)[i]);
      if (v % 5 == 4) throw std::runtime_error("bad " + std::to_string(v));
      a.emit(0, a.port(0)[i], i);
    }
  });
  spec.options.on_error = on_error;
  spec.options.is_on_error_set = true;
  return spec;
}
std::vector<std::int64_t> good(std::int64_t count) {
  std::vector<std::int64_t> all;
  for (std::int64_t v = 0; v < count; ++v) {
    if (v % 5 != 4) all.push_back(v);
  }
  return all;
}

}  // namespace

TEST_CASE("errors: raise ends the run, and names where it came from") {
  Line line(bad(OnError::raise));
  const auto run = runtime::Run::start(line.graph, {});
  CHECK_THROWS_WITH(static_cast<void>(run->wait(kNever)), "bad 4");
  CHECK(run->failure().node == "bad");
  CHECK(run->failure().origin == "source #4");
}

TEST_CASE("errors: skip drops the message, and counts") {
  for (const int instances : {1, 3}) {
    NodeSpec spec = bad(OnError::skip);
    spec.options.instances = instances;
    Line line(std::move(spec));
    const auto stats = run(line.graph);
    CHECK(line.values() == good(20));
    CHECK(stats.operators[1].skipped == 4);
    CHECK_THROWS_AS(std::rethrow_exception(stats.operators[1].last_error), std::runtime_error);
  }
}

TEST_CASE("errors: more than max_errors raise") {
  NodeSpec spec = bad(OnError::skip);
  spec.options.max_errors = 2;
  Line line(std::move(spec));
  CHECK_THROWS_WITH(static_cast<void>(run(line.graph)), "bad 14");
}

TEST_CASE("errors: restart makes a new object") {
  for (const int instances : {1, 2}) {
    NodeSpec spec = bad(OnError::restart);
    std::atomic<int> made{0};
    auto old = spec.factory;
    spec.factory = std::make_shared<FunctionFactory>([&made, old](int instance) {
      ++made;
      auto body = std::shared_ptr<Body>(old->make(instance));
      return [body](Activation& a) { body->run(a); };
    });
    spec.options.instances = instances;
    Line line(std::move(spec));
    static_cast<void>(run(line.graph));
    CHECK(line.values() == good(20));
    CHECK(made.load() == instances + 4);
  }
}

TEST_CASE("errors: a call decides, and may end the run") {
  std::vector<std::string> told;
  NodeSpec spec = bad(OnError::call);
  spec.options.on_error_call = [&](const std::exception_ptr& error, const Message& message) {
    told.push_back(std::to_string(message.get<std::int64_t>()));
    if (message.get<std::int64_t>() == 14) std::rethrow_exception(error);
  };
  Line line(std::move(spec));
  CHECK_THROWS_WITH(static_cast<void>(run(line.graph)), "bad 14");
  CHECK(told == std::vector<std::string>{"4", "9", "14"});
}

TEST_CASE("errors: a source's error may end it alone") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  NodeSpec bad_source = node("bad", {}, {"out"}, [n = std::int64_t{0}](Activation& a) mutable {
    if (n == 3) throw std::runtime_error("no more");
    a.emit(0, message(1000 + n++));
  });
  bad_source.options.on_error = OnError::end;
  bad_source.options.is_on_error_set = true;
  const int first = graph->add(std::move(bad_source));
  const int second = graph->add(numbers("good", 10));
  const int sink = graph->add(collect("sink", into));
  graph->connect(first, 0, sink, 0);
  graph->connect(second, 0, sink, 0);
  static_cast<void>(run(graph));
  CHECK(into->rows.size() == 13);
}

TEST_CASE("errors: a batch that raises is tried again one by one") {
  NodeSpec spec = bad(OnError::skip);
  spec.options.batch = 8;
  spec.options.max_delay_ms = 1'000;
  spec.options.capacity = 16;
  Line line(std::move(spec), 40);
  const auto stats = run(line.graph);
  CHECK(line.values() == good(40));
  CHECK(stats.operators[1].skipped == 8);
}

TEST_CASE("errors: a run's rule is for operators that say nothing") {
  NodeSpec spec = bad(OnError::raise);
  spec.options.is_on_error_set = false;
  Line line(std::move(spec));
  runtime::RunOptions options;
  options.on_error = OnError::skip;
  static_cast<void>(run(line.graph, options));
  CHECK(line.values() == good(20));
}

TEST_CASE("errors: no memory and device faults are never skipped") {
  NodeSpec spec = node("bad", {"in"}, {"out"}, [](Activation& a) {
    if (first_of(a) == 3) throw OutOfMemory("none left");
  });
  spec.options.on_error = OnError::skip;
  spec.options.is_on_error_set = true;
  Line line(std::move(spec));
  CHECK_THROWS_AS(static_cast<void>(run(line.graph)), OutOfMemory);
}

TEST_CASE("errors: ready() that throws ends the run") {
  class Unready final : public Body {
   public:
    void run(Activation&) override {}
    bool ready() override { throw std::runtime_error("not even that"); }
  };
  class Factory final : public BodyFactory {
   public:
    std::unique_ptr<Body> make(int) override { return std::make_unique<Unready>(); }
    [[nodiscard]] bool has_ready() const override { return true; }
  };
  for (const int instances : {1, 2}) {
    NodeSpec spec = bad(OnError::raise);
    spec.factory = std::make_shared<Factory>();
    spec.options.instances = instances;
    Line line(std::move(spec));
    CHECK_THROWS_WITH(static_cast<void>(run(line.graph)), "not even that");
  }
}
