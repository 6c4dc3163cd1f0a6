#include "runtime/run_state.hpp"

#include "base/settings.hpp"
#include "base/throw.hpp"
#include "base/time.hpp"
#include "trace/nvtx.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

namespace penstock::runtime {
namespace {

constexpr std::int64_t kLookNs = 25'000'000;

// Pools of other sizes than the process's live on: their threads sleep when nothing runs.
exec::Pool& pool_for(const RunOptions& options) {
  if (options.pool != nullptr) return *options.pool;
  const int workers = options.workers;
  if (workers <= 0 || workers == exec::Pool::instance().workers()) return exec::Pool::instance();
  static std::mutex mutex;
  static auto* pools = new std::map<int, std::unique_ptr<exec::Pool>>;
  const std::lock_guard guard(mutex);
  auto& pool = (*pools)[workers];
  if (!pool) pool = exec::Pool::make({.workers = workers, .seed = settings().seed});
  return *pool;
}

}  // namespace

std::shared_ptr<Run> Run::start(std::shared_ptr<const graph::Graph> graph, RunOptions options) {
  auto run = std::make_shared<RunState>(std::move(graph), std::move(options));
  run->begin();
  return run;
}

RunState::RunState(std::shared_ptr<const graph::Graph> graph, RunOptions options)
    : graph_(std::move(graph)),
      options_(std::move(options)),
      plan_(graph::compile(*graph_, options_.streams)),
      pool_(pool_for(options_)),
      admission_(options_.device) {
  build();
}

RunState::~RunState() = default;

void RunState::build() {
  source_numbers_.resize(plan_.nodes.size(), 0);
  for (std::uint32_t s = 0; s < plan_.sources.size(); ++s) source_numbers_[plan_.sources[s]] = s;
  for (std::uint32_t n = 0; n < plan_.nodes.size(); ++n) {
    const graph::PlannedNode& planned = plan_.nodes[n];
    nodes_.push_back(make_node(*this, n));
    for (std::uint32_t i = 0; i < planned.instances; ++i) {
      Executor* executor = &pool_;
      if (planned.home == graph::Home::lane) {
        if (!options_.lanes) throw_error<GraphError>("{}: no lanes to run it on", planned.name);
        executor = &options_.lanes->lane(planned.chain, planned.instances > 1);
      }
      nodes_.back()->add_runner(
          std::make_unique<Runner>(*nodes_.back(), static_cast<int>(i), *executor));
    }
  }
  connect();
  latencies_.resize(plan_.sources.size() * nodes_.size());
  for (std::size_t s = 0; s < plan_.sources.size(); ++s) {
    for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
      if (plan_.nodes[n].rank != 0 || plan_.nodes[n].is_source) continue;
      latencies_[s * nodes_.size() + n] = std::make_unique<trace::Histogram>();
    }
  }
}

void RunState::connect() {
  for (std::uint32_t e = 0; e < plan_.edges.size(); ++e) {
    const graph::PlannedEdge& planned = plan_.edges[e];
    edges_.push_back(
        std::make_unique<Edge>(planned, e, *nodes_[planned.from], *nodes_[planned.to]));
    const graph::NodeSpec& to = graph_->nodes()[planned.to];
    const double port_ms = to.inputs[planned.to_port].max_age_ms;
    const double own_ms = port_ms >= 0 ? port_ms : to.options.max_age_ms;
    const double age_ms = own_ms >= 0 ? own_ms : options_.max_age_ms;
    if (age_ms >= 0) edges_.back()->max_age_ns = static_cast<std::int64_t>(age_ms * 1e6);
  }
  const auto edges_of = [&](const graph::PlannedPort& port,
                            const std::vector<std::uint32_t>& list) {
    std::vector<Edge*> edges;
    edges.reserve(port.edge_count);
    for (std::uint32_t i = 0; i < port.edge_count; ++i) {
      edges.push_back(edges_[list[port.first_edge + i]].get());
    }
    return edges;
  };
  for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
    const graph::PlannedNode& planned = plan_.nodes[n];
    std::vector<InPort> inputs;
    for (std::uint32_t p = 0; p < planned.input_count; ++p) {
      const graph::PlannedPort& port = plan_.inputs[planned.first_input + p];
      inputs.push_back({.edges = edges_of(port, plan_.in_edges), .group = port.group});
    }
    std::vector<Outlet::Port> outputs;
    for (std::uint32_t p = 0; p < planned.output_count; ++p) {
      Outlet::Port port{.edges =
                            edges_of(plan_.outputs[planned.first_output + p], plan_.out_edges)};
      port.carries_gaps =
          std::ranges::any_of(port.edges, [](const Edge* edge) { return edge->carries_gaps(); });
      outputs.push_back(std::move(port));
    }
    nodes_[n]->connect(std::move(inputs), std::move(outputs));
  }
}

