#include "runtime/outlet.hpp"

#include "runtime/node.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {

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

void Outlet::stage(graph::Activation& activation, bool is_window) {
  if (activation.outputs.size() > 1) number_siblings(activation);
  // Of several that made one activation, the others' numbers end here.
  const bool is_aggregate = !is_window && activation.items() == 1 && activation.ports() > 0 &&
                            activation.port(0).size() > 1;
  for (graph::Staged& staged : activation.outputs) {
    if (!ports_[staged.port].edges.empty()) pending_.push({staged.port, staged.message});
  }
  for (std::uint32_t p = 0; p < ports_.size(); ++p) {
    if (!ports_[p].carries_gaps) continue;
    stage_missing(activation, p);
    if (!is_aggregate) continue;
    for (const MessageRef& item : activation.port(0)) {
      if (item && item.get() != activation.lead()) {
        pending_.push({p, MessageData::gap(item->origin)});
      }
    }
  }
  activation.outputs.clear();
}

// Several on one port with one origin get a sub-number each.
void Outlet::number_siblings(graph::Activation& activation) {
  auto& outputs = activation.outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    MessageData& first = *outputs[i].message;
    if (first.siblings != 0) continue;
    const Origin origin = first.origin;
    std::uint32_t count = 0;
    for (std::size_t j = i; j < outputs.size(); ++j) {
      const bool is_sibling = outputs[j].port == outputs[i].port &&
                              outputs[j].message->siblings == 0 &&
                              outputs[j].message->origin == origin;
      if (!is_sibling) continue;
      outputs[j].message->origin.sub = count++;
      outputs[j].message->siblings = UINT32_MAX;
    }
    for (std::size_t j = i; j < outputs.size(); ++j) {
      MessageData& message = *outputs[j].message;
      if (message.siblings != UINT32_MAX) continue;
      if (count == 1) message.origin.sub = origin.sub;
      message.siblings = count;
    }
  }
}

void Outlet::stage_missing(const graph::Activation& activation, std::uint32_t port) {
  if (activation.is_source && activation.outputs.empty()) return;  // the number comes again
  for (std::size_t item = 0; item < activation.items(); ++item) {
    const MessageData* lead = activation.lead(item);
    if (lead == nullptr && !activation.is_source) continue;
    const Origin& origin = lead == nullptr ? activation.origin : lead->origin;
    const bool is_there = std::ranges::any_of(activation.outputs, [&](const graph::Staged& s) {
      return s.port == port && s.message->origin.source == origin.source &&
             s.message->origin.number == origin.number;
    });
    // One of several siblings says nothing of the others.
    if (!is_there && (lead == nullptr || lead->siblings <= 1 || origin.sub + 1 == lead->siblings)) {
      pending_.push({port, MessageData::gap(origin)});
    }
  }
}

void Outlet::stage_gap(const MessageRef& gap) {
  for (std::uint32_t p = 0; p < ports_.size(); ++p) {
    if (ports_[p].carries_gaps) pending_.push({p, gap});
  }
}

bool Outlet::flush() {
  while (!pending_.empty()) {
    const Port& port = ports_[pending_.front().port];
    if (!can_push(port)) return false;
    graph::Staged staged = pending_.pop();
    for (std::size_t i = 0; i < port.edges.size(); ++i) {
      Edge& edge = *port.edges[i];
      edge.push(i + 1 == port.edges.size() ? std::move(staged.message) : staged.message);
      if (std::ranges::find(news_, &edge.to) == news_.end()) news_.push_back(&edge.to);
    }
  }
  return true;
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
