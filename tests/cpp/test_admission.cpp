// Who may run while memory is short, and operators that follow everything on their device.
#include "graph_fixture.hpp"
#include "host_fixture.hpp"
#include "memory/cache.hpp"
#include "runtime/admission.hpp"

#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

using namespace penstock;
using namespace penstock::graph;
using namespace penstock::graph::test;

namespace {

constexpr std::int64_t kFrame = std::int64_t{4} << 20;

class LimitScope {
 public:
  explicit LimitScope(std::int64_t bytes) : before_(cache().limit()) {
    cache().clear();
    cache().set_limit(bytes);
    cache().reset_peak();
  }
  ~LimitScope() {
    cache().set_limit(before_);
    cache().clear();
  }
  static memory::Cache& cache() { return memory::Cache::of(Device::cpu()); }

 private:
  std::int64_t before_;
};

}  // namespace

TEST_CASE("admission: one always goes on, others only while there is room") {
  const LimitScope limit(2 * kFrame);
  runtime::Admission admission(Device::cpu());
  CHECK(admission.enter(0));
  CHECK(admission.enter(100 * kFrame));  // alone
  CHECK_FALSE(admission.enter(kFrame));
  admission.leave(100 * kFrame);
  CHECK(admission.enter(kFrame));
  CHECK(admission.enter(kFrame / 2));
  CHECK_FALSE(admission.enter(2 * kFrame));
  admission.leave(kFrame);
  admission.leave(kFrame / 2);
}

TEST_CASE("admission: a run of many greedy operators stays near the limit, and ends") {
  const LimitScope limit(6 * kFrame);
  auto graph = std::make_shared<Graph>();
  int last = graph->add(numbers("source", 200));
  for (int i = 0; i < 4; ++i) {
    NodeSpec greedy = node("greedy" + std::to_string(i), {"in"}, {"out"},
                           [](Activation& a) { a.emit(0, message(Tensor::empty({kFrame}, u8))); });
    greedy.options.capacity = 8;
    const int next = graph->add(std::move(greedy));
    graph->connect(last, "", next, "");
    last = next;
  }
  std::atomic<int> count{0};
  const int sink = graph->add(node("sink", {"in"}, {}, [&](Activation&) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    ++count;
  }));
  graph->connect(last, "", sink, "");
  static_cast<void>(run(graph));
  CHECK(count == 200);
  // Without admission the edges alone hold 40.
  CHECK(LimitScope::cache().stats().bytes_peak <= 16 * kFrame);
}

TEST_CASE("sync=context: what is emitted waits for all work on the device") {
  auto graph = std::make_shared<Graph>();
  const Stream elsewhere(Device::cpu());
  const Tensor shared = Tensor::zeros({64}, u8);
  std::atomic<bool> is_open{false};
  std::atomic<int> seen{-1};
  NodeSpec opaque = node("opaque", {}, {"out"}, [&](Activation& a) {
    // Work on a stream that nobody is told of.
    static_cast<void>(elsewhere.launch([&] {
      while (!is_open.load()) std::this_thread::yield();
      static_cast<std::uint8_t*>(shared.data())[0] = 7;
    }));
    a.emit(0, message(shared));
    a.end();
  });
  opaque.options.sync_context = true;
  const int source = graph->add(std::move(opaque));
  const int sink = graph->add(node("sink", {"in"}, {}, [&](Activation& a) {
    seen = static_cast<const std::uint8_t*>(value_of<Tensor>(a.port(0)[0]).data())[0];
  }));
  graph->connect(source, "", sink, "");
  runtime::RunOptions options;
  options.workers = 2;
  const auto running = runtime::Run::start(graph, options);
  CHECK_FALSE(running->wait(now_ns() + 50'000'000));
  CHECK(seen == -1);
  is_open = true;
  CHECK(running->wait(now_ns() + exec_test::kPatience));
  CHECK(seen == 7);
}
