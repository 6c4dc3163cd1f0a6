#include "runtime/intake.hpp"

#include "base/time.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {

Intake::Intake(const OperatorOptions& options, const std::vector<PortSpec>& specs,
               std::vector<InPort> ports, const graph::Plan& plan, const graph::PlannedNode& node)
    : batch_(options.batch),
      max_delay_ns_(static_cast<std::int64_t>(options.max_delay_ms * 1e6)),
      window_(static_cast<std::size_t>(options.window)),
      stride_(static_cast<std::size_t>(options.stride)),
      ports_(std::move(ports)),
      wake_at_ns_(kNever) {
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    ports_[p].is_optional = specs[p].is_optional;
    ports_[p].size = specs[p].size;
    for (Edge* edge : ports_[p].edges) {
      if (batch_ > 1 && max_delay_ns_ > 0) edge->keep_arrivals();
    }
  }
  is_single_ =
      batch_ == 1 && window_ == 1 && stride_ == 1 && ports_.size() == 1 && ports_.front().size == 1;
  if (ports_.empty()) return;
  joiner_ = make_joiner(ports_, {.join = node.join,
                                 .within_ns = static_cast<std::int64_t>(options.within_ms * 1e6),
                                 .groups = node.groups,
                                 .plan = &plan,
                                 .kept_back = node.kept_back});
}

Found Intake::next(graph::Activation& activation, MessageRef& gap) {
  if (is_single_) return next_single(activation, gap);
  if (batch_ > 1) return next_batch(activation, gap);
  if (window_ > 1 || stride_ > 1) return next_window(activation, gap);
  const Found found = next_tuple(tuple_, gap);
  if (found == Found::tuple) fill(activation);
  return found;
}

Found Intake::next_single(graph::Activation& activation, MessageRef& gap) {
  MessageRef message;
  const Found found = ports_.front().next(message);
  if (found == Found::tuple) {
    activation.set_single(std::move(message));
  } else if (found == Found::gap) {
    gap = std::move(message);
  }
  return found;
}

Found Intake::next_tuple(Tuple& tuple, MessageRef& gap) {
  tuple.clear();
  return joiner_->next(tuple, gap);
}

Found Intake::next_batch(graph::Activation& activation, MessageRef& gap) {
  wake_at_ns_ = kNever;
  const auto full = static_cast<std::size_t>(batch_);
  while (count_ < full && !is_over_) {
    if (count_ == gathered_.size()) gathered_.emplace_back();
    Tuple& tuple = gathered_[count_];
    switch (next_tuple(tuple, gap)) {
      case Found::gap:
        if (count_ == 0) return Found::gap;
        gaps_.push_back({static_cast<std::uint32_t>(count_), std::exchange(gap, {})});
        continue;
      case Found::over:
        is_over_ = true;
        continue;
      case Found::tuple:
        if (tuple.arrival_ns == 0 && max_delay_ns_ > 0) tuple.arrival_ns = now_ns();
        ++count_;
        continue;
      case Found::none:
        break;
    }
    break;
  }
  if (count_ == 0) return is_over_ ? Found::over : Found::none;
  if (count_ < full && !is_over_ && max_delay_ns_ > 0) {
    const std::int64_t due_ns = gathered_.front().arrival_ns + max_delay_ns_;
    if (now_ns() < due_ns) {
      wake_at_ns_ = due_ns;
      return Found::none;
    }
  }
  fill(activation, gathered_, std::exchange(count_, 0));
  activation.gaps.swap(gaps_);
  return Found::tuple;
}

Found Intake::next_window(graph::Activation& activation, MessageRef& gap) {
  while (true) {
    const Found found = next_tuple(tuple_, gap);
    if (found != Found::tuple) return found;
    Window& window = windows_[tuple_.lead->origin.source];
    if (window.tuples.size() == window_) window.tuples.erase(window.tuples.begin());
    window.tuples.push_back(std::exchange(tuple_, {}));
    ++window.seen;
    const Tuple& newest = window.tuples.back();
    if (window.seen >= window_ && (window.seen - window_) % stride_ == 0) {
      fill(activation, window);
      return Found::tuple;
    }
    if (newest.keeps_weight) continue;
    gap = MessageData::gap_for(*newest.lead);
    return Found::gap;
  }
}

void Intake::fill(graph::Activation& activation, const Window& window) {
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    activation.begin_port();
    for (const Tuple& tuple : window.tuples) activation.add(tuple.items[p]);
  }
  activation.end_ports();
  activation.add_lead(window.tuples.back().lead);
  activation.keeps_weight = window.tuples.back().keeps_weight;
}

void Intake::fill(graph::Activation& activation) {
  std::size_t item = 0;
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    activation.begin_port();
    const std::size_t count = tuple_.counts.empty() ? 1 : tuple_.counts[p];
    for (std::size_t i = 0; i < count; ++i) activation.add(std::move(tuple_.items[item++]));
  }
  activation.end_ports();
  activation.add_lead(tuple_.lead);
  activation.keeps_weight = tuple_.keeps_weight;
}

void Intake::fill(graph::Activation& activation, std::vector<Tuple>& tuples, std::size_t count) {
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    activation.begin_port();
    for (std::size_t i = 0; i < count; ++i) activation.add(std::move(tuples[i].items[p]));
  }
  activation.end_ports();
  for (std::size_t i = 0; i < count; ++i) {
    activation.add_lead(tuples[i].lead);
    activation.keeps_weight = activation.keeps_weight || tuples[i].keeps_weight;
    tuples[i].clear();
  }
}

void Intake::notify_room() {
  for (InPort& port : ports_) {
    for (Edge* edge : port.edges) edge->notify_room();
  }
}

void Intake::cancel() {
  for (InPort& port : ports_) {
    for (Edge* edge : port.edges) edge->cancel();
  }
}

std::size_t Intake::waiting() const {
  return count_ + (joiner_ == nullptr ? 0 : joiner_->waiting());
}

}  // namespace penstock::runtime
