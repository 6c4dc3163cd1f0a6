#include "runtime/intake.hpp"

#include "base/time.hpp"

#include <algorithm>
#include <span>
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
  is_lone_ = ports_.size() == 1 && ports_.front().size == 1;
  if (ports_.empty()) return;
  if (is_lone_ && ports_.front().edges.size() == 1) lone_edge_ = ports_.front().edges.front();
  joiner_ = make_joiner(ports_, {.join = node.join,
                                 .within_ns = static_cast<std::int64_t>(options.within_ms * 1e6),
                                 .groups = node.groups,
                                 .plan = &plan,
                                 .kept_back = node.kept_back});
}

Found Intake::next(graph::Activation& activation, MessageRef& gap) {
  if (batch_ > 1) return next_batch(activation, gap);
  if (window_ > 1 || stride_ > 1) return next_window(activation, gap);
  if (is_lone_) return next_single(activation, gap);
  const Found found = next_tuple(tuple_, gap);
  if (found == Found::tuple) fill(activation);
  return found;
}

Found Intake::next_single(graph::Activation& activation, MessageRef& gap) {
  const Found found = ports_.front().next_some(items_, 1, gap);
  if (found == Found::tuple) activation.swap_items(items_);
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
    const Found found = gather(full, gap);
    if (found == Found::none) break;
    if (found == Found::over) is_over_ = true;
    if (found != Found::gap) continue;
    if (count_ == 0) return Found::gap;
    gaps_.push_back({static_cast<std::uint32_t>(count_), std::exchange(gap, {})});
  }
  if (count_ == 0) return is_over_ ? Found::over : Found::none;
  if (count_ < full && !is_over_ && max_delay_ns_ > 0) {
    const std::int64_t due_ns = oldest_ns_ + max_delay_ns_;
    if (now_ns() < due_ns) {
      wake_at_ns_ = due_ns;
      return Found::none;
    }
  }
  fill_batch(activation);
  count_ = 0;
  activation.gaps.swap(gaps_);
  return Found::tuple;
}

// One more for the batch, or several.
Found Intake::gather(std::size_t full, MessageRef& gap) {
  const bool is_first = count_ == 0;
  std::int64_t arrival_ns = 0;
  Found found;
  if (is_lone_) {
    InPort& port = ports_.front();
    found = port.next_some(items_, full - count_, gap);
    count_ = items_.size();
    arrival_ns = port.arrival_ns;
  } else {
    if (count_ == tuples_.size()) tuples_.emplace_back();
    found = next_tuple(tuples_[count_], gap);
    if (found == Found::tuple) ++count_;
  }
  if (is_first && count_ > 0 && max_delay_ns_ > 0) {
    oldest_ns_ = arrival_ns == 0 ? now_ns() : arrival_ns;
  }
  return found;
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

void Intake::fill_batch(graph::Activation& activation) {
  if (is_lone_) {
    activation.swap_items(items_);
    return;
  }
  const auto tuples = std::span(tuples_).first(count_);
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    activation.begin_port();
    for (Tuple& tuple : tuples) activation.add(std::move(tuple.items[p]));
  }
  activation.end_ports();
  for (Tuple& tuple : tuples) {
    activation.add_lead(tuple.lead);
    activation.keeps_weight = activation.keeps_weight || tuple.keeps_weight;
    tuple.clear();
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
