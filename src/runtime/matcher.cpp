#include "runtime/matcher.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {

Matcher::Entry& Matcher::entry(const Key& key) {
  const auto place = entries_.find(key);
  if (place != entries_.end()) return place->second;
  if (free_.empty()) {
    Entry& made = entries_[key];
    made.lanes.resize(lanes_.size());
    return made;
  }
  Entries::node_type node = std::move(free_.back());
  free_.pop_back();
  node.key() = key;
  return entries_.insert(std::move(node)).position->second;
}

void Matcher::add(std::size_t lane, const Key& key, std::uint32_t sub, MessageRef value,
                  std::uint64_t weight) {
  Told& told = entry(key).lanes[lane];
  told.weight += weight;
  told.values.push_back({std::move(value), sub == kNoSub ? 0 : sub});
  ++lanes_[lane].pending;
}

void Matcher::tell(std::size_t lane, const Key& key, std::uint64_t weight) {
  entry(key).lanes[lane].weight += weight;
}

void Matcher::end(std::size_t lane) {
  if (std::exchange(lanes_[lane].is_over, true)) return;
  std::vector<Key> keys;
  for (const auto& [key, entry] : entries_) keys.push_back(key);
  std::ranges::sort(keys, {}, &Key::number);
  for (const Key& key : keys) decide(key);
}

void Matcher::decide(const Key& key) {
  const auto place = entries_.find(key);
  if (place == entries_.end()) return;
  while (decide_one(key, place->second)) give_held_gaps();
  forget_if_done(place);
}

bool Matcher::decide_one(const Key& key, Entry& entry) {
  for (const Told& told : entry.lanes) {
    for (const Value& value : told.values) {
      if (try_sub(key, entry, value.sub)) return true;
    }
  }
  return false;
}

bool Matcher::try_sub(const Key& key, Entry& entry, std::uint32_t sub) {
  bool is_lacking = false;
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    if (find(entry.lanes[l], sub) != nullptr) continue;
    if (!has_told_all(l, key, entry.lanes[l])) return false;
    is_lacking = is_lacking || !lanes_[l].port->is_optional;
  }
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    MessageRef message = take(l, entry.lanes[l], sub);
    if (!is_lacking) {
      items_.push(std::move(message));
    } else if (message) {
      lanes_[l].port->count_unpaired(*message);
      if (l == lead_) give_gap(MessageData::gap_for(*message));
    }
  }
  if (!is_lacking) ready_.push(Found::tuple);
  return true;
}

bool Matcher::has_told_all(std::size_t lane, const Key& key, const Told& told) const {
  const Lane& of = lanes_[lane];
  return of.is_over || told.weight >= of.expected[key.source];
}

// What is known of a number is kept as long as somebody may still ask.
bool Matcher::is_done(const Key& key, const Entry& entry) const {
  bool has_told = false;
  bool may_ask = false;
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    const Told& told = entry.lanes[l];
    if (!told.values.empty()) return false;
    may_ask = may_ask || !has_told_all(l, key, told);
    has_told = has_told || (told.weight > 0 && lanes_[l].expected[key.source] != kNever);
  }
  return !may_ask || !has_told;
}

void Matcher::forget_if_done(Entries::iterator place) {
  if (!is_done(place->first, place->second)) return;
  Entries::node_type node = entries_.extract(place);
  for (Told& told : node.mapped().lanes) told.weight = 0;
  free_.push_back(std::move(node));
}

Matcher::Value* Matcher::find(Told& told, std::uint32_t sub) {
  const auto found = std::ranges::find(told.values, sub, &Value::sub);
  return found == told.values.end() ? nullptr : &*found;
}

MessageRef Matcher::take(std::size_t lane, Told& told, std::uint32_t sub) {
  const auto found = std::ranges::find(told.values, sub, &Value::sub);
  if (found == told.values.end()) return {};
  MessageRef message = std::move(found->message);
  told.values.erase(found);
  --lanes_[lane].pending;
  if (lane == lead_) ++lead_taken_;
  return message;
}

void Matcher::pass_gap(MessageRef gap) {
  const std::size_t pending = lanes_[lead_].pending;
  if (pending == 0 || !is_lead_ordered_) {
    give_gap(std::move(gap));
  } else {
    held_gaps_.push({std::move(gap), lead_taken_ + pending});
  }
}

void Matcher::give_held_gaps() {
  while (!held_gaps_.empty() && held_gaps_.front().after <= lead_taken_) {
    give_gap(held_gaps_.pop().gap);
  }
}

void Matcher::give_gap(MessageRef gap) {
  ready_.push(Found::gap);
  items_.push(std::move(gap));
}

Found Matcher::take(Tuple& tuple, MessageRef& gap) {
  const Found found = ready_.pop();
  if (found == Found::gap) {
    gap = items_.pop();
    return found;
  }
  for (std::size_t l = 0; l < lanes_.size(); ++l) tuple.items.push_back(items_.pop());
  set_lead(tuple);
  return found;
}

void Matcher::set_lead(Tuple& tuple) const {
  tuple.lead = tuple.items[lead_].get();
  for (std::size_t i = 0; tuple.lead == nullptr && i < tuple.items.size(); ++i) {
    tuple.lead = tuple.items[i].get();
  }
}

}  // namespace penstock::runtime
