// Both forms of writing a graph, how it runs, and which graphs are refused before they do.
#include <penstock/penstock.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace ps = penstock;
using doctest::Contains;

namespace {

struct Count : ps::Operator {
  int end;
  int next = 0;
  explicit Count(int e = 0) : end(e) {}
  void setup(ps::Spec& spec) override { spec.output("out").type<int>(); }
  void compute(ps::Inputs&, ps::Outputs& outputs, ps::Context& context) override {
    if (next < end) outputs.emit(next++);
    if (next == end) context.end();
  }
};
struct Scale : ps::Operator {
  int factor = 1;
  void setup(ps::Spec& spec) override {
    spec.input("in").type<int>();
    spec.output("out").type<int>();
    spec.param(factor, "factor", 2);
  }
  void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) override {
    outputs.emit(*inputs.receive<int>() * factor);
  }
};
struct Sum : ps::Operator {
  std::atomic<std::int64_t>* sum;
  explicit Sum(std::atomic<std::int64_t>* s) : sum(s) {}
  void setup(ps::Spec& spec) override { spec.input("in").type<int>(); }
  void compute(ps::Inputs& inputs, ps::Outputs&, ps::Context&) override {
    *sum += *inputs.receive<int>();
  }
};

class App : public ps::Application {
 public:
  explicit App(int end) : end_(end) {}
  void compose() override {
    const auto source = make_operator<Count>("source", end_);
    const auto scale = make_operator<Scale>({.name = "scale"}, ps::Setting{"factor", 3});
    const auto sink = make_operator<Sum>("sink", &sum);
    add_flow(source, scale, {{"out", "in"}});
    add_flow(scale, sink);
  }
  std::atomic<std::int64_t> sum{0};

 private:
  int end_;
};

// An application of one function.
template <class F>
class Composed : public ps::Application {
 public:
  explicit Composed(F compose) : compose_(std::move(compose)) {}
  void compose() override { compose_(*this); }
  using Application::add_flow;
  using Application::make_operator;

 private:
  F compose_;
};

template <class F>
void refuses(F compose, const char* with) {
  Composed<F> app(std::move(compose));
  CHECK_THROWS_WITH_AS(static_cast<void>(app.run()), Contains(with), ps::GraphError);
}

ps::Flow count_to(int end, std::string name = "source") {
  return ps::source(
      [end, n = 0]() mutable -> std::optional<int> {
        return n < end ? std::optional(n++) : std::nullopt;
      },
      {.name = std::move(name)});
}
std::vector<int> range(int end) {
  std::vector<int> all(static_cast<std::size_t>(end));
  std::iota(all.begin(), all.end(), 0);
  return all;
}
template <class T = int>
std::vector<T> taken(const ps::Flow& flow) {
  std::vector<T> all;
  ps::Iterator it = ps::iterate(flow);
  while (const auto value = it.next<T>()) all.push_back(*value);
  return all;
}

}  // namespace

TEST_CASE("application: it runs, and runs again") {
  App app(100);
  const ps::RunStats stats = app.run();
  CHECK(app.sum == 3 * 4950);
  CHECK(stats.operators.at("scale").activations == 100);
  CHECK(stats.edges.at({"source", "out", "scale", "in"}).passed == 100);
  CHECK(stats.latency("source", "sink").count == 100);
  CHECK(stats.latency("source", "nobody").count == 0);
  app.run();
  CHECK(app.sum == 2 * 3 * 4950);
  CHECK(app.stats().operators.at("sink").activations == 100);
  CHECK(app.plan().find("scale (Scale)") != std::string::npos);
}

