#include "runtime/outlet.hpp"

#include "runtime/node.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {

namespace {

// A result for each item, in their order.
bool has_one_each(const graph::Activation& activation) {
  if (activation.outputs.size() != activation.items()) return false;
  std::size_t item = 0;
  return std::ranges::all_of(activation.outputs, [&](const auto& s) { return s.item == item++; });
}

}  // namespace

bool Outlet::can_push(const Port& port) {
  bool has_room = true;
  // All of them are asked: each that is full has to know that it is waited for.
  for (Edge* edge : port.edges) has_room = edge->can_push() && has_room;
  return has_room;
}

bool Outlet::has_room() {
  if (!pending_.empty()) return false;
  bool has_room = true;
  for (const Port& port : ports_) has_room = can_push(port) && has_room;
  return has_room;
}

void Outlet::stage(graph::Activation& activation, bool is_window, bool repeats) {
  auto& outputs = activation.outputs;
  const bool is_aggregate = !is_window && activation.has_several();
  if (ports_.empty()) return;
  if (ports_.size() == 1 && !is_aggregate && activation.gaps.empty() && !activation.keeps_weight &&
      has_one_each(activation)) {
    activation.drop_inputs();  // or a consumer that writes would find a value in use
    put_all(outputs);
    return;
  }
  if (!std::ranges::is_sorted(outputs, {}, &graph::Staged::item)) {
    std::ranges::stable_sort(outputs, {}, &graph::Staged::item);
  }
  if (is_aggregate) stage_aggregated(activation);
  std::size_t output = 0;
  std::size_t gap = 0;
  for (std::size_t item = 0; item < activation.items(); ++item) {
    for (; gap < activation.gaps.size() && activation.gaps[gap].item <= item; ++gap) {
      stage_gap(activation.gaps[gap].gap);
    }
    const std::size_t begin = output;
    while (output < outputs.size() && outputs[output].item <= item) ++output;
    stage_item(activation, item, std::span(outputs).subspan(begin, output - begin), repeats);
  }
  for (; gap < activation.gaps.size(); ++gap) stage_gap(activation.gaps[gap].gap);
}

// Several on one port for one item get a sub-number each, and a part of its weight.
void Outlet::stage_item(const graph::Activation& activation, std::size_t item,
                        std::span<graph::Staged> results, bool repeats) {
  if (ports_.size() == 1 && results.size() == 1 && !activation.keeps_weight) {
    if (!ports_[0].edges.empty()) pending_.push(std::move(results[0]));
    return;
  }
  results_.assign(ports_.size(), {});
  for (const graph::Staged& staged : results) ++results_[staged.port].count;
  for (graph::Staged& staged : results) {
    Results& of_port = results_[staged.port];
    const std::uint32_t place = of_port.staged++;
    if (ports_[staged.port].edges.empty()) continue;
    if (of_port.count > 1 || activation.keeps_weight) {
      // What passes through is seen by others.
      if (staged.message->ref_count() > 1) staged.message = MessageData::share(*staged.message);
      MessageData& message = *staged.message;
      if (of_port.count > 1) {
        const std::uint32_t sub = message.origin.sub == kNoSub ? 0 : message.origin.sub;
        const std::uint64_t rest = place == 0 ? message.weight % of_port.count : 0;
        message.origin.sub = sub * of_port.count + place;
        message.weight = message.weight / of_port.count + rest;
      }
      if (activation.keeps_weight) message.weight = 0;
    }
    pending_.push(std::move(staged));
  }
  if (!repeats && !activation.keeps_weight) stage_missing(activation, item);
}

void Outlet::stage_missing(const graph::Activation& activation, std::size_t item) {
  const MessageData* lead = activation.lead(item);
  if (lead == nullptr && !activation.is_source) return;
  for (std::uint32_t p = 0; p < ports_.size(); ++p) {
    if (!ports_[p].carries_gaps || results_[p].count > 0) continue;
    pending_.push({lead == nullptr ? MessageData::gap(activation.origin, MessageData::kWhole)
                                   : MessageData::gap_for(*lead),
                   p});
  }
}

// Of several that made one activation, the others' numbers end here.
void Outlet::stage_aggregated(const graph::Activation& activation) {
  const std::span<const MessageRef> leading = activation.port(activation.lead_port());
  for (std::uint32_t p = 0; p < ports_.size(); ++p) {
    if (!ports_[p].carries_gaps) continue;
    for (const MessageRef& item : leading) {
      if (item && item.get() != activation.lead()) {
        pending_.push({MessageData::gap_for(*item), p});
      }
    }
  }
}

void Outlet::stage_gap(const MessageRef& gap) {
  for (std::uint32_t p = 0; p < ports_.size(); ++p) {
    if (ports_[p].carries_gaps) pending_.push({gap, p});
  }
}

bool Outlet::flush_pending() {
  while (!pending_.empty()) {
    const Port& port = ports_[pending_.front().port];
    if (!can_push(port)) return false;
    push(port, pending_.pop().message);
  }
  return true;
}

void Outlet::put(std::uint32_t port, MessageRef message) {
  if (pending_.empty() && can_push(ports_[port])) {
    push(ports_[port], std::move(message));
  } else {
    pending_.push({std::move(message), port});
  }
}

void Outlet::put_all(std::span<graph::Staged> results) {
  const std::vector<Edge*>& edges = ports_.front().edges;
  if (edges.empty()) return;
  if (edges.size() == 1 && pending_.empty()) {
    tell(edges.front()->to);
    results = results.subspan(edges.front()->push_some(results));
  }
  for (graph::Staged& staged : results) put(0, std::move(staged.message));
}

void Outlet::tell(Node& consumer) {
  if (news_.empty() || std::ranges::find(news_, &consumer) == news_.end()) {
    news_.push_back(&consumer);
  }
}

void Outlet::push(const Port& port, MessageRef message) {
  for (std::size_t i = 0; i < port.edges.size(); ++i) {
    Edge& edge = *port.edges[i];
    tell(edge.to);
    const bool is_last = i + 1 == port.edges.size();
    edge.push(is_last ? std::exchange(message, {}) : message);
  }
}

void Outlet::notify() {
  for (Node* node : news_) node->notify();
  news_.clear();
}

void Outlet::close() {
  for (Port& port : ports_) {
    for (Edge* edge : port.edges) {
      edge->close();
      edge->to.notify();
    }
  }
}

bool Outlet::is_unwanted() const {
  bool has_edges = false;
  for (const Port& port : ports_) {
    for (const Edge* edge : port.edges) {
      if (!edge->is_cancelled()) return false;
      has_edges = true;
    }
  }
  return has_edges;
}

}  // namespace penstock::runtime
