#include "tbb_chain.hpp"

#include "base/time.hpp"

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::bench {
namespace {

namespace flow = oneapi::tbb::flow;
using Pass = flow::function_node<int, int>;

constexpr std::size_t kUnderWay = 64;

double run_chain(int hops, int messages) {
  flow::graph graph;
  int next = 0;
  flow::input_node<int> source(graph, [&](oneapi::tbb::flow_control& control) {
    if (next == messages) control.stop();
    return next++;
  });
  flow::limiter_node<int> limiter(graph, kUnderWay);
  std::vector<std::unique_ptr<Pass>> passes;
  for (int i = 0; i < hops; ++i) {
    passes.push_back(std::make_unique<Pass>(graph, flow::serial, [](int value) { return value; }));
  }
  std::int64_t sum = 0;
  flow::function_node<int, flow::continue_msg> sink(graph, flow::serial, [&](int value) {
    sum += value;
    return flow::continue_msg();
  });
  flow::make_edge(source, limiter);
  flow::sender<int>* last = &limiter;
  for (auto& pass : passes) {
    flow::make_edge(*last, *pass);
    last = pass.get();
  }
  flow::make_edge(*last, sink);
  flow::make_edge(sink, limiter.decrementer());
  const std::int64_t begun = now_ns();
  source.activate();
  graph.wait_for_all();
  const std::int64_t elapsed = now_ns() - begun;
  const std::int64_t expected = std::int64_t{messages} * (messages - 1) / 2;
  return sum == expected ? static_cast<double>(elapsed) * 1e-9 : -1;
}

}  // namespace

double tbb_chain_s(int hops, int messages, int threads) {
  const oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism,
                                          static_cast<std::size_t>(threads));
  oneapi::tbb::task_arena arena(threads);
  double elapsed_s = 0;
  arena.execute([&] { elapsed_s = run_chain(hops, messages); });
  return elapsed_s;
}

}  // namespace penstock::bench