TEST_CASE("application: run_async, stop, a run while it runs, two side by side") {
  App app(1'000'000'000);
  App other(50);
  std::future<ps::RunStats> future = app.run_async();
  CHECK_THROWS_WITH_AS(static_cast<void>(app.run()), Contains("it runs already"), ps::GraphError);
  other.run();
  CHECK(other.sum == 3 * 1225);
  while (app.sum == 0) std::this_thread::yield();
  CHECK(app.stats().operators.at("source").activations > 0);
  CHECK(future.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  app.stop();
  REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK(future.get().operators.at("sink").activations > 0);
  app.stop();  // nothing runs
}

TEST_CASE("application: an error comes out of run and of the future, and it can run again") {
  bool fails = true;
  Composed app([&](auto& self) {
    const auto source = self.template make_operator<Count>("source", 5);
    const auto sink = self.template make_operator<Sum>("sink", nullptr);
    static_cast<void>(sink);
    struct Bad : ps::Operator {
      bool* fails;
      explicit Bad(bool* f) : fails(f) {}
      void setup(ps::Spec& spec) override {
        spec.input("in");
        spec.output("out");
      }
      void compute(ps::Inputs&, ps::Outputs&, ps::Context&) override {
        if (*fails) throw std::out_of_range("bad");
      }
    };
    const auto bad = self.template make_operator<Bad>("bad", &fails);
    self.add_flow(source, bad);
    self.add_flow(bad, sink);
  });
  CHECK_THROWS_WITH_AS(static_cast<void>(app.run()), "bad", std::out_of_range);
  auto future = app.run_async();
  CHECK_THROWS_AS(static_cast<void>(future.get()), std::out_of_range);
  fails = false;
  CHECK(app.run().operators.at("bad").activations == 5);
}

TEST_CASE("application: wrong graphs are refused before they run") {
  refuses(
      [](auto& self) {
        const auto a = self.template make_operator<Count>("a", 1);
        const auto b = self.template make_operator<Scale>("b");
        self.add_flow(a, b, {{"ouy", "in"}});
      },
      "a: no output \"ouy\"; it has \"out\"; did you mean \"out\"?");
  refuses([](auto& self) { self.template make_operator<Scale>("b"); },
          "b: its input \"in\" is not connected");
  refuses(
      [](auto& self) {
        self.template make_operator<Count>("a", 1);
        self.template make_operator<Count>("a", 1);
      },
      "two operators named \"a\"");
  refuses(
      [](auto& self) {
        struct Words : ps::Operator {
          void setup(ps::Spec& spec) override { spec.input("in").type<std::string>(); }
          void compute(ps::Inputs&, ps::Outputs&, ps::Context&) override {}
        };
        const auto a = self.template make_operator<Count>("a", 1);
        self.add_flow(a, self.template make_operator<Words>("w"));
      },
      "graph: a.out gives int, w.in takes std::string");
  refuses(
      [](auto& self) {
        const auto a = self.template make_operator<Scale>("a");
        const auto b = self.template make_operator<Scale>("b");
        self.add_flow(a, b);
        self.add_flow(b, a);
      },
      "is a cycle with no first message");
  refuses([](auto&) {}, "there is nothing to run");
}

TEST_CASE("flow: callables are operators") {
  auto twice = ps::op([](int v) { return v * 2; }, {.instances = 2});
  CHECK(twice(21) == 42);  // with a value it is called
  const ps::Flow x = count_to(50);
  std::vector<int> all;
  const ps::Flow end =
      x >> twice >> [](int v) { return v + 1; } >> [&](int v) { all.push_back(v); };
  static_cast<void>(ps::run(end));
  std::vector<int> expected;
  for (int i = 0; i < 50; ++i) expected.push_back(2 * i + 1);
  CHECK(all == expected);
  CHECK(taken(twice(x)).size() == 50);
}

TEST_CASE("flow: several inputs are joined, an optional result leaves a gap") {
  const ps::Flow x = count_to(9);
  const ps::Flow third =
      x >> [](int v) { return v % 3 == 0 ? std::optional(v * 100) : std::nullopt; };
  CHECK(taken(ps::op([](int a, int b) { return a + b; })(x, third)) ==
        std::vector<int>{0, 303, 606});
  const auto maybe = [](int a, std::optional<int> b) { return b ? a + *b : -1; };
  CHECK(taken(ps::op(maybe)(x, third)) == std::vector<int>{0, -1, -1, 303, -1, -1, 606, -1, -1});
}

TEST_CASE("flow: a tuple is several outputs, by name and number") {
  const auto split = ps::op(
      [](int v) {
        return std::tuple(
            v, v % 2 == 0 ? std::optional<std::string>(std::to_string(v)) : std::nullopt);
      },
      {.name = "split"}, {.outputs = {"number", "word"}});
  const ps::Flow both = split(count_to(4));
  CHECK(taken(both["number"]) == range(4));
  CHECK(taken<std::string>(both[1]) == std::vector<std::string>{"0", "2"});
  CHECK_THROWS_WITH_AS(static_cast<void>(both["ward"]), Contains("did you mean \"word\"?"),
                       ps::GraphError);
  CHECK_THROWS_AS(static_cast<void>(both[2]), ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(both >> [](int) {}), Contains("it has 2 outputs"),
                       ps::GraphError);
}

TEST_CASE("flow: batches are vectors in and out") {
  std::vector<std::size_t> sizes;
  const auto add = ps::op(
      [&sizes](const std::vector<int>& values) {
        sizes.push_back(values.size());
        std::vector<std::optional<int>> result;
        for (const int v : values) result.push_back(v == 2 ? std::nullopt : std::optional(v + 1));
        return result;
      },
      {.batch = 4, .max_delay_ms = 10'000});
  CHECK(taken(count_to(6) >> add) == std::vector<int>{1, 2, 4, 5, 6});
  CHECK(sizes == std::vector<std::size_t>{4, 2});
  const auto shorter =
      ps::op([](const std::vector<int>&) { return std::vector<int>{}; }, {.batch = 2});
  CHECK_THROWS_WITH_AS(static_cast<void>(taken(count_to(3) >> shorter)),
                       Contains("0 results for a batch of"), ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::op([](int v) { return v; }, {.batch = 2})),
                       Contains("every parameter is a std::vector"), ps::GraphError);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(ps::op([](const std::vector<int>&) { return 1; }, {.batch = 2})),
      Contains("every result is a std::vector"), ps::GraphError);
}

TEST_CASE("flow: a window slides; a vector without batch is a value") {
  const auto sum = [](const std::vector<int>& v) { return std::accumulate(v.begin(), v.end(), 0); };
  CHECK(taken(count_to(5) >> ps::op(sum, {.window = 3})) == std::vector<int>{3, 6, 9});
  const ps::Flow lists = count_to(3) >> [](int v) { return std::vector<int>{v, v}; };
  CHECK(taken(lists >> sum) == std::vector<int>{0, 2, 4});
}

TEST_CASE("flow: wrong ones are refused") {
  const ps::Flow x = count_to(3);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::op([](int) {}, {.name = "one"})(x, x)),
                       "one: 2 flows for its 1 inputs", ps::GraphError);
  const ps::Flow sink = x >> [](int) {};
  CHECK_THROWS_AS(static_cast<void>(sink >> [](int) {}), ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(x >> x), Contains("but no loop()"), ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::run(x >> [](const std::string&) {})),
                       Contains("takes std::string"), ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::run(ps::op([](int, int) {}, {.name = "two"})(x))),
                       Contains("two: its input \"in1\" is not connected"), ps::GraphError);
}

