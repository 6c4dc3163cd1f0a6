// Joins inputs that have no source in common, by number.
#include "runtime/join.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

namespace penstock::runtime {
namespace {

// Tuples of one group that may wait for those of others; grows only where nothing else can go on.
constexpr std::size_t kPending = 16;

// Groups of ports that share no source: tuples of each by origin, those of all by number.
class NumberJoiner final : public Joiner {
 public:
  NumberJoiner(std::span<InPort> ports, std::uint32_t groups, const graph::Plan& plan)
      : ports_(ports), groups_(groups) {
    for (std::uint32_t g = 0; g < groups; ++g) {
      std::vector<InPort*> members;
      for (std::size_t p = 0; p < ports.size(); ++p) {
        if (ports[p].group != g) continue;
        members.push_back(&ports[p]);
        groups_[g].ports.push_back(p);
        groups_[g].is_required = groups_[g].is_required || !ports[p].is_optional;
      }
      groups_[g].joiner = make_origin_joiner(std::move(members), plan);
    }
    lead_ = ports[lead_port(ports)].group;
  }

  Found next(Tuple& tuple, MessageRef& gap) override {
    while (true) {
      bool has_news = false;
      for (std::uint32_t g = 0; g < groups_.size(); ++g) {
        has_news = pull(g) || has_news;
      }
      if (gap_) {
        gap = std::exchange(gap_, {});
        return Found::gap;
      }
      if (match(tuple, gap)) return tuple.items.empty() ? Found::gap : Found::tuple;
      if (has_news) continue;
      return is_over() ? Found::over : Found::none;
    }
  }

  [[nodiscard]] std::size_t waiting() const override {
    std::size_t count = 0;
    for (const Group& group : groups_) count += group.joiner->waiting() + group.waiting;
    return count;
  }
  bool grow() override {
    for (Group& group : groups_) {
      if (group.joiner->grow()) return true;
    }
    limit_ *= 2;
    return std::ranges::any_of(groups_, [&](const Group& g) { return g.waiting >= limit_ / 2; });
  }

 private:
  struct Told {
    std::vector<MessageRef> items;
    MessageData* lead = nullptr;
    MessageRef gap;  // in place of both
  };
  struct Group {
    std::unique_ptr<Joiner> joiner;
    std::vector<std::size_t> ports;
    bool is_required = false;
    bool is_over = false;
    std::unordered_map<std::uint64_t, std::deque<Told>> told;
    std::deque<std::uint64_t> order;  // numbers as they came
    std::size_t waiting = 0;
  };

  bool pull(std::uint32_t g) {
    Group& group = groups_[g];
    if (group.is_over || group.waiting >= limit_) return false;
    part_.clear();
    MessageRef gap;
    switch (group.joiner->next(part_, gap)) {
      case Found::none:
        return false;
      case Found::over:
        group.is_over = true;
        return true;
      case Found::gap:
        for (std::uint64_t i = 0; i < gap->gap_count; ++i) {
          add(group, gap->origin.number + i, Told{{}, nullptr, MessageData::gap(gap->origin)});
        }
        return true;
      case Found::tuple:
        add(group, part_.lead->origin.number, Told{std::move(part_.items), part_.lead, {}});
        return true;
    }
    return false;
  }

  static void add(Group& group, std::uint64_t number, Told told) {
    group.told[number].push_back(std::move(told));
    group.order.push_back(number);
    ++group.waiting;
  }

  // True: the tuple, or a gap if it is empty.
  bool match(Tuple& tuple, MessageRef& gap) {
    Group& leader = groups_[lead_];
    for (std::size_t i = 0; i < leader.order.size(); ++i) {
      const std::uint64_t number = leader.order[i];
      bool is_settled = true;
      bool is_lacking = false;
      for (Group& group : groups_) {
        const auto place = group.told.find(number);
        const bool has = place != group.told.end();
        is_settled = is_settled && (has || group.is_over);
        const bool has_value = has && !place->second.front().items.empty();
        is_lacking = is_lacking || (group.is_required && !has_value);
      }
      if (!is_settled) continue;
      leader.order.erase(leader.order.begin() + static_cast<std::ptrdiff_t>(i));
      if (is_lacking) {
        gap = discard(number);
        return true;
      }
      hand_out(number, tuple);
      return true;
    }
    return false;
  }

  Told take(Group& group, std::uint64_t number) {
    const auto place = group.told.find(number);
    if (place == group.told.end()) return {};
    Told told = std::move(place->second.front());
    place->second.pop_front();
    if (place->second.empty()) group.told.erase(place);
    --group.waiting;
    if (&group != &groups_[lead_]) group.order.erase(std::ranges::find(group.order, number));
    return told;
  }

  MessageRef discard(std::uint64_t number) {
    MessageRef gap;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Told told = take(groups_[g], number);
      for (std::size_t i = 0; i < told.items.size(); ++i) {
        if (told.items[i]) ports_[groups_[g].ports[i]].count_unpaired(*told.items[i]);
      }
      if (g == lead_) gap = told.gap ? told.gap : MessageData::gap(told.lead->origin);
    }
    return gap;
  }

  void hand_out(std::uint64_t number, Tuple& tuple) {
    tuple.items.resize(ports_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      Told told = take(groups_[g], number);
      for (std::size_t i = 0; i < told.items.size(); ++i) {
        tuple.items[groups_[g].ports[i]] = std::move(told.items[i]);
      }
      if (g == lead_) tuple.lead = told.lead;
    }
  }

  [[nodiscard]] bool is_over() const {
    for (const Group& group : groups_) {
      if (group.is_over && group.is_required && group.told.empty()) return true;
    }
    return std::ranges::all_of(groups_, [](const Group& g) { return g.is_over; }) &&
           groups_[lead_].order.empty();
  }

  std::span<InPort> ports_;
  std::vector<Group> groups_;
  std::uint32_t lead_ = 0;
  std::size_t limit_ = kPending;
  Tuple part_;
  MessageRef gap_;
};

}  // namespace

std::unique_ptr<Joiner> make_number_joiner(std::span<InPort> ports, std::uint32_t groups,
                                           const graph::Plan& plan) {
  return std::make_unique<NumberJoiner>(ports, groups, plan);
}

}  // namespace penstock::runtime
