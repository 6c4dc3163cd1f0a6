// Joins inputs that share sources, by origin. As long as the heads of all ports agree nothing is
// looked up; where they differ, messages wait in a matcher until every port has told.
#include "runtime/matcher.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {
namespace {

// Messages of one port that may wait for partners; grows only where nothing else can go on.
constexpr std::size_t kPending = 16;

Matcher::Key key_of(const MessageData& message) {
  return {message.origin.source, message.origin.number};
}

class OriginJoiner final : public Joiner {
 public:
  OriginJoiner(std::vector<InPort*> ports, const graph::Plan& plan, std::size_t kept_back)
      : ports_(std::move(ports)),
        heads_(ports_.size()),
        matcher_(lanes(ports_, plan), find_lead(ports_)),
        is_simple_(is_simple(ports_.size(), plan)),
        limit_(kPending + kept_back) {}

  Found next(Tuple& tuple, MessageRef& gap) override {
    if (is_simple_ && matcher_.is_empty() && !matcher_.has_ready()) {
      const Found found = next_of_heads(tuple, gap);
      if (found != Found::tuple || !tuple.items.empty()) return found;
      match_heads();
    }
    return next_of_matcher(tuple, gap);
  }

  [[nodiscard]] std::size_t waiting() const override {
    std::size_t count = 0;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      count += matcher_.lane(p).pending + (heads_[p] ? 1 : 0);
    }
    return count;
  }

  bool grow() override {
    if (match_heads()) return true;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (matcher_.lane(p).pending < limit_) continue;
      limit_ *= 2;
      return true;
    }
    return false;
  }

 private:
  static std::vector<Matcher::Lane> lanes(const std::vector<InPort*>& ports,
                                          const graph::Plan& plan) {
    std::vector<Matcher::Lane> lanes(ports.size());
    for (std::size_t p = 0; p < ports.size(); ++p) {
      lanes[p].port = ports[p];
      lanes[p].expected = expected_weights(*ports[p], plan);
    }
    return lanes;
  }
  static std::size_t find_lead(const std::vector<InPort*>& ports) {
    const auto required =
        std::ranges::find_if(ports, [](const InPort* port) { return !port->is_optional; });
    return required == ports.end() ? 0 : static_cast<std::size_t>(required - ports.begin());
  }
  // Every number is told of once on every port.
  [[nodiscard]] bool is_simple(std::size_t ports, const graph::Plan& plan) const {
    for (std::size_t s = 0; s < plan.sources.size(); ++s) {
      const std::uint64_t first = matcher_.lane(0).expected[s];
      if (first != 0 && first != MessageData::kWhole) return false;
      for (std::size_t p = 1; p < ports; ++p) {
        if (matcher_.lane(p).expected[s] != first) return false;
      }
    }
    return true;
  }

  // `tuple` with no items: the heads don't agree, or some are missing and others back up.
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
    if (!is_ready) return backs_up() ? Found::tuple : Found::none;
    const auto first = std::ranges::find_if(heads_, [](const auto& m) { return bool(m); });
    if (first == heads_.end()) return Found::over;
    const Matcher::Key key = key_of(**first);
    for (const MessageRef& head : heads_) {
      if (head && (key_of(*head) != key || head->weight != MessageData::kWhole)) {
        return Found::tuple;
      }
    }
    const MessageRef& lead = heads_[matcher_.lead()];
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      const bool has_value = heads_[p] && !heads_[p]->is_gap();
      if (has_value || ports_[p]->is_optional) continue;
      gap = MessageData::gap_for(lead ? *lead : **first);
      discard_heads();
      return Found::gap;
    }
    return hand_out_heads(tuple, gap);
  }

  // A head waits for its partners, and its sender for room.
  [[nodiscard]] bool backs_up() const {
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (heads_[p] && !ports_[p]->edges[0]->ring().has_room()) return true;
    }
    return false;
  }

  Found hand_out_heads(Tuple& tuple, MessageRef& gap) {
    for (MessageRef& head : heads_) {
      MessageRef message = std::exchange(head, {});
      if (message && message->is_gap()) gap = std::exchange(message, {});
      tuple.items.push_back(std::move(message));
    }
    matcher_.set_lead(tuple);
    if (tuple.lead != nullptr) return Found::tuple;
    tuple.items.clear();  // all may be missing, and are
    return Found::gap;
  }

  void discard_heads() {
    for (std::size_t p = 0; p < heads_.size(); ++p) {
      if (heads_[p]) ports_[p]->count_unpaired(*heads_[p]);
      heads_[p] = {};
    }
  }

  // True if there were any.
  bool match_heads() {
    bool had_any = false;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (!heads_[p]) continue;
      insert(p, std::exchange(heads_[p], {}));
      had_any = true;
    }
    return had_any;
  }

  Found next_of_matcher(Tuple& tuple, MessageRef& gap) {
    while (!matcher_.has_ready()) {
      bool has_news = false;
      for (std::size_t p = 0; p < ports_.size(); ++p) {
        while (matcher_.lane(p).pending < limit_) {
          MessageRef message = ports_[p]->pull();
          if (!message) {
            has_news = note_end(p) || has_news;
            break;
          }
          insert(p, std::move(message));
          has_news = true;
        }
      }
      if (!has_news) return is_over() ? Found::over : Found::none;
    }
    return matcher_.take(tuple, gap);
  }

  // True if the port is over since now.
  bool note_end(std::size_t p) {
    if (matcher_.lane(p).is_over || !ports_[p]->is_over()) return false;
    while (MessageRef last = ports_[p]->pull()) insert(p, std::move(last));
    matcher_.end(p);
    return true;
  }

  [[nodiscard]] bool is_over() const {
    bool all_over = true;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      const Matcher::Lane& lane = matcher_.lane(p);
      const bool is_over = lane.is_over && lane.pending == 0;
      if (is_over && !ports_[p]->is_optional) return true;
      all_over = all_over && is_over;
    }
    return all_over;
  }

  void insert(std::size_t p, MessageRef message) {
    const Matcher::Key key = key_of(*message);
    const std::uint64_t weight = message->weight;
    if (message->is_gap()) {
      matcher_.tell(p, key, weight);
      if (p == matcher_.lead()) matcher_.pass_gap(std::move(message));
    } else {
      const std::uint32_t sub = message->origin.sub;
      matcher_.add(p, key, sub, std::move(message), weight);
    }
    matcher_.decide(key);
  }

  std::vector<InPort*> ports_;
  std::vector<MessageRef> heads_;
  Matcher matcher_;
  const bool is_simple_;
  std::size_t limit_;
};

}  // namespace

std::vector<std::uint64_t> expected_weights(const InPort& port, const graph::Plan& plan) {
  std::vector<std::uint64_t> weights(plan.sources.size(), 0);
  for (std::uint32_t s = 0; s < weights.size(); ++s) {
    for (const Edge* edge : port.edges) {
      const std::uint32_t tells = plan.edge_tells(edge->index, s);
      if (tells == graph::kUnknownTells) weights[s] = Matcher::kNever;
      if (weights[s] != Matcher::kNever) weights[s] += tells * MessageData::kWhole;
    }
  }
  return weights;
}

std::unique_ptr<Joiner> make_origin_joiner(std::vector<InPort*> ports, const graph::Plan& plan,
                                           std::size_t kept_back) {
  return std::make_unique<OriginJoiner>(std::move(ports), plan, kept_back);
}

}  // namespace penstock::runtime
