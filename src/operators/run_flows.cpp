// Flows that run, and the ends of a graph that a program holds.
#include <penstock/graph.hpp>

#include "base/throw.hpp"
#include "base/time.hpp"
#include "operators/feed.hpp"
#include "operators/flow_node.hpp"
#include "runtime/public_run.hpp"

#include <utility>

namespace penstock {
namespace {

std::shared_ptr<runtime::Run> start_run(const std::vector<Flow>& flows, const RunOptions& options) {
  const auto graph = detail::build(flows);
  auto run = runtime::Run::start(graph, runtime::from_public(options));
  operators::tell_end(*graph, *run);
  return run;
}

}  // namespace

Run start(const std::vector<Flow>& flows, const RunOptions& options) {
  return Run(start_run(flows, options));
}

RunStats run(const std::vector<Flow>& flows, const RunOptions& options) {
  Run running = start(flows, options);
  running.wait();
  return running.stats();
}

namespace detail {

AnyFeed::AnyFeed(int capacity, OperatorOptions options)
    : AnyFeed(std::make_shared<operators::Feed>(capacity), std::move(options)) {}

AnyFeed::AnyFeed(std::shared_ptr<operators::Feed> feed, OperatorOptions options)
    : Flow(FlowAccess::connect(operators::feed(feed, std::move(options)), {})),
      feed_(std::move(feed)) {}

void AnyFeed::close() { feed_->close(); }

void AnyFeed::put_message(Message message, double timeout_ms) {
  if (!message) throw_error<Error>("feed: put: the message is empty");
  const std::int64_t deadline =
      timeout_ms < 0 ? kNever : now_ns() + static_cast<std::int64_t>(timeout_ms * 1e6);
  switch (feed_->put(operators::MessageRef::adopt(message.leak()), deadline)) {
    case operators::Put::done:
      return;
    case operators::Put::full:
      throw_error<Error>("feed: put: timeout: it was full for {} ms; the graph takes too little",
                         timeout_ms);
    case operators::Put::closed:
      throw_error<Error>("feed: put: it is closed");
    case operators::Put::ended:
      throw_error<Error>("feed: put: its run has ended; nobody takes the message");
  }
}

}  // namespace detail

Iterator::Iterator(std::shared_ptr<operators::Drain> drain, Run run)
    : drain_(std::move(drain)), run_(std::move(run)) {}

Iterator::~Iterator() {
  if (drain_) drain_->abandon();  // the run stops with run_
}

Message Iterator::next() {
  operators::MessageRef message = drain_->next(kNever);
  if (!message) run_.wait();
  return Message(message.leak());
}

Iterator iterate(const Flow& flow, int ahead, const RunOptions& options) {
  if (ahead < 1) throw_error<GraphError>("iterate: ahead={} does not fit: at least 1", ahead);
  auto drain = std::make_shared<operators::Drain>(ahead);
  OperatorOptions words;
  words.capacity = 1;  // what is ahead waits in the drain
  const Flow end = detail::FlowAccess::connect(operators::drain(drain, std::move(words)), {flow});
  return {std::move(drain), start(end, options)};
}

}  // namespace penstock