TEST_CASE("flow: start gives a run that can be watched, stopped and waited for") {
  std::atomic<int> count{0};
  const ps::Flow endless = ps::source([n = 0]() mutable { return n++; }, {.name = "endless"});
  ps::Run run = ps::start(endless >> ps::op([&](int) { ++count; }, {.name = "sink"}));
  CHECK_FALSE(run.wait_for(0.01));
  while (count < 100) std::this_thread::yield();
  CHECK_FALSE(run.is_over());
  CHECK(run.stats().operators.at("sink").activations > 0);
  run.stop();
  run.wait();
  CHECK(run.is_over());
  {
    const ps::Run dropped = ps::start(endless >> [&](int) { ++count; });
  }
  const int now = count;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(count == now);  // it was waited for
}

TEST_CASE("flow: options of a run") {
  std::atomic<int> passed{0};
  const auto bad = [](int v) {
    if (v % 2 == 1) throw std::runtime_error("odd");
  };
  const ps::RunStats stats =
      ps::run(count_to(10) >> ps::op(bad, {.name = "bad"}), {.on_error = ps::OnError::skip});
  CHECK(stats.operators.at("bad").skipped == 5);
  CHECK(stats.operators.at("bad").last_error != nullptr);
  static_cast<void>(ps::run(count_to(10) >> bad,
                            {.workers = 2, .on_error_call = [&](const auto&, const ps::Message& m) {
                               passed += m.get<int>();
                             }}));
  CHECK(passed == 25);
  CHECK_THROWS_AS(
      static_cast<void>(
          ps::run(count_to(10) >> ps::op(bad, {.on_error = ps::OnError::skip, .max_errors = 2}))),
      std::runtime_error);
}

TEST_CASE("flow: iterate runs as far as it is asked; dropping it stops the run") {
  std::atomic<int> made{0};
  const ps::Flow endless = ps::source([&made] { return made++; });
  {
    ps::Iterator it = ps::iterate(endless, 2);
    for (int i = 0; i < 10; ++i) CHECK(it.next<int>() == i);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(made <= 10 + 2 + 4);  // the drain, the edge, what is in the source's hands
    ps::Message message = it.next();
    CHECK(message.get<int>() == 10);
  }
  const int now = made;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(made == now);
}

TEST_CASE("flow: iterate ends, and gives the run's error after what came before it") {
  ps::Iterator it = ps::iterate(count_to(3));
  while (it.next()) {
  }
  CHECK_FALSE(it.next());
  const auto bad = [](int v) {
    if (v == 2) throw std::out_of_range("two");
    return v;
  };
  ps::Iterator failing = ps::iterate(count_to(100) >> bad);
  CHECK_THROWS_WITH_AS(while (failing.next()){}, "two", std::out_of_range);
  const auto never = ps::source([]() -> int { throw std::out_of_range("at once"); });
  CHECK_THROWS_AS(static_cast<void>(ps::iterate(never).next()), std::out_of_range);
}
