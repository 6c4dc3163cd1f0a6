// Work on streams, clocks, policies, copies and what is counted.
#include "graph_fixture.hpp"
#include "tensor_fixture.hpp"

#include <atomic>
#include <thread>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;
using penstock::test::eventually;

namespace {

std::int64_t first_of(const Activation& a) {
  return *static_cast<const std::int64_t*>(a.port(0)[0]->value());
}
const void* address_of(const Activation& a) { return a.port(0)[0]->tensor()->data(); }

class WithReady final : public Body {
 public:
  WithReady(std::atomic<bool>& is_ready, std::function<void(Activation&)> run)
      : is_ready_(is_ready), run_(std::move(run)) {}
  void run(Activation& a) override { run_(a); }
  bool ready() override { return is_ready_.load(); }

 private:
  std::atomic<bool>& is_ready_;
  std::function<void(Activation&)> run_;
};
class ReadyFactory final : public BodyFactory {
 public:
  ReadyFactory(std::atomic<bool>& is_ready, std::function<void(Activation&)> run)
      : is_ready_(is_ready), run_(std::move(run)) {}
  std::unique_ptr<Body> make(int) override { return std::make_unique<WithReady>(is_ready_, run_); }
  [[nodiscard]] bool has_ready() const override { return true; }

 private:
  std::atomic<bool>& is_ready_;
  std::function<void(Activation&)> run_;
};

}  // namespace

