#include "runtime/join.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {

MessageRef InPort::pull() {
  const std::size_t count = edges.size();
  for (std::size_t i = 0; i < count; ++i) {
    Edge& edge = *edges[turn];
    turn = turn + 1 == count ? 0 : turn + 1;
    if (MessageRef message = edge.pop()) {
      arrival_ns = edge.arrival_ns();
      return message;
    }
  }
  return {};
}

Found InPort::next(MessageRef& message) {
  message = pull();
  if (!message) {
    if (!is_over()) return Found::none;
    message = pull();  // what came between the two looks
    if (!message) return Found::over;
  }
  return message->is_gap() ? Found::gap : Found::tuple;
}

Found InPort::next_some(graph::MessageList& into, std::size_t most, MessageRef& gap) {
  if (edges.size() == 1 && edges.front()->pop_some(into, most)) {
    arrival_ns = edges.front()->arrival_ns();
    return Found::tuple;
  }
  MessageRef message;
  const Found found = next(message);
  if (found == Found::tuple) {
    into.push(std::move(message));
  } else if (found == Found::gap) {
    gap = std::move(message);
  }
  return found;
}

bool InPort::is_over() const {
  return std::ranges::all_of(edges, [](const Edge* edge) { return edge->is_over(); });
}

void InPort::count_unpaired(const MessageData& message) {
  if (!message.is_gap() && !edges.empty()) edges.front()->count_unpaired();
}

std::size_t lead_port(std::span<InPort> ports) {
  const auto required = std::ranges::find_if(ports, [](const InPort& p) { return !p.is_optional; });
  return required == ports.end() ? 0 : static_cast<std::size_t>(required - ports.begin());
}

namespace {

class SingleJoiner final : public Joiner {
 public:
  explicit SingleJoiner(InPort& port) : port_(port) {}

  Found next(Tuple& tuple, MessageRef& gap) override {
    MessageRef message;
    const Found found = port_.next(message);
    if (found == Found::tuple) {
      tuple.lead = message.get();
      tuple.items.push_back(std::move(message));
    } else if (found == Found::gap) {
      gap = std::move(message);
    }
    return found;
  }

 private:
  InPort& port_;
};

// The n-th that came with the n-th that came; `size` of each port, or one of each sender.
class PositionJoiner final : public Joiner {
 public:
  explicit PositionJoiner(std::span<InPort> ports)
      : ports_(ports), lead_(lead_port(ports)), gathered_(ports.size()) {
    for (std::size_t p = 0; p < ports.size(); ++p) {
      if (ports[p].size == kAnySize) gathered_[p].resize(ports[p].edges.size());
    }
    has_required_ =
        std::ranges::any_of(ports, [](const InPort& port) { return !port.is_optional; });
  }

  Found next(Tuple& tuple, MessageRef& gap) override {
    bool is_ready = true;
    bool has_any = false;
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (gather(p, gap)) return Found::gap;
      const bool full = is_full(p);
      has_any = has_any || full;
      if (full || ports_[p].is_optional) continue;
      if (ports_[p].is_over()) {
        if (gather(p, gap)) return Found::gap;  // what came between the two looks
        if (!is_full(p)) return Found::over;
        has_any = true;
        continue;
      }
      is_ready = false;
    }
    if (!is_ready || !has_any) {
      const bool is_over = !has_required_ && std::ranges::all_of(ports_, &InPort::is_over);
      return is_over ? Found::over : Found::none;
    }
    for (std::size_t p = 0; p < ports_.size(); ++p) hand_out(p, tuple);
    return Found::tuple;
  }

  [[nodiscard]] std::size_t waiting() const override {
    std::size_t count = 0;
    for (const auto& messages : gathered_) {
      count += static_cast<std::size_t>(std::ranges::count_if(
          messages, [](const MessageRef& m) { return static_cast<bool>(m); }));
    }
    return count;
  }