void RunState::begin() {
  begun_ns_ = now_ns();
  unfinished_.store(static_cast<std::uint32_t>(nodes_.size()));
  watch_.run = this;
  watch_.timer.job = &watch_;
  watch_.Job::run = [](exec::Job* job) {
    auto* watch = static_cast<Watch*>(job);
    const auto keep = std::move(watch->keep_alive);
    watch->run->look();
  };
  look_again_soon();
  notify_all();
}

void RunState::notify_all() {
  for (const auto& node : nodes_) node->notify();
}

void RunState::stop() {
  stopping_.store(true);
  notify_all();
}

void RunState::abort(std::exception_ptr error) {
  Failure failure;
  failure.error = std::move(error);
  record(std::move(failure));
  aborted_.store(true);
  notify_all();
}

void RunState::fail(const Node& node, int instance, const Origin* origin,
                    std::exception_ptr error) {
  std::string from;
  if (origin != nullptr && origin->source < plan_.sources.size()) {
    from = fmt::format("{} #{}", plan_.nodes[plan_.sources[origin->source]].name, origin->number);
  }
  Failure failure;
  failure.error = std::move(error);
  failure.node = node.planned().name;
  failure.instance = instance;
  failure.origin = std::move(from);
  record(std::move(failure));
  aborted_.store(true);
  notify_all();
}

void RunState::lose_device(const Node& node, std::exception_ptr fault, bool had_work) {
  {
    const std::lock_guard guard(mutex_);
    if (!failure_.error) failure_.error = std::move(fault);
    std::vector<std::string>& suspects = failure_.on_lost_device;
    const std::string& name = node.planned().name;
    if (had_work && std::ranges::find(suspects, name) == suspects.end()) suspects.push_back(name);
  }
  aborted_.store(true);
  notify_all();
}

void RunState::record(Failure failure) {
  const std::lock_guard guard(mutex_);
  if (!failure_.error) {
    failure.later = std::move(failure_.later);
    failure_ = std::move(failure);
  } else if (failure.error) {
    failure_.later.push_back(failure.error);
  }
}

void RunState::node_ended() {
  if (unfinished_.fetch_sub(1) == 1) end();
}

void RunState::end() {
  ended_ns_.store(now_ns());
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard guard(mutex_);
    is_over_.store(true);
    calls.swap(end_calls_);
    over_.notify_all();
  }
  if (exec::Timers::instance().cancel(watch_.timer)) watch_.keep_alive.reset();
  for (const auto& call : calls) call();
}

bool RunState::wait(std::int64_t deadline_ns) {
  std::unique_lock guard(mutex_);
  const auto is_over = [this] { return is_over_.load(); };
  if (deadline_ns == kNever) {
    guard.unlock();
    exec::Pool::before_blocking();
    guard.lock();
    over_.wait(guard, is_over);
  } else {
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    if (!over_.wait_until(guard, deadline, is_over)) return false;
  }
  if (failure_.error) {
    const std::exception_ptr error = failure_.error;
    guard.unlock();
    std::rethrow_exception(error);
  }
  return true;
}

Failure RunState::failure() const {
  const std::lock_guard guard(mutex_);
  return failure_;
}

