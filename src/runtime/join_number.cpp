// Joins inputs that have no source in common: those of one group by origin, the groups by number.
#include "runtime/matcher.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {
namespace {

// Numbers that some groups have told of and others have not; grows only where nothing else can go
// on.
constexpr std::size_t kPending = 16;

class NumberJoiner final : public Joiner {
 public:
  NumberJoiner(std::span<InPort> ports, std::uint32_t groups, const graph::Plan& plan,
               std::size_t kept_back)
      : groups_(groups),
        matcher_(lanes(ports, groups, plan), lead_port(ports)),
        limit_(kPending + kept_back) {
    for (std::uint32_t g = 0; g < groups; ++g) {
      std::vector<InPort*> members;
      for (std::size_t p = 0; p < ports.size(); ++p) {
        if (ports[p].group != g) continue;
        members.push_back(&ports[p]);
        groups_[g].ports.push_back(p);
        groups_[g].is_required = groups_[g].is_required || !ports[p].is_optional;
      }
      groups_[g].joiner = make_origin_joiner(std::move(members), plan, kept_back);
    }
    lead_ = ports[lead_port(ports)].group;
  }

  Found next(Tuple& tuple, MessageRef& gap) override {
    while (!matcher_.has_ready()) {
      bool has_news = false;
      for (std::uint32_t g = 0; g < groups_.size(); ++g) has_news = pull(g) || has_news;
      if (!has_news) return is_over() ? Found::over : Found::none;
    }
    return matcher_.take(tuple, gap);
  }

  [[nodiscard]] std::size_t waiting() const override {
    std::size_t count = 0;
    for (const Group& group : groups_) {
      count += group.joiner->waiting() + matcher_.lane(group.ports.front()).pending;
    }
    return count;
  }
  bool grow() override {
    for (Group& group : groups_) {
      if (group.joiner->grow()) return true;
    }
    const bool is_full = std::ranges::any_of(groups_, [&](const Group& g) { return is_ahead(g); });
    if (is_full) limit_ *= 2;
    return is_full;
  }

 private:
  struct Group {
    std::unique_ptr<Joiner> joiner;
    std::vector<std::size_t> ports;
    bool is_required = false;
    bool is_over = false;
    std::uint64_t told = 0;
  };

  // Numbers are told of in their order, or nearly: the group that told fewest is waited for.
  [[nodiscard]] bool is_ahead(const Group& group) const {
    if (matcher_.lane(group.ports.front()).pending >= limit_) return true;
    if (matcher_.numbers() < limit_) return false;
    return std::ranges::any_of(
        groups_, [&](const Group& other) { return !other.is_over && other.told < group.told; });
  }

  // What the group's lead is expected to tell, whatever its sources.
  static std::vector<Matcher::Lane> lanes(std::span<InPort> ports, std::uint32_t groups,
                                          const graph::Plan& plan) {
    std::vector<Matcher::Lane> lanes(ports.size());
    for (std::uint32_t g = 0; g < groups; ++g) {
      std::size_t lead = ports.size();
      for (std::size_t p = ports.size(); p-- > 0;) {
        const bool is_better =
            lead == ports.size() || !ports[p].is_optional || ports[lead].is_optional;
        if (ports[p].group == g && is_better) lead = p;
      }
      const auto is_one_of_several = [&](const InPort& port) {
        return port.group == g && &port != &ports[lead];
      };
      // Any of several optional ones may lead.
      const bool any_leads =
          ports[lead].is_optional && std::ranges::any_of(ports, is_one_of_several);
      std::uint64_t sum = any_leads ? Matcher::kNever : 0;
      for (const std::uint64_t weight : expected_weights(ports[lead], plan)) {
        sum = sum == Matcher::kNever || weight == Matcher::kNever ? Matcher::kNever : sum + weight;
      }
      for (std::size_t p = 0; p < ports.size(); ++p) {
        if (ports[p].group != g) continue;
        lanes[p].port = &ports[p];
        lanes[p].expected = {sum};
      }
    }
    return lanes;
  }

  bool pull(std::uint32_t g) {
    Group& group = groups_[g];
    if (group.is_over || is_ahead(group)) return false;
    part_.clear();
    MessageRef gap;
    switch (group.joiner->next(part_, gap)) {
      case Found::none:
        return false;
      case Found::over:
        group.is_over = true;
        for (const std::size_t p : group.ports) matcher_.end(p);
        return true;
      case Found::gap:
        ++group.told;
        tell(g, std::move(gap));
        return true;
      case Found::tuple:
        ++group.told;
        add(group);
        return true;
    }
    return false;
  }

  void tell(std::uint32_t g, MessageRef gap) {
    const Matcher::Key key{0, gap->origin.number};
    for (const std::size_t p : groups_[g].ports) matcher_.tell(p, key, gap->weight);
    if (g == lead_) matcher_.pass_gap(std::move(gap));
    matcher_.decide(key);
  }

  void add(const Group& group) {
    const Matcher::Key key{0, part_.lead->origin.number};
    const std::uint64_t weight = part_.lead->weight;
    const std::uint32_t sub = part_.lead->origin.sub;
    for (std::size_t i = 0; i < group.ports.size(); ++i) {
      matcher_.add(group.ports[i], key, sub, std::move(part_.items[i]), weight);
    }
    matcher_.decide(key);
  }

  [[nodiscard]] bool is_over() const {
    for (const Group& group : groups_) {
      const bool has_none = matcher_.lane(group.ports.front()).pending == 0;
      if (group.is_over && group.is_required && has_none) return true;
    }
    return std::ranges::all_of(groups_, [](const Group& g) { return g.is_over; });
  }

  std::vector<Group> groups_;
  Matcher matcher_;
  std::uint32_t lead_ = 0;
  std::size_t limit_;
  Tuple part_;
};

}  // namespace

std::unique_ptr<Joiner> make_number_joiner(std::span<InPort> ports, std::uint32_t groups,
                                           const graph::Plan& plan, std::size_t kept_back) {
  return std::make_unique<NumberJoiner>(ports, groups, plan, kept_back);
}

}  // namespace penstock::runtime