 private:
  // True: a gap of the lead came.
  bool gather(std::size_t p, MessageRef& gap) {
    InPort& port = ports_[p];
    auto& messages = gathered_[p];
    if (port.size == kAnySize) {
      for (std::size_t i = 0; i < port.edges.size(); ++i) {
        while (!messages[i]) {
          MessageRef message = port.edges[i]->pop();
          if (!message) break;
          if (!message->is_gap()) {
            messages[i] = std::move(message);
          } else if (p == lead_) {
            gap = std::move(message);
            return true;
          }
        }
      }
      return false;
    }
    while (messages.size() < static_cast<std::size_t>(port.size)) {
      MessageRef message = port.pull();
      if (!message) break;
      if (!message->is_gap()) {
        messages.push_back(std::move(message));
      } else if (p == lead_) {
        gap = std::move(message);
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool is_full(std::size_t p) const {
    const InPort& port = ports_[p];
    const auto& messages = gathered_[p];
    if (port.size != kAnySize) return messages.size() == static_cast<std::size_t>(port.size);
    bool has_any = false;
    for (std::size_t i = 0; i < port.edges.size(); ++i) {
      has_any = has_any || messages[i];
      if (!messages[i] && !port.edges[i]->is_over()) return false;
    }
    return has_any;
  }

  void hand_out(std::size_t p, Tuple& tuple) {
    auto& messages = gathered_[p];
    const std::size_t before = tuple.items.size();
    if (is_full(p)) {
      for (MessageRef& message : messages) {
        if (message) tuple.items.push_back(std::move(message));
      }
      if (p == lead_) tuple.lead = tuple.items.back().get();
    } else {
      tuple.items.emplace_back();
    }
    tuple.counts.push_back(static_cast<std::uint32_t>(tuple.items.size() - before));
    if (tuple.lead == nullptr) tuple.lead = tuple.items.back().get();
    if (ports_[p].size == kAnySize) {
      for (MessageRef& message : messages) message = {};
    } else if (is_full(p)) {
      messages.clear();
    }
  }

  std::span<InPort> ports_;
  std::size_t lead_;
  std::vector<std::vector<MessageRef>> gathered_;
  bool has_required_ = false;
};

// Each new message with the newest of the other ports.
class LatestJoiner final : public Joiner {
 public:
  explicit LatestJoiner(std::span<InPort> ports)
      : ports_(ports), lead_(lead_port(ports)), latest_(ports.size()) {}

  Found next(Tuple& tuple, MessageRef& gap) override {
    if (due_ != kNone && complete(std::exchange(due_, kNone), tuple)) return Found::tuple;
    while (true) {
      bool all_over = true;
      bool has_any = false;
      for (std::size_t i = 0; i < ports_.size(); ++i) {
        const std::size_t p = turn_;
        turn_ = turn_ + 1 == ports_.size() ? 0 : turn_ + 1;
        MessageRef message = ports_[p].pull();
        if (!message) {
          const bool over = ports_[p].is_over();
          // One that ended without a word leaves nothing to wait for.
          if (over && !latest_[p] && !ports_[p].is_optional) return Found::over;
          all_over = all_over && over;
          continue;
        }
        has_any = true;
        if (take(p, std::move(message), tuple, gap)) return Found::tuple;
        if (gap) return Found::gap;
      }
      if (!has_any) return all_over ? Found::over : Found::none;
    }
  }

 private:
  // True: a tuple. A lead's number ends when the next one comes.
  bool take(std::size_t p, MessageRef message, Tuple& tuple, MessageRef& gap) {
    if (message->is_gap()) {
      if (p == lead_) gap = std::move(message);
      return false;
    }
    if (p == lead_ && latest_[p]) {
      gap = MessageData::gap_for(*latest_[p]);
      due_ = p;
    }
    latest_[p] = std::move(message);
    return due_ == kNone && complete(p, tuple);
  }
  bool complete(std::size_t newest, Tuple& tuple) {
    if (!is_complete()) return false;
    tuple.items = latest_;
    tuple.lead = (latest_[lead_] ? latest_[lead_] : latest_[newest]).get();
    tuple.keeps_weight = true;
    return true;
  }

  [[nodiscard]] bool is_complete() const {
    for (std::size_t p = 0; p < ports_.size(); ++p) {
      if (!latest_[p] && !ports_[p].is_optional) return false;
    }
    return true;
  }

  std::span<InPort> ports_;
  std::size_t lead_;
  std::vector<MessageRef> latest_;
  static constexpr std::size_t kNone = SIZE_MAX;
  std::size_t due_ = kNone;  // its message came, and a gap went first
  std::size_t turn_ = 0;
};

// Those whose times lie within a distance of the oldest one's.
class WithinJoiner final : public Joiner {
 public:
  WithinJoiner(std::span<InPort> ports, std::int64_t within_ns)
      : ports_(ports), lead_(lead_port(ports)), within_ns_(within_ns), heads_(ports.size()) {}

  Found next(Tuple& tuple, MessageRef& gap) override {
    while (true) {
      bool is_ready = true;
      for (std::size_t p = 0; p < ports_.size(); ++p) {
        if (pull_head(p, gap)) return Found::gap;
        if (heads_[p]) continue;
        if (!ports_[p].is_over()) {
          is_ready = false;
        } else if (!ports_[p].is_optional) {
          return Found::over;
        }
      }
      if (!is_ready) return Found::none;
      if (std::ranges::none_of(heads_, [](const MessageRef& m) { return static_cast<bool>(m); })) {
        return Found::over;
      }
      if (match(tuple)) return Found::tuple;
      const std::size_t oldest = find_oldest();
      const MessageRef lonely = std::move(heads_[oldest]);
      heads_[oldest] = {};
      ports_[oldest].count_unpaired(*lonely);
      if (oldest != lead_) continue;
      gap = MessageData::gap_for(*lonely);
      return Found::gap;
    }
  }

  [[nodiscard]] std::size_t waiting() const override {
    return static_cast<std::size_t>(
        std::ranges::count_if(heads_, [](const MessageRef& m) { return static_cast<bool>(m); }));
  }

 private:
  static std::int64_t time_of(const MessageData& message) {
    return message.time_ns >= 0 ? message.time_ns : message.born_ns;
  }

  bool pull_head(std::size_t p, MessageRef& gap) {
    while (!heads_[p]) {
      heads_[p] = ports_[p].pull();
      if (!heads_[p]) return false;
      if (!heads_[p]->is_gap()) return false;
      MessageRef found = std::move(heads_[p]);
      heads_[p] = {};
      if (p == lead_) {
        gap = std::move(found);
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] std::size_t find_oldest() const {
    std::size_t oldest = heads_.size();
    for (std::size_t p = 0; p < heads_.size(); ++p) {
      if (!heads_[p]) continue;
      if (oldest == heads_.size() || time_of(*heads_[p]) < time_of(*heads_[oldest])) oldest = p;
    }
    return oldest;
  }

  bool match(Tuple& tuple) {
    const std::int64_t last = time_of(*heads_[find_oldest()]) + within_ns_;
    const auto fits = [&](const MessageRef& m) { return m && time_of(*m) <= last; };
    for (std::size_t p = 0; p < heads_.size(); ++p) {
      if (!ports_[p].is_optional && !fits(heads_[p])) return false;
    }
    for (std::size_t p = 0; p < heads_.size(); ++p) {
      tuple.items.push_back(fits(heads_[p]) ? std::exchange(heads_[p], {}) : MessageRef{});
      if (p == lead_ || tuple.lead == nullptr) tuple.lead = tuple.items.back().get();
    }
    return true;
  }

  std::span<InPort> ports_;
  std::size_t lead_;
  std::int64_t within_ns_;
  std::vector<MessageRef> heads_;
};

}  // namespace

std::unique_ptr<Joiner> make_joiner(std::span<InPort> ports, const JoinOptions& options) {
  const bool has_sizes = std::ranges::any_of(ports, [](const InPort& p) { return p.size != 1; });
  if (has_sizes) return std::make_unique<PositionJoiner>(ports);
  if (ports.size() == 1) return std::make_unique<SingleJoiner>(ports[0]);
  switch (options.join) {
    case Join::position:
      return std::make_unique<PositionJoiner>(ports);
    case Join::latest:
      return std::make_unique<LatestJoiner>(ports);
    case Join::within:
      return std::make_unique<WithinJoiner>(ports, options.within_ns);
    case Join::origin:
      break;
  }
  if (options.groups > 1) {
    return make_number_joiner(ports, options.groups, *options.plan, options.kept_back);
  }
  std::vector<InPort*> all;
  for (InPort& port : ports) all.push_back(&port);
  return make_origin_joiner(std::move(all), *options.plan, options.kept_back);
}

}  // namespace penstock::runtime
