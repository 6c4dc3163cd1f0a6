#include "runtime/node.hpp"

#include "base/settings.hpp"
#include "base/throw.hpp"
#include "base/time.hpp"
#include "runtime/nodes.hpp"
#include "runtime/run_state.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {
namespace {

// How soon ready() is asked again when nothing happens.
constexpr std::int64_t kAskAgainNs = 10'000'000;
// How soon memory is asked for again.
constexpr std::int64_t kMemoryAgainNs = 1'000'000;

}  // namespace

Node::Node(RunState& run, std::uint32_t index)
    : run_(run),
      spec_(run.graph().nodes()[index]),
      planned_(run.plan().nodes[index]),
      index_(index),
      every_ns_(static_cast<std::int64_t>(spec_.options.every_ms * 1e6)),
      has_ready_(spec_.factory->has_ready()),
      is_blocked_once_(settings().block_once),
      is_fed_(every_ns_ == 0 && !has_ready_ && !is_blocked_once_ && !spec_.is_loop),
      gives_first_(spec_.is_loop) {
  Job::run = [](Job* job) { static_cast<Node*>(job)->run_owned(); };
  alarm_.node = this;
  alarm_.timer.job = &alarm_;
  alarm_.run = [](Job* job) {
    auto* alarm = static_cast<Alarm*>(job);
    const auto keep = std::move(alarm->keep_alive);
    alarm->is_armed.store(false);
    alarm->node->notify();
  };
}

Node::~Node() = default;

void Node::connect(std::vector<InPort> inputs, std::vector<Outlet::Port> outputs) {
  intake_ = std::make_unique<Intake>(spec_.options, spec_.inputs, std::move(inputs), run_.plan(),
                                     planned_);
  outlet_ = std::make_unique<Outlet>(std::move(outputs));
}

