// The state word of node.hpp: every interleaving of its steps in a small model, and threads on the
// real thing.
#include "exec_fixture.hpp"
#include "graph_fixture.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <tuple>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

// Two producers push twice each and notify; whoever takes the node over works until it finds
// nothing. Memory is modelled as it is promised: a read-modify-write sees the newest value and what
// its predecessors wrote; a plain look may see an older one, and then nothing newer of the edges.
enum class Fault { none, notify_looks, owner_does_not_exchange, owner_stores };

constexpr int kOwned = 1;
constexpr int kChanged = 2;
constexpr int kThreads = 2;
constexpr int kPushes = 2;

// What each thread is about to do.
enum class Step : std::uint8_t { push, notify, exchange, look, work, leave, over };

struct Model {
  int state = 0;
  int old_state = 0;  // before the newest change
  int messages = 0;   // pushed and not taken
  int visible = 0;    // of those, what the owner's look can see
  int owners = 0;
  struct Thread {
    Step step = Step::push;
    int left = kPushes;
  };
  std::array<Thread, kThreads> threads;
  auto key() const {
    return std::tuple(state, old_state, messages, visible, owners, threads[0].step, threads[0].left,
                      threads[1].step, threads[1].left);
  }
};

class Checker {
 public:
  explicit Checker(Fault fault) : fault_(fault) {}

  /// How often a message was left behind, or two owned the node.
  int run() {
    explore(Model{});
    return wrong_;
  }
  std::size_t states() const { return seen_.size(); }

 private:
  void explore(const Model& model) {
    if (!seen_.insert(model.key()).second) return;
    bool is_over = true;
    for (int t = 0; t < kThreads; ++t) {
      if (model.threads[static_cast<std::size_t>(t)].step == Step::over) continue;
      is_over = false;
      take(model, static_cast<std::size_t>(t));
    }
    if (is_over && (model.messages != 0 || (model.state & kOwned) != 0)) ++wrong_;
  }

  static int untold(const Model& m) {
    int count = 0;
    for (const Model::Thread& thread : m.threads) count += thread.step == Step::notify ? 1 : 0;
    return count;
  }
  static void set(Model& m, int state) {
    m.old_state = m.state;
    m.state = state;
  }
  static void next_push(Model::Thread& thread) {
    thread.step = --thread.left > 0 ? Step::push : Step::over;
  }

  void take(Model m, std::size_t t) {
    Model::Thread& thread = m.threads[t];
    switch (thread.step) {
      case Step::push:
        ++m.messages;
        thread.step = Step::notify;
        return explore(m);
      case Step::notify:
        return notify(m, t);
      case Step::exchange:
        if (fault_ != Fault::owner_does_not_exchange) {
          set(m, kOwned);
          m.visible = std::max(0, m.messages - untold(m));  // all whose notify came before
        }
        thread.step = Step::look;
        return explore(m);
      case Step::look:
        if (m.owners != 1) ++wrong_;
        // It sees at least what was published to it, perhaps more.
        for (int seen = m.visible; seen <= m.messages; ++seen) {
          Model one = m;
          one.visible = seen;
          one.threads[t].step = seen > 0 ? Step::work : Step::leave;
          explore(one);
        }
        return;
      case Step::work:
        --m.messages;
        --m.visible;
        thread.step = Step::look;
        return explore(m);
      case Step::leave:
        return leave(m, t);
      case Step::over:
        return;
    }
  }

  void notify(Model m, std::size_t t) {
    Model::Thread& thread = m.threads[t];
    if (fault_ == Fault::notify_looks) {
      // A look at the word first: if it is owned (or was, a moment ago) nothing is said.
      for (const int seen : {m.state, m.old_state}) {
        if ((seen & kOwned) == 0) continue;
        Model skipped = m;
        next_push(skipped.threads[t]);
        explore(skipped);
      }
    }
    const int before = m.state;
    set(m, before | kOwned | kChanged);
    if ((before & kOwned) != 0) {
      next_push(thread);
    } else {
      ++m.owners;
      thread.step = Step::exchange;
    }
    explore(m);
  }

  void leave(Model m, std::size_t t) {
    Model::Thread& thread = m.threads[t];
    const bool is_clean = m.state == kOwned || (fault_ == Fault::owner_does_not_exchange &&
                                                m.state == (kOwned | kChanged));
    if (is_clean || fault_ == Fault::owner_stores) {
      set(m, 0);
      m.visible = 0;
      --m.owners;
      next_push(thread);
    } else {
      thread.step = Step::exchange;
    }
    explore(m);
  }

  const Fault fault_;
  std::set<decltype(Model{}.key())> seen_;
  int wrong_ = 0;
};

}  // namespace

TEST_CASE("node: every interleaving of the state word") {
  Checker right(Fault::none);
  CHECK(right.run() == 0);
  CHECK(right.states() > 100);
  // The model finds each step that may not be left out.
  CHECK(Checker(Fault::notify_looks).run() > 0);
  CHECK(Checker(Fault::owner_does_not_exchange).run() > 0);
  CHECK(Checker(Fault::owner_stores).run() > 0);
}

// Nodes that are notified from all sides: by producers, consumers, timers and other threads.
TEST_CASE("node: threads notify, and nothing is left behind") {
  for (const int workers : {1, 2, 4}) {
    for (const int instances : {1, 3}) {
      CAPTURE(workers);
      CAPTURE(instances);
      const auto count = static_cast<std::int64_t>(exec_test::scaled(20'000));
      auto graph = std::make_shared<Graph>();
      auto into = std::make_shared<Collected>();
      const int left = graph->add(numbers("left", count));
      const int right = graph->add(numbers("right", count));
      NodeSpec middle = map("middle", [](std::int64_t v) { return v; });
      middle.options.instances = instances;
      middle.options.capacity = 1;
      const int hop = graph->add(std::move(middle));
      NodeSpec last = collect("last", into);
      last.options.capacity = 1;
      const int sink = graph->add(std::move(last));
      graph->connect(left, "", hop, "");
      graph->connect(right, "", hop, "");
      graph->connect(hop, "", sink, "");
      runtime::RunOptions options;
      options.workers = workers;
      const auto stats = run(graph, options);
      REQUIRE(into->rows.size() == static_cast<std::size_t>(2 * count));
    }
  }
}

// One on the stack of the other would not end well.
TEST_CASE("node: a long chain of nodes with several instances") {
  auto graph = std::make_shared<Graph>();
  auto into = std::make_shared<Collected>();
  int last = graph->add(numbers("source", 50));
  for (int i = 0; i < 1'500; ++i) {
    NodeSpec spec = map("hop" + std::to_string(i), [](std::int64_t v) { return v; });
    spec.options.instances = 2;
    const int hop = graph->add(std::move(spec));
    graph->connect(last, "", hop, "");
    last = hop;
  }
  const int sink = graph->add(collect("sink", into));
  graph->connect(last, "", sink, "");
  static_cast<void>(run(graph));
  REQUIRE(into->rows.size() == 50);
  for (std::int64_t i = 0; i < 50; ++i) REQUIRE(into->rows[static_cast<std::size_t>(i)][0] == i);
}
