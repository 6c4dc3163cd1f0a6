// Joins by origin.
//
// Each sender of a port tells every number of each source once: by a value or a gap. A port has
// nothing for a number once all its senders that carry the source have told a gap. As long as the
// heads of all ports agree nothing is looked up; where they differ, entries wait in a map until
// every port has told.
#include "runtime/join.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

namespace penstock::runtime {
namespace {

// Messages of one port that may wait in the map; grows only where nothing else can go on.
constexpr std::size_t kPending = 16;

struct Key {
  std::uint32_t source;
  std::uint64_t number;
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  std::size_t operator()(const Key& key) const {
    return std::hash<std::uint64_t>{}(key.number * 0x9E3779B97F4A7C15u + key.source);
  }
};

Key key_of(const MessageData& message) { return {message.origin.source, message.origin.number}; }

class OriginJoiner final : public Joiner {
 public:
  OriginJoiner(std::vector<InPort*> ports, const graph::Plan& plan)
      : ports_(std::move(ports)), plan_(plan), heads_(ports_.size()), pending_(ports_.size()) {
    is_simple_ = std::ranges::all_of(ports_, [](const InPort* p) { return p->edges.size() == 1; });
    while (lead_ < ports_.size() && ports_[lead_]->is_optional) ++lead_;
    if (lead_ == ports_.size()) lead_ = 0;
  }

  Found next(Tuple& tuple, MessageRef& gap) override {
    if (ready_.empty() && entries_.empty() && is_simple_) {
      const Found found = next_of_heads(tuple, gap);
      if (found != Found::tuple || !tuple.items.empty()) return found;
      for (std::size_t p = 0; p < ports_.size(); ++p) {  // they differ
        if (heads_[p]) insert(p, std::exchange(heads_[p], {}));
      }
    }
    return next_of_entries(tuple, gap);
  }

  [[nodiscard]] std::size_t waiting() const override {
    std::size_t count = 0;
    for (std::size_t p = 0; p < ports_.size(); ++p) count += pending_[p] + (heads_[p] ? 1 : 0);
    return count;
  }

  bool grow() override {
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (pending_[p] < limit_) continue;
      limit_ *= 2;
      return true;
    }
    return false;
  }

 private:
  struct PortState {
    std::deque<MessageRef> values;
    std::uint32_t told = 0;
  };
  struct Entry {
    std::vector<PortState> ports;
    bool is_decided = false;  // a tuple or a gap went out for it
  };
  struct Ready {
    std::vector<MessageRef> items;
    MessageRef gap;
    Key key;
  };