void RunState::on_end(std::function<void()> call) {
  {
    const std::lock_guard guard(mutex_);
    if (!is_over_.load()) {
      end_calls_.push_back(std::move(call));
      return;
    }
  }
  call();
}

Ref<order::Stream> RunState::stream_for(const Node& node, int instance) {
  Ref<order::Stream> stream = find_stream(node, instance);
  if (!options_.device.is_cpu()) {
    trace::name_stream(stream->native(), node.planned().name);
  }
  return stream;
}

Ref<order::Stream> RunState::find_stream(const Node& node, int instance) {
  static_cast<void>(instance);
  const graph::PlannedNode& planned = node.planned();
  const std::lock_guard guard(streams_mutex_);
  switch (options_.streams) {
    case StreamPolicy::per_operator:
      return order::Stream::make(options_.device);
    case StreamPolicy::single:
    case StreamPolicy::default_:
      if (!single_stream_) single_stream_ = order::Stream::make(options_.device);
      return single_stream_;
    case StreamPolicy::chain:
      break;
  }
  if (planned.instances > 1) return order::Stream::make(options_.device);
  if (chain_streams_.size() <= planned.chain) chain_streams_.resize(plan_.nodes.size());
  Ref<order::Stream>& stream = chain_streams_[planned.chain];
  if (!stream) stream = order::Stream::make(options_.device);
  return stream;
}

trace::Histogram* RunState::latency(std::uint32_t source, std::uint32_t node) const {
  const std::size_t index = source * nodes_.size() + node;
  return index < latencies_.size() ? latencies_[index].get() : nullptr;
}

void RunState::look_again_soon() {
  watch_.keep_alive = shared_from_this();
  exec::Timers::instance().arm(watch_.timer, now_ns() + kLookNs);
}

// Two looks at which nobody ran, nobody expects anything and nothing has moved.
void RunState::look() {
  if (is_over_.load()) return;
  const bool was_stuck = std::exchange(watch_.was_stuck, is_stuck());
  if (watch_.was_stuck && was_stuck && !aborted_.load()) resolve();
  look_again_soon();
}

bool RunState::is_stuck() {
  std::uint64_t progress = 0;
  bool is_still = true;
  for (const auto& node : nodes_) {
    progress += node->progress();
    if (node->has_ended()) continue;
    is_still = is_still && node->is_idle() && !node->is_expecting();
  }
  const bool has_moved = std::exchange(watch_.progress, progress) != progress;
  return is_still && !has_moved;
}

void RunState::resolve() {
  bool has_grown = false;
  for (const auto& node : nodes_) {
    if (!node->has_ended()) has_grown = node->grow() || has_grown;
  }
  if (has_grown || cut_empty_loops()) return;
  std::string who;
  for (const auto& node : nodes_) {
    if (!node->has_ended()) who += "\n  " + node->describe_wait();
  }
  abort(std::make_exception_ptr(
      DeadlockError("run: nothing can go on, and nothing is expected:" + who)));
}

// A loop ends when nothing that leads to it can give anything any more.
bool RunState::cut_empty_loops() {
  bool has_cut = false;
  for (std::size_t loop = 0; loop < nodes_.size(); ++loop) {
    if (nodes_[loop]->has_ended() || !nodes_[loop]->spec().is_loop) continue;
    if (may_give_to(loop)) continue;
    nodes_[loop]->cut();
    has_cut = true;
  }
  return has_cut;
}

bool RunState::may_give_to(std::size_t loop) const {
  std::vector<bool> leads(nodes_.size(), false);
  leads[loop] = true;
  for (bool has_grown = true; has_grown;) {
    has_grown = false;
    for (const graph::PlannedEdge& edge : plan_.edges) {
      if (!leads[edge.to] || leads[edge.from]) continue;
      leads[edge.from] = has_grown = true;
    }
  }
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (!leads[n] || nodes_[n]->has_ended()) continue;
    if (nodes_[n]->is_source() || nodes_[n]->holds_messages()) return true;
  }
  return false;
}

}  // namespace penstock::runtime
