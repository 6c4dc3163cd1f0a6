// Rings and edges: nothing is lost or doubled, what was dropped is told once, nobody sleeps on.
#include "exec_fixture.hpp"
#include "graph_fixture.hpp"

#include "runtime/ring.hpp"
#include "runtime/run_state.hpp"

#include <algorithm>
#include <atomic>
#include <span>
#include <thread>
#include <vector>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;
using penstock::runtime::Ring;

namespace {
MessageData* numbered(std::uint64_t number) {
  MessageData* message = graph::test::message(static_cast<std::int64_t>(number)).leak();
  message->origin.number = number;
  return message;
}
std::uint64_t take_number(MessageData* message) {
  const std::uint64_t number = message->origin.number;
  message->release();
  return number;
}

// A node that only counts how often it is told.
class Waker final : public runtime::Node {
 public:
  using Node::Node;
  void inputs_complete(runtime::Runner&) override {}
  std::atomic<std::uint32_t> told{0};

 private:
  Step work() override {
    told.fetch_add(1);
    return Step::wait;
  }
  void take_over() override { run_owned(); }
  bool is_any_ready() override { return true; }
};
}  // namespace

TEST_CASE("ring: a pusher that drops races the popper") {
  for (const std::uint32_t capacity : {1u, 2u, 3u, 16u}) {
    CAPTURE(capacity);
    const std::uint64_t count = exec_test::scaled(200'000);
    Ring ring(capacity, true);
    std::vector<std::atomic<int>> seen(count);
    std::atomic<bool> is_over{false};
    std::thread popper([&] {
      std::uint64_t last = 0;
      while (true) {
        const bool was_over = is_over.load();
        MessageData* message = ring.pop();
        if (message == nullptr) {
          if (was_over) return;
          std::this_thread::yield();
          continue;
        }
        const std::uint64_t number = take_number(message);
        if (number < last) seen[0].fetch_add(1000);  // out of order
        last = number;
        seen[number].fetch_add(1);
      }
    });
    for (std::uint64_t n = 0; n < count; ++n) {
      while (!ring.has_room()) {
        if (MessageData* oldest = ring.pop()) seen[take_number(oldest)].fetch_add(1);
      }
      ring.push(numbered(n));
    }
    is_over.store(true);
    popper.join();
    for (std::uint64_t n = 0; n < count; ++n) REQUIRE(seen[n].load() == 1);
  }
}

TEST_CASE("ring: values come in order through any capacity, and each goes once") {
  for (const std::uint32_t capacity : {1u, 2u, 3u, 16u}) {
    const std::uint64_t count = exec_test::scaled(100'000);
    Ring ring(capacity, false);
    std::uint64_t wrong = 0;
    std::thread popper([&] {
      for (std::uint64_t n = 0; n < count;) {
        std::uint64_t place = UINT64_MAX;
        MessageData* message = ring.pop(&place);
        if (message == nullptr) {
          std::this_thread::yield();
          continue;
        }
        if (take_number(message) != n || place != n) ++wrong;
        ++n;
      }
    });
    for (std::uint64_t n = 0; n < count; ++n) {
      while (!ring.has_room()) std::this_thread::yield();
      ring.push(numbered(n));
    }
    popper.join();
    CHECK(wrong == 0);
    CHECK(ring.empty());
  }
}

TEST_CASE("ring: several at once come in order too") {
  for (const std::uint32_t capacity : {1u, 2u, 3u, 16u}) {
    const std::uint64_t count = exec_test::scaled(100'000);
    Ring ring(capacity, false);
    std::uint64_t wrong = 0;
    std::thread popper([&] {
      std::uint64_t next = 0;
      const auto take = [&](MessageData* message) {
        if (message->origin.number % 7 == 0) return false;
        if (take_number(message) != next++) ++wrong;
        return true;
      };
      while (next < count) {
        const std::size_t most = std::min<std::size_t>(ring.ready(), next % 5);
        if (ring.pop_while(most, take) > 0) continue;
        if (MessageData* message = ring.pop()) {
          if (take_number(message) != next++) ++wrong;
        } else {
          std::this_thread::yield();
        }
      }
    });
    for (std::uint64_t n = 0; n < count;) {
      const std::size_t some = std::min<std::size_t>({ring.room(), n % 5, count - n});
      ring.push_all(some, [&] { return numbered(n++); });
      if (n < count && ring.has_room()) ring.push(numbered(n++));
    }
    popper.join();
    CHECK(wrong == 0);
    CHECK(ring.empty());
  }
}

TEST_CASE("ring: an edge takes the results that it has room for, and gives messages up to a gap") {
  auto graph = std::make_shared<Graph>();
  const int source = graph->add(numbers("from", 1));
  NodeSpec sink = collect("to", std::make_shared<Collected>());
  sink.options.capacity = 3;
  graph->connect(source, "", graph->add(std::move(sink)), "");
  const auto run = std::make_shared<runtime::RunState>(graph, runtime::RunOptions{});
  Waker from(*run, 0), to(*run, 1);
  graph::PlannedEdge planned = run->plan().edges[0];
  planned.carries_gaps = true;
  runtime::Edge edge(planned, 0, from, to);
  std::vector<Staged> results;
  for (std::uint64_t n = 0; n < 5; ++n) results.push_back({MessageRef::adopt(numbered(n))});
  CHECK(edge.push_some(results) == 3);
  CHECK(results[2].message.get() == nullptr);
  CHECK(results[3].message.get() != nullptr);
  CHECK(edge.push_some(std::span(results).subspan(3)) == 0);
  CHECK(edge.passed() == 3);
  CHECK(edge.fill() == doctest::Approx((1 + 2 + 3) / 9.0));
  MessageList taken;
  CHECK(edge.pop_some(taken, 2));
  edge.push(MessageData::gap(Origin{.number = 9}, MessageData::kWhole));
  edge.push(std::move(results[3].message));
  CHECK(edge.pop_some(taken, 9));
  REQUIRE(taken.size() == 3);
  for (std::uint64_t n = 0; n < 3; ++n) CHECK(taken[n]->origin.number == n);
  CHECK(!edge.pop_some(taken, 9));
  CHECK(edge.pop()->is_gap());
  CHECK(edge.pop_some(taken, 9));
  CHECK(taken[3]->origin.number == 3);
  CHECK(!edge.pop_some(taken, 9));
  edge.max_age_ns = 0;
  CHECK(edge.push_some(std::span(results).subspan(4)) == 1);
  CHECK(!edge.pop_some(taken, 9));
}

// Drops of both policies under a join downstream: each number arrives as a value or as one gap,
// and gaps keep their place among the values.
TEST_CASE("ring: what was dropped is told once, in its place") {
  for (const Policy policy : {Policy::drop_oldest, Policy::drop_newest}) {
    for (const int capacity : {1, 2, 16}) {
      CAPTURE(capacity);
      CAPTURE(static_cast<int>(policy));
      const auto count = static_cast<std::int64_t>(exec_test::scaled(20'000));
      auto graph = std::make_shared<Graph>();
      auto into = std::make_shared<Collected>();
      const int source = graph->add(numbers("source", count));
      NodeSpec lossy = map("lossy", [](std::int64_t v) { return v; });
      lossy.options.policy = policy;
      lossy.options.capacity = capacity;
      const int hop = graph->add(std::move(lossy));
      NodeSpec pair = collect("pair", into, {"all", "some"});
      pair.inputs[1].is_optional = true;
      const int join = graph->add(std::move(pair));
      graph->connect(source, "", join, "all");
      graph->connect(source, "", hop, "");
      graph->connect(hop, "", join, "some");
      const auto stats = run(graph);
      REQUIRE(into->rows.size() == static_cast<std::size_t>(count));
      std::int64_t gaps = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        const auto& row = into->rows[static_cast<std::size_t>(i)];
        REQUIRE(row[0] == i);
        REQUIRE((row[1] == i || row[1] == -1));
        gaps += row[1] == -1 ? 1 : 0;
      }
      std::int64_t dropped = 0;
      for (const auto& edge : stats.edges) dropped += edge.dropped;
      CHECK(dropped == gaps);
    }
  }
}

// A producer that sleeps until it is told of room, and a consumer that tells only who waits.
TEST_CASE("ring: no wake-up is lost") {
  for (const int capacity : {1, 2}) {
    const std::uint64_t count = exec_test::scaled(200'000);
    auto graph = std::make_shared<Graph>();
    const int source = graph->add(numbers("from", 1));
    NodeSpec sink = collect("to", std::make_shared<Collected>());
    sink.options.capacity = capacity;
    graph->connect(source, "", graph->add(std::move(sink)), "");
    const auto run = std::make_shared<runtime::RunState>(graph, runtime::RunOptions{});
    Waker from(*run, 0), to(*run, 1);
    runtime::Edge edge(run->plan().edges[0], 0, from, to);
    std::atomic<bool> is_lost{false};
    std::thread consumer([&] {
      for (std::uint64_t n = 0; n < count && !is_lost.load();) {
        if (!edge.pop()) {
          std::this_thread::yield();
          continue;
        }
        ++n;
        edge.notify_room();
      }
    });
    for (std::uint64_t n = 0; n < count && !is_lost.load(); ++n) {
      std::uint32_t before = from.told.load();
      while (!edge.can_push() && !is_lost.load()) {
        if (!exec_test::eventually([&] { return from.told.load() != before; })) is_lost.store(true);
        before = from.told.load();
      }
      if (!is_lost.load()) edge.push(MessageRef::adopt(numbered(n)));
    }
    consumer.join();
    CHECK(!is_lost.load());
  }
}