TEST_CASE("work: an operator stops at its limit of work in flight") {
  for (const int instances : {1, 2}) {
    CAPTURE(instances);
    auto graph = std::make_shared<Graph>();
    std::atomic<int> begun{0}, over{0};
    std::atomic<bool> is_open{false};
    NodeSpec spec = node("work", {"in"}, {}, [&](Activation&) {
      ++begun;
      Stream::current()->launch([&] {
        while (!is_open.load()) std::this_thread::yield();
        ++over;
      });
    });
    spec.options.in_flight = 3;
    spec.options.instances = instances;
    const int source = graph->add(numbers("source", 40));
    const int work = graph->add(std::move(spec));
    graph->connect(source, 0, work, 0);
    runtime::RunOptions options;
    options.workers = 6;
    const auto run = runtime::Run::start(graph, options);
    REQUIRE(eventually([&] { return begun.load() == 3 * instances; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(120));  // past a look for deadlocks
    CHECK(begun.load() == 3 * instances);
    is_open.store(true);
    REQUIRE(run->wait(now_ns() + exec_test::kPatience));
    CHECK(begun.load() == 40);
    CHECK(over.load() == 40);  // an operator ends after its work
  }
}

TEST_CASE("work: a host input waits for the work behind it") {
  for (const int instances : {1, 2}) {
    CAPTURE(instances);
    auto graph = std::make_shared<Graph>();
    std::atomic<bool> is_open{false};
    std::atomic<int> came{0}, wrong{0};
    NodeSpec source = node("source", {}, {"out"}, [&, n = 0](Activation& a) mutable {
      const Stream stream = Stream::current().value();
      Tensor tensor = Tensor::empty({16}, u8, {}, stream);
      stream.launch(
          [&, tensor] {
            while (!is_open.load()) std::this_thread::yield();
            std::memset(tensor.data(), 7, 16);
          },
          writes(tensor));
      a.emit(0, message(std::move(tensor)));
      if (++n == 8) a.end();
    });
    NodeSpec look = node("look", {"in"}, {}, [&](Activation& a) {
      ++came;
      if (*static_cast<const std::uint8_t*>(address_of(a)) != 7) ++wrong;
    });
    look.inputs[0].is_host = true;
    look.options.instances = instances;
    const int from = graph->add(std::move(source));
    const int to = graph->add(std::move(look));
    graph->connect(from, 0, to, 0);
    runtime::RunOptions options;
    options.workers = 4;
    const auto run = runtime::Run::start(graph, options);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK(came.load() == 0);
    is_open.store(true);
    REQUIRE(run->wait(now_ns() + exec_test::kPatience));
    CHECK(came.load() == 8);
    CHECK(wrong.load() == 0);
  }
}

TEST_CASE("work: an input that writes gets the tensor itself, or a copy where it is shared") {
  for (const bool is_shared : {false, true}) {
    CAPTURE(is_shared);
    auto graph = std::make_shared<Graph>();
    std::vector<const void*> sent, written;
    NodeSpec from = node("source", {}, {"out"}, [&, n = 0](Activation& a) mutable {
      Tensor tensor = Tensor::zeros({16}, u8);
      sent.push_back(tensor.data());
      a.emit(0, message(std::move(tensor)));
      if (++n == 10) a.end();
    });
    NodeSpec write = node("write", {"in"}, {}, [&](Activation& a) {
      std::memset(const_cast<void*>(address_of(a)), 1, 16);
      written.push_back(address_of(a));
    });
    write.inputs[0].is_written = true;
    const int source = graph->add(std::move(from));
    const int writer = graph->add(std::move(write));
    graph->connect(source, 0, writer, 0);
    std::vector<MessageRef> kept;
    std::mutex mutex;
    if (is_shared) {
      const int keep = graph->add(node("keep", {"in"}, {}, [&](Activation& a) {
        const std::lock_guard guard(mutex);
        kept.push_back(a.port(0)[0]);
      }));
      graph->connect(source, 0, keep, 0);
    }
    runtime::RunOptions options;
    options.workers = 1;
    const auto stats = run(graph, options);
    CHECK(stats.edges[0].copies == (is_shared ? 10 : 0));
    if (!is_shared) CHECK(written == sent);
    for (const MessageRef& message : kept) {
      CHECK(*static_cast<const std::uint8_t*>(message->tensor()->data()) == 0);
    }
  }
}

TEST_CASE("work: full edges drop the oldest or the newest, and count them") {
  for (const Policy policy : {Policy::drop_oldest, Policy::drop_newest}) {
    auto graph = std::make_shared<Graph>();
    auto into = std::make_shared<Collected>();
    std::atomic<bool> is_open{false};
    NodeSpec slow = node("slow", {"in"}, {}, [&](Activation& a) {
      while (!is_open.load()) std::this_thread::yield();
      const std::lock_guard guard(into->mutex);
      into->rows.push_back({first_of(a)});
    });
    slow.options.policy = policy;
    slow.options.capacity = 3;
    const int to = graph->add(std::move(slow));
    std::atomic<std::int64_t> sent{0};
    const int from = graph->add(node("source", {}, {"out"}, [&](Activation& a) {
      a.emit(0, message(sent.fetch_add(1)));
      if (sent.load() == 100) {
        a.end();
        is_open.store(true);
      }
    }));
    graph->connect(from, 0, to, 0);
    runtime::RunOptions options;
    options.workers = 2;
    const auto stats = run(graph, options);
    CHECK(stats.edges[0].dropped + static_cast<std::int64_t>(into->rows.size()) == 100);
    CHECK(stats.edges[0].dropped >= 80);
    CHECK((into->rows.back()[0] == 99) == (policy == Policy::drop_oldest));
  }
}

TEST_CASE("work: a source that waits for the answer to what it sent last goes on") {
  // The runs are so short that nobody is woken for them, until the answer is late.
  auto graph = std::make_shared<Graph>();
  std::atomic<std::int64_t> answered{0};
  bool in_time = true;
  const int from =
      graph->add(node("source", {}, {"out"}, [&, sent = std::int64_t{0}](Activation& a) mutable {
        in_time = in_time && backend::test::eventually([&] { return answered.load() == sent; });
        a.emit(0, message(++sent));
        if (sent == static_cast<std::int64_t>(backend::test::scaled(20'000)) || !in_time) a.end();
      }));
  const int through = graph->add(map("through", [](std::int64_t v) { return v; }));
  const int answer =
      graph->add(node("answer", {"in"}, {}, [&](Activation& a) { answered = first_of(a); }));
  graph->connect(from, 0, through, 0);
  graph->connect(through, 0, answer, 0);
  runtime::RunOptions options;
  options.workers = 2;
  run(graph, options);
  CHECK(in_time);
}

TEST_CASE("work: what is too old is dropped, and counted") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  const int source = graph->add(numbers("source", 20));
  const int slow = graph->add(map("slow", [](std::int64_t v) {
    std::this_thread::sleep_for(std::chrono::milliseconds(v == 0 ? 50 : 0));
    return v;
  }));
  NodeSpec sink = collect("sink", into);
  sink.options.max_age_ms = 20;
  const int to = graph->add(std::move(sink));
  graph->connect(source, 0, slow, 0);
  graph->connect(slow, 0, to, 0);
  const auto stats = run(graph);
  CHECK(stats.edges[1].dropped >= 1);
  CHECK(stats.edges[1].dropped + static_cast<std::int64_t>(into->rows.size()) == 20);
  for (const auto& row : into->rows) CHECK(row[0] != 0);
}

TEST_CASE("work: a clock") {
  auto graph = std::make_shared<Graph>();
  std::vector<std::int64_t> at;
  NodeSpec source = node("source", {}, {}, [&](Activation& a) {
    at.push_back(now_ns());
    if (at.size() == 6) a.end();
  });
  source.options.every_ms = 10;
  graph->add(std::move(source));
  static_cast<void>(run(graph));
  REQUIRE(at.size() == 6);
  CHECK(at[5] - at[0] >= 45'000'000);
}

TEST_CASE("work: it is not run before it is ready, which is no deadlock") {
  for (const int instances : {1, 3}) {
    CAPTURE(instances);
    std::atomic<bool> is_ready{false};
    std::atomic<int> came{0};
    auto graph = std::make_shared<Graph>();
    NodeSpec spec = node("sink", {"in"}, {}, nullptr);
    spec.factory = std::make_shared<ReadyFactory>(is_ready, [&](Activation&) { ++came; });
    spec.options.instances = instances;
    const int source = graph->add(numbers("source", 10));
    const int sink = graph->add(std::move(spec));
    graph->connect(source, 0, sink, 0);
    const auto run = runtime::Run::start(graph, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK(came.load() == 0);
    is_ready.store(true);
    REQUIRE(run->wait(now_ns() + exec_test::kPatience));
    CHECK(came.load() == 10);
  }
}

TEST_CASE("work: a source that is never ready ends by stop") {
  for (const int instances : {1, 3}) {
    std::atomic<bool> is_ready{false};
    auto graph = std::make_shared<Graph>();
    NodeSpec spec = node("source", {}, {}, nullptr);
    spec.factory = std::make_shared<ReadyFactory>(is_ready, [](Activation&) {});
    spec.options.instances = instances;
    graph->add(std::move(spec));
    const auto run = runtime::Run::start(graph, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    run->stop();
    REQUIRE(run->wait(now_ns() + exec_test::kPatience));
  }
}

TEST_CASE("work: one object and one order for each source") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  NodeSpec spec = node("each", {"in"}, {"out"}, nullptr);
  std::atomic<int> made{0}, mixed{0};
  spec.factory = std::make_shared<FunctionFactory>([&](int) {
    ++made;
    return [&, source = std::int64_t{-1}, last = std::int64_t{-1}](Activation& a) mutable {
      const auto from = static_cast<std::int64_t>(a.lead()->origin.source);
      if ((source >= 0 && source != from) || first_of(a) <= last) ++mixed;
      source = from;
      last = first_of(a);
      if (first_of(a) % 3 != 0) a.emit(0, message(from * 1000 + first_of(a)));
    };
  });
  spec.options.per_source = true;
  const int each = graph->add(std::move(spec));
  for (int s = 0; s < 3; ++s) {
    graph->connect(graph->add(numbers("source" + std::to_string(s), 300)), 0, each, 0);
  }
  const int sink = graph->add(collect("sink", into));
  graph->connect(each, 0, sink, 0);
  static_cast<void>(run(graph));
  CHECK(made.load() == 3);
  CHECK(mixed.load() == 0);
  REQUIRE(into->rows.size() == 600);
  std::vector<std::int64_t> last(3, -1);
  for (const auto& row : into->rows) {
    auto& before = last[static_cast<std::size_t>(row[0] / 1000)];
    REQUIRE(row[0] > before);
    before = row[0];
  }
}

TEST_CASE("work: what is counted") {
  auto graph = std::make_shared<Graph>();
  const int source = graph->add(numbers("source", 200));
  const int slow = graph->add(map("slow", [](std::int64_t v) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    return v % 2 == 0 ? v : -1;
  }));
  const int sink = graph->add(collect("sink", std::make_shared<Collected>()));
  graph->connect(source, 0, slow, 0);
  graph->connect(slow, 0, sink, 0);
  const auto stats = run(graph);
  CHECK(stats.operators[0].activations == 200);
  CHECK(stats.operators[1].activations == 200);
  CHECK(stats.operators[2].activations == 100);
  CHECK(stats.operators[1].p50_s >= 50e-6);
  CHECK(stats.operators[1].p99_s >= stats.operators[1].p50_s);
  CHECK(stats.operators[1].busy > 0.2);
  CHECK(stats.operators[1].rate == doctest::Approx(200 / stats.seconds));
  CHECK(stats.edges[0].passed == 200);
  CHECK(stats.edges[1].passed == 100);
  CHECK(stats.edges[0].fill > 0.5);
  REQUIRE(stats.latencies.size() == 1);
  CHECK(stats.latencies[0].count == 100);
  CHECK(stats.latencies[0].p50_s >= 50e-6);
}

TEST_CASE("work: who has nothing to send does not wait for room") {
  std::atomic<bool> has_one{false}, is_open{false};
  const auto await = [](const std::atomic<bool>& flag) {
    while (!flag.load()) std::this_thread::yield();
  };
  auto graph = std::make_shared<Graph>();
  const int source = graph->add(numbers("source", 6));
  const int last = graph->add(map("last", [&](std::int64_t v) {
    if (v == 1) await(has_one);
    if (v == 5) await(is_open);
    return v;
  }));
  const int pass = graph->add(map("pass", [](std::int64_t v) { return v; }));
  const int sink = graph->add(map("sink", [&](std::int64_t v) {
    has_one.store(true);
    await(is_open);
    return v;
  }));
  graph->connect(source, 0, last, 0);
  graph->connect(last, 0, pass, 0);
  graph->connect(pass, 0, sink, 0);
  runtime::RunOptions options;
  options.workers = 3;
  const auto run = runtime::Run::start(graph, options);
  // One is with the sink, four fill the ring, and the next does not come yet.
  const auto full = [&] { return run->stats().edges[2]; };
  REQUIRE(eventually([&] { return full().depth == full().capacity; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  CHECK(full().blocked < 0.3);
  is_open.store(true);
  REQUIRE(run->wait(now_ns() + exec_test::kPatience));
}
