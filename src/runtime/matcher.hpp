// Puts together what several lanes tell of numbers. Each lane tells of each number by values and
// gaps whose weights add up to what is expected of it; values with one number and sub-number belong
// together. A lane has nothing (more) for a number once it has told all of it, or is over.
// Used by a node's owner alone; allocates nothing once it has grown.
#pragma once

#include "base/ring_queue.hpp"
#include "runtime/join.hpp"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace penstock::runtime {

class Matcher {
 public:
  struct Key {
    std::uint32_t source;
    std::uint64_t number;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Lane {
    InPort* port = nullptr;
    /// Weight of each number, for each source; kNever: nobody knows.
    std::vector<std::uint64_t> expected;
    bool is_over = false;
    /// Values that wait here.
    std::size_t pending = 0;
  };
  static constexpr std::uint64_t kNever = UINT64_MAX;

  Matcher(std::vector<Lane> lanes, std::size_t lead)
      : lanes_(std::move(lanes)),
        lead_(lead),
        is_lead_ordered_(lanes_[lead].port->edges.size() == 1) {}

  /// What a lane tells. A null value: an optional one that goes with others of the same number.
  void add(std::size_t lane, const Key& key, std::uint32_t sub, MessageRef value,
           std::uint64_t weight);
  void tell(std::size_t lane, const Key& key, std::uint64_t weight);
  /// Tuples and gaps that are certain by what was told.
  void decide(const Key& key);
  /// Nothing more comes from the lane.
  void end(std::size_t lane);

  /// A gap that came on the leading lane; it does not overtake what came on it before.
  void pass_gap(MessageRef gap);
  [[nodiscard]] bool has_ready() const { return !ready_.empty(); }
  /// If has_ready(): a tuple or a gap.
  [[nodiscard]] Found take(Tuple& tuple, MessageRef& gap);

  [[nodiscard]] bool is_empty() const { return entries_.empty(); }
  /// Numbers that something was told of.
  [[nodiscard]] std::size_t numbers() const { return entries_.size(); }
  [[nodiscard]] const Lane& lane(std::size_t index) const { return lanes_[index]; }
  [[nodiscard]] std::size_t lead() const { return lead_; }
  /// Sets the lead of a tuple: the leading lane's message, else the first there is.
  void set_lead(Tuple& tuple) const;

 private:
  struct Value {
    MessageRef message;
    std::uint32_t sub = 0;
  };
  struct Told {
    std::uint64_t weight = 0;
    std::vector<Value> values;
  };
  struct Entry {
    std::vector<Told> lanes;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::uint64_t>{}(key.number * 0x9E3779B97F4A7C15u + key.source);
    }
  };
  using Entries = std::unordered_map<Key, Entry, KeyHash>;

  void give_gap(MessageRef gap);
  void give_held_gaps();
  [[nodiscard]] Entry& entry(const Key& key);
  [[nodiscard]] bool decide_one(const Key& key, Entry& entry);
  [[nodiscard]] bool try_sub(const Key& key, Entry& entry, std::uint32_t sub);
  [[nodiscard]] bool has_told_all(std::size_t lane, const Key& key, const Told& told) const;
  [[nodiscard]] bool is_done(const Key& key, const Entry& entry) const;
  void forget_if_done(Entries::iterator place);
  [[nodiscard]] static Value* find(Told& told, std::uint32_t sub);
  [[nodiscard]] MessageRef take(std::size_t lane, Told& told, std::uint32_t sub);

  std::vector<Lane> lanes_;
  const std::size_t lead_;
  const bool is_lead_ordered_;
  Entries entries_;
  std::vector<Entries::node_type> free_;
  // Tuples have an item for each lane, gaps one.
  RingQueue<Found> ready_;
  RingQueue<MessageRef> items_;
  struct HeldGap {
    MessageRef gap;
    std::uint64_t after = 0;  // values of the leading lane that come first
  };
  RingQueue<HeldGap> held_gaps_;
  std::uint64_t lead_taken_ = 0;
};

}  // namespace penstock::runtime