  // `tuple` with no items: the heads are all there and don't agree.
  Found next_of_heads(Tuple& tuple, MessageRef& gap) {
    bool is_ready = true;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (heads_[p] || (heads_[p] = ports_[p]->pull())) continue;
      if (!ports_[p]->is_over()) {
        is_ready = false;
      } else if (!(heads_[p] = ports_[p]->pull()) && !ports_[p]->is_optional) {
        discard_heads();
        return Found::over;
      }
    }
    if (!is_ready) return Found::none;
    const auto first = std::ranges::find_if(heads_, [](const auto& m) { return bool(m); });
    if (first == heads_.end()) return Found::over;
    const Key key = key_of(**first);
    for (const MessageRef& head : heads_) {
      if (head && (key_of(*head) != key || head->gap_count != 1 || head->siblings > 1)) {
        return Found::tuple;
      }
    }
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      const bool has_value = heads_[p] && !heads_[p]->is_gap();
      if (has_value || ports_[p]->is_optional) continue;
      gap = MessageData::gap((*first)->origin);
      discard_heads();
      return Found::gap;
    }
    for (MessageRef& head : heads_) {
      MessageRef message = std::exchange(head, {});
      if (message && message->is_gap()) message = {};
      tuple.items.push_back(std::move(message));
    }
    return lead(tuple, gap, key);
  }

  // All ports may be optional, and have gaps.
  Found lead(Tuple& tuple, MessageRef& gap, const Key& key) {
    tuple.lead = tuple.items[lead_].get();
    for (const MessageRef& item : tuple.items) {
      if (tuple.lead == nullptr) tuple.lead = item.get();
    }
    if (tuple.lead != nullptr) return Found::tuple;
    tuple.items.clear();
    gap = gap_of(key);
    return Found::gap;
  }

  [[nodiscard]] bool all_over() const {
    return std::ranges::all_of(ports_, [](const InPort* p) { return p->is_over(); });
  }
  void discard_heads() {
    for (std::size_t p = 0; p < heads_.size(); ++p) {
      if (heads_[p]) ports_[p]->count_unpaired(*heads_[p]);
      heads_[p] = {};
    }
  }

  Found next_of_entries(Tuple& tuple, MessageRef& gap) {
    while (ready_.empty()) {
      bool has_news = false;
      for (std::size_t p = 0; p < ports_.size(); ++p) {
        while (pending_[p] < limit_) {
          MessageRef message = ports_[p]->pull();
          if (!message) break;
          insert(p, std::move(message));
          has_news = true;
        }
      }
      if (has_news) continue;
      if (note_ends()) continue;
      if (!ready_.empty()) break;
      return is_over() ? Found::over : Found::none;
    }
    Ready ready = std::move(ready_.front());
    ready_.pop_front();
    if (ready.gap) {
      gap = std::move(ready.gap);
      return Found::gap;
    }
    tuple.items = std::move(ready.items);
    return lead(tuple, gap, ready.key);
  }

  // A port that ended has nothing more for any entry. True if that decided one.
  bool note_ends() {
    bool has_ended = false;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      has_ended = has_ended || (ports_[p]->is_over() && pending_[p] < limit_);
    }
    if (!has_ended) return false;
    std::vector<Key> keys;
    for (const auto& [key, entry] : entries_) keys.push_back(key);
    std::ranges::sort(keys, {}, &Key::number);
    for (const Key& key : keys) decide(key);
    return !ready_.empty();
  }

  [[nodiscard]] bool is_over() const {
    bool any_required = false;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (ports_[p]->is_optional) continue;
      any_required = true;
      if (ports_[p]->is_over() && pending_[p] == 0 && !heads_[p]) return true;
    }
    return !any_required && all_over() && entries_.empty();
  }

  [[nodiscard]] std::uint32_t expected(std::size_t p, std::uint32_t source) const {
    std::uint32_t count = 0;
    for (const Edge* edge : ports_[p]->edges) {
      if (plan_.edge_carries(edge->index, source)) ++count;
    }
    return count;
  }

  void insert(std::size_t p, MessageRef message) {
    Key key = key_of(*message);
    if (message->is_gap()) {
      for (std::uint64_t i = 0; i < message->gap_count; ++i, ++key.number) {
        ++entry(key).ports[p].told;
        decide(key);
      }
      return;
    }
    PortState& state = entry(key).ports[p];
    if (message->siblings <= 1 || message->origin.sub + 1 == message->siblings) ++state.told;
    state.values.push_back(std::move(message));
    ++pending_[p];
    decide(key);
  }

  Entry& entry(const Key& key) {
    Entry& found = entries_[key];
    if (found.ports.empty()) found.ports.resize(ports_.size());
    return found;
  }

  // Tuples and gaps that are certain now.
  void decide(const Key& key) {
    const auto place = entries_.find(key);
    if (place == entries_.end()) return;
    Entry& entry = place->second;
    while (true) {
      bool is_settled = true;
      bool is_lacking = false;
      bool has_value = false;
      for (std::size_t p = 0; p < ports_.size(); ++p) {
        const PortState& state = entry.ports[p];
        if (!state.values.empty()) {
          has_value = true;
          continue;
        }
        is_settled = is_settled && has_told(p, key.source, state);
        is_lacking = is_lacking || !ports_[p]->is_optional;
      }
      if (!is_settled) return;
      if (!has_value) {
        if (!std::exchange(entry.is_decided, true)) ready_.push_back({{}, gap_of(key), key});
        if (has_all_told(entry, key.source)) entries_.erase(place);
        return;
      }
      if (is_lacking) {
        discard(entry);
        continue;
      }
      entry.is_decided = true;
      Ready ready{{}, {}, key};
      for (std::size_t p = 0; p < ports_.size(); ++p) ready.items.push_back(take(entry, p));
      ready_.push_back(std::move(ready));
    }
  }

  [[nodiscard]] bool has_told(std::size_t p, std::uint32_t source, const PortState& state) const {
    return state.told >= expected(p, source) || ports_[p]->is_over();
  }
  [[nodiscard]] bool has_all_told(const Entry& entry, std::uint32_t source) const {
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (!has_told(p, source, entry.ports[p])) return false;
    }
    return true;
  }
  static MessageRef gap_of(const Key& key) {
    return MessageData::gap({.source = key.source, .sub = kNoSub, .number = key.number});
  }
  MessageRef take(Entry& entry, std::size_t p) {
    auto& values = entry.ports[p].values;
    if (values.empty()) return {};
    MessageRef message = std::move(values.front());
    values.pop_front();
    --pending_[p];
    return message;
  }
  void discard(Entry& entry) {
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      while (MessageRef message = take(entry, p)) ports_[p]->count_unpaired(*message);
    }
  }

  std::vector<InPort*> ports_;
  const graph::Plan& plan_;
  bool is_simple_ = false;
  std::size_t lead_ = 0;
  std::vector<MessageRef> heads_;
  std::unordered_map<Key, Entry, KeyHash> entries_;
  std::vector<std::size_t> pending_;
  std::size_t limit_ = kPending;
  std::deque<Ready> ready_;
};

}  // namespace

std::unique_ptr<Joiner> make_origin_joiner(std::vector<InPort*> ports, const graph::Plan& plan) {
  return std::make_unique<OriginJoiner>(std::move(ports), plan);
}

}  // namespace penstock::runtime