void Node::run_owned() {
  while (true) {
    state_.exchange(kOwned);
    progress_.store(progress_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    switch (work()) {
      case Step::again:
        continue;
      case Step::yield:
        take_over();
        return;
      case Step::ended: {
        const auto keep = run_.shared_from_this();  // this node may go with the run
        if (alarm_.is_armed.load() && exec::Timers::instance().cancel(alarm_.timer)) {
          alarm_.keep_alive.reset();
          alarm_.is_armed.store(false);
        }
        has_ended_.store(true);
        run_.node_ended();
        return;
      }
      case Step::wait:
        break;
    }
    std::uint32_t expected = kOwned;
    if (state_.compare_exchange_strong(expected, 0)) return;
  }
}

bool Node::is_exhausted() const {
  const std::int64_t count = spec_.options.count;
  if (count >= 0 && claimed_ >= static_cast<std::uint64_t>(count)) return true;
  if (is_cut_.load(std::memory_order_relaxed)) return true;
  // A loop that no source drives ends only so.
  const bool drives = planned_.is_source || (spec_.is_loop && !planned_.is_driven);
  if (drives && run_.is_stopping()) return true;
  return outlet_->is_unwanted();
}

bool Node::is_ready() {
  if (every_ns_ > 0) {
    const std::int64_t now = now_ns();
    if (now < next_time_ns_) {
      wake_at(next_time_ns_);
      return false;
    }
  }
  if (!has_ready_) return true;
  const bool is_ready = is_any_ready();
  if (!is_ready && !spec_.factory->is_fed()) wake_at(now_ns() + kAskAgainNs);
  return is_ready;
}

Found Node::claim(graph::Activation& activation, MessageRef& gap) {
  if (is_exhausted()) return Found::over;
  if (!is_ready() || blocks_once()) return Found::none;
  if (planned_.is_source || gives_first_) {
    claim_source(activation);
  } else {
    const Found found = intake_->next(activation, gap);
    if (found == Found::none && intake_->wake_at_ns() != kNever) wake_at(intake_->wake_at_ns());
    if (found != Found::tuple) return found;
  }
  ++claimed_;
  if (every_ns_ > 0) {
    const std::int64_t now = now_ns();
    next_time_ns_ = next_time_ns_ + every_ns_ > now - every_ns_ && next_time_ns_ != 0
                        ? next_time_ns_ + every_ns_
                        : now + every_ns_;
    wake_at(next_time_ns_);  // now: later it would keep the consumers waiting
  }
  return Found::tuple;
}

void Node::claim_source(graph::Activation& activation) {
  activation.is_source = true;
  activation.origin = {.source = run_.source_of(index_), .sub = kNoSub, .number = next_number_++};
}

void Node::deliver(graph::Activation& activation) {
  const bool is_first = gives_first_ && activation.is_source;
  const bool repeats = activation.is_source && activation.outputs.empty() && runners_.size() == 1;
  if (repeats) --next_number_;
  if (activation.ended && is_first) {
    gives_first_ = false;
    activation.ended = false;
  }
  if (outlet_->ports().empty() || planned_.rank == 0) note_latency(activation);
  outlet_->stage(activation, spec_.options.window > 1 || spec_.options.stride > 1, repeats);
  activation.clear();
}

void Node::note_latency(const graph::Activation& activation) {
  if (activation.is_source || activation.is_skipped) return;
  const std::int64_t now = now_ns();
  for (std::size_t item = 0; item < activation.items(); ++item) {
    const MessageData* lead = activation.lead(item);
    if (lead == nullptr || lead->born_ns == 0) continue;
    if (auto* times = run_.latency(lead->origin.source, index_)) times->record(now - lead->born_ns);
  }
}

bool Node::blocks_once() {
  if (!is_blocked_once_) return false;
  was_blocked_ = !was_blocked_;
  if (was_blocked_) wake_at(now_ns());
  return was_blocked_;
}

void Node::wake_at(std::int64_t time_ns) {
  exec::Timers& timers = exec::Timers::instance();
  if (alarm_.is_armed.load()) {
    if (alarm_.timer.deadline_ns <= time_ns || !timers.cancel(alarm_.timer)) return;
  } else {
    alarm_.keep_alive = run_.shared_from_this();
    alarm_.is_armed.store(true);
  }
  timers.arm(alarm_.timer, time_ns);
}

bool Node::ask_again() {
  wake_at(now_ns() + kMemoryAgainNs);
  return false;
}

void Node::tell_neighbours() {
  intake_->notify_room();
  outlet_->notify();
}

void Node::close() {
  outlet_->close();
  intake_->cancel();
}

bool Node::is_expecting() const {
  if (alarm_.is_armed.load()) return true;
  if (std::ranges::any_of(runners_, [](const auto& r) { return r->is_waiting(); })) return true;
  return spec_.factory->is_fed() && !run_.is_stopping();
}

bool Node::holds_messages() const {
  if (!outlet_->is_empty() || intake_->waiting() > 0) return true;
  return std::ranges::any_of(intake_->ports(), [](const InPort& port) {
    return std::ranges::any_of(port.edges, [](const Edge* e) { return !e->ring().empty(); });
  });
}

bool Node::grow() {
  std::uint32_t idle = 0;
  if (!state_.compare_exchange_strong(idle, kOwned)) return true;
  const bool grew = intake_->grow();
  take_over();
  return grew;
}

void Node::cut() {
  is_cut_.store(true);
  notify();
}

std::string Node::describe_wait() const {
  for (std::size_t p = 0; p < outlet_->ports().size(); ++p) {
    for (const Edge* edge : outlet_->ports()[p].edges) {
      if (!edge->is_blocking() || edge->is_cancelled() || edge->ring().has_room()) continue;
      return fmt::format("{} waits for room in its edge to {}.{}, which is full ({})",
                         planned_.name, edge->to.planned().name,
                         edge->to.spec().inputs[edge->planned.to_port].name,
                         edge->ring().capacity());
    }
  }
  for (std::size_t p = 0; p < intake_->ports().size(); ++p) {
    const InPort& port = intake_->ports()[p];
    for (const Edge* edge : port.edges) {
      if (edge->is_closed() || !edge->ring().empty()) continue;
      return fmt::format("{} waits for a message on \"{}\" from {}", planned_.name,
                         spec_.inputs[p].name, edge->from.planned().name);
    }
  }
  return fmt::format("{} waits{}", planned_.name, has_ready_ ? ": its ready() is false" : "");
}

std::unique_ptr<Node> make_node(RunState& run, std::uint32_t index) {
  const graph::PlannedNode& planned = run.plan().nodes[index];
  if (planned.instances > 1 || run.graph().nodes()[index].options.per_source) {
    return make_many_node(run, index);
  }
  return make_single_node(run, index);
}

}  // namespace penstock::runtime
