#include "random_graph.hpp"
#include "random_rule.hpp"

#include <fmt/format.h>

#include <map>
#include <stdexcept>

namespace penstock::graph::test {
namespace {

class Drawing {
 public:
  Drawing(std::uint64_t seed, int capacity) : random_(seed), capacity_(capacity) {}

  DrawnGraph draw() {
    const int sources = 1 + below(3);
    for (int s = 0; s < sources; ++s) add_source();
    if (below(40) == 0) add_loop();
    const int operators = 1 + below(6);
    for (int i = 0; i < operators; ++i) add_any();
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      if (!used_.contains(s) || below(4) == 0) add_sink({s});
    }
    return std::move(drawn_);
  }

 private:
  int below(int n) { return static_cast<int>(random_.below(static_cast<std::uint64_t>(n))); }
  std::size_t any_stream() {
    return static_cast<std::size_t>(below(static_cast<int>(streams_.size())));
  }

  void connect(std::size_t stream, int node, int port) {
    used_.insert(stream);
    const ItemStream& s = streams_[stream];
    drawn_.graph->connect(s.node, s.port, node, port);
    drawn_.text += fmt::format(" {}.{}->{}.{}", s.node, s.port, node, port);
  }
  int add(NodeSpec spec, const std::string& what) {
    spec.options.capacity = capacity_;
    spec.options.name = fmt::format("n{}", drawn_.graph->nodes().size());
    drawn_.text += fmt::format("\n{}: {}", spec.options.name, what);
    return drawn_.graph->add(std::move(spec));
  }
  Rule draw_rule() {
    Rule rule{.salt = next_salt_++};
    if (below(2) == 0) rule.drops_one_in = 2 + below(4);
    if (below(8) == 0) rule.most = 3;
    rule.throws = below(4) == 0;
    return rule;
  }

  void add_source() {
    const int count = 20 + below(40);
    const Rule rule = draw_rule();
    const auto source = next_source_++;
    NodeSpec spec = node("source", {}, {"out"}, nullptr);
    spec.factory = std::make_shared<FunctionFactory>([rule, count](int) {
      return [rule, count, i = 0](Activation& a) mutable {
        const std::int64_t h = rule.hash({i});
        if (!rule.drops(h)) {
          for (int k = 0; k < rule.results(h); ++k) a.emit(0, message(mix(h, 10 + k)));
        }
        if (++i == count) a.end();
      };
    });
    ItemStream stream;
    stream.sources = stream.ancestors = {source};
    std::uint64_t number = 0;
    for (int i = 0; i < count; ++i) {
      const std::int64_t h = rule.hash({i});
      if (rule.drops(h)) continue;
      give(rule, h, {source, number++, kNoSub, 0}, stream);
    }
    stream.node = add(std::move(spec), fmt::format("source of {}, drops {}, most {}", count,
                                                   rule.drops_one_in, rule.most));
    streams_.push_back(std::move(stream));
  }

  // Some messages that go round a few times.
  void add_loop() {
    const auto source = next_source_++;
    const int first = 1 + below(capacity_);
    const int rounds = 1 + below(5);
    NodeSpec loop = node("loop", {"in"}, {"out"}, [first](Activation& a) {
      if (!a.is_source) return a.emit(0, a.port(0)[0]);
      for (int i = 0; i < first; ++i) a.emit(0, message(std::int64_t{i} * 1000));
      a.end();
    });
    loop.is_loop = true;
    loop.inputs[0].is_optional = true;
    const int begin = add(std::move(loop), fmt::format("loop of {}", first));
    const int step = add(node("step", {"in"}, {"again", "out"},
                              [rounds](Activation& a) {
                                const std::int64_t v = value_or_none(a.port(0)[0]) + 1;
                                a.emit(v % 1000 < rounds ? 0 : 1, message(v));
                              }),
                         fmt::format("{} rounds", rounds));
    drawn_.graph->connect(begin, 0, step, 0);
    drawn_.graph->connect(step, 0, begin, 0);
    ItemStream stream;
    stream.node = step;
    stream.port = 1;
    stream.is_ordered = stream.keeps_sources = first == 1;
    stream.may_join = false;
    stream.sources = stream.ancestors = {source};
    for (int i = 0; i < first; ++i) {
      stream.items.push_back({source, 0, first > 1 ? static_cast<std::uint32_t>(i) : kNoSub,
                              std::int64_t{i} * 1000 + rounds});
    }
    streams_.push_back(std::move(stream));
  }

  void add_any() {
    const int kind = below(10);
    if (kind < 3 && add_join()) return;
    if (kind == 3 && add_position()) return;
    if (kind == 4) return add_route();
    add_operator();
  }

  // The streams of one port, mixed.
  ItemStream merged(const std::vector<std::size_t>& senders) {
    ItemStream all;
    for (const std::size_t sender : senders) {
      const ItemStream& one = streams_[sender];
      for (const std::uint32_t s : one.sources) {
        if (!all.sources.insert(s).second) all.keeps_sources = false;
      }
      all.ancestors.insert(one.ancestors.begin(), one.ancestors.end());
      all.items.insert(all.items.end(), one.items.begin(), one.items.end());
      all.is_ordered = one.is_ordered && senders.size() == 1;
      all.keeps_sources = all.keeps_sources && one.keeps_sources;
      all.may_join = all.may_join && one.may_join;
    }
    return all;
  }
  std::vector<std::size_t> draw_senders() {
    std::vector<std::size_t> senders{any_stream()};
    if (below(4) == 0) {
      const std::size_t second = any_stream();
      if (second != senders[0]) senders.push_back(second);
    }
    return senders;
  }

  void add_operator() {
    const auto senders = draw_senders();
    ItemStream input = merged(senders);
    const Rule rule = draw_rule();
    const bool is_window = input.keeps_sources && below(5) == 0;
    NodeSpec spec = node("operator", {"in"}, {"out"},
                         [rule, is_window](Activation& a) { run_rule(rule, is_window, a); });
    OperatorOptions& options = spec.options;
    if (rule.throws) {
      options.on_error = OnError::skip;
      options.is_on_error_set = true;
    }
    std::vector<Tuple> tuples;
    if (is_window) {
      options.window = 2 + below(3);
      options.stride = 1 + below(3);
      tuples = windows(input, static_cast<std::size_t>(options.window),
                       static_cast<std::size_t>(options.stride));
    } else {
      for (const Item& item : input.items) tuples.push_back({{item.value}, item});
      if (below(4) == 0) options.batch = 2 + below(6);
      if (options.batch > 1 && below(8) == 0) options.max_delay_ms = 0.2;
      if (below(3) == 0) options.instances = 2 + below(2);
      if (options.instances > 1 && below(2) == 0) {
        options.order = OutputOrder::arrival;
        input.is_ordered = input.keeps_sources = false;
      }
    }
    if (input.is_ordered && options.batch == 1 && below(8) == 0) {
      options.count = below(30);
      tuples.resize(std::min(tuples.size(), static_cast<std::size_t>(options.count)));
    }
    const std::string what = fmt::format(
        "operator, drops {}, most {}, throws {}, batch {} ({} ms), window {}/{}, {} instances{}, "
        "count {}",
        rule.drops_one_in, rule.most, rule.throws, options.batch, options.max_delay_ms,
        options.window, options.stride, options.instances,
        options.order == OutputOrder::arrival ? " by arrival" : "", options.count);
    finish(std::move(spec), what, rule, {senders}, tuples, input);
  }

  // What all operators have at their end: the node, its edges, its results.
  void finish(NodeSpec spec, const std::string& what, const Rule& rule,
              const std::vector<std::vector<std::size_t>>& ports, const std::vector<Tuple>& tuples,
              const ItemStream& properties) {
    const int index = add(std::move(spec), what);
    for (std::size_t p = 0; p < ports.size(); ++p) {
      for (const std::size_t stream : ports[p]) connect(stream, index, static_cast<int>(p));
    }
    ItemStream stream = properties;
    stream.node = index;
    stream.port = 0;
    stream.items.clear();
    for (const Tuple& tuple : tuples) {
      const std::int64_t h = rule.hash(tuple.row);
      if (!rule.drops(h)) give(rule, h, tuple.lead, stream);
    }
    streams_.push_back(std::move(stream));
  }

  void add_route() {
    const std::size_t from = any_stream();
    Rule rule{.salt = next_salt_++};
    rule.outputs = 2 + below(2);
    NodeSpec spec = node("route", {"in"}, {"out0", "out1", "out2"},
                         [rule](Activation& a) { run_rule(rule, false, a); });
    spec.outputs.resize(static_cast<std::size_t>(rule.outputs));
    const int index = add(std::move(spec), fmt::format("route to {}", rule.outputs));
    connect(from, index, 0);
    const std::size_t first = streams_.size();
    for (int o = 0; o < rule.outputs; ++o) {
      ItemStream stream = streams_[from];
      stream.node = index;
      stream.port = o;
      std::erase_if(stream.items,
                    [&](const Item& item) { return rule.way(rule.hash({item.value})) != o; });
      streams_.push_back(std::move(stream));
    }
    if (below(2) == 0) add_merge_of(first, first + static_cast<std::size_t>(rule.outputs));
  }
  void add_merge_of(std::size_t begin, std::size_t end) {
    std::vector<std::size_t> senders;
    for (std::size_t s = begin; s < end; ++s) senders.push_back(s);
    ItemStream input = merged(senders);
    const Rule rule = draw_rule();
    NodeSpec spec =
        node("merge", {"in"}, {"out"}, [rule](Activation& a) { run_rule(rule, false, a); });
    if (rule.throws) {
      spec.options.on_error = OnError::skip;
      spec.options.is_on_error_set = true;
    }
    std::vector<Tuple> tuples;
    for (const Item& item : input.items) tuples.push_back({{item.value}, item});
    finish(std::move(spec), "merge", rule, {senders}, tuples, input);
  }

  using Numbers = std::map<std::pair<std::uint64_t, std::uint32_t>, Item>;

  bool add_join() {
    const std::size_t count = 2 + static_cast<std::size_t>(below(2));
    std::vector<std::vector<std::size_t>> senders;
    std::vector<ItemStream> inputs;
    std::set<std::size_t> taken;
    for (std::size_t p = 0; p < count; ++p) {
      senders.push_back(draw_senders());
      inputs.push_back(merged(senders.back()));
    }
    const bool is_one_group = std::ranges::all_of(inputs, [&](const ItemStream& s) {
      return std::ranges::any_of(s.sources,
                                 [&](std::uint32_t x) { return inputs[0].sources.contains(x); });
    });
    const bool are_lone =
        std::ranges::all_of(inputs, [](const ItemStream& s) { return s.sources.size() == 1; });
    std::set<std::uint32_t> distinct;
    for (const ItemStream& s : inputs) distinct.insert(s.sources.begin(), s.sources.end());
    const bool by_number = !is_one_group;
    if (by_number && (!are_lone || distinct.size() != count)) return false;
    if (!std::ranges::all_of(
            inputs, [&](const ItemStream& s) { return s.may_join && is_unique(s, by_number); }))
      return false;
    std::vector<bool> optional(count, false);
    for (std::size_t p = 0; p < count; ++p) optional[p] = below(4) == 0;
    const bool all_optional = std::ranges::all_of(optional, [](bool o) { return o; });
    if (all_optional) optional[0] = false;
    join(senders, inputs, optional, by_number);
    return true;
  }

  void join(const std::vector<std::vector<std::size_t>>& senders,
            const std::vector<ItemStream>& inputs, const std::vector<bool>& optional,
            bool by_number) {
    const auto lead =
        static_cast<std::size_t>(std::ranges::find(optional, false) - optional.begin());
    std::map<std::tuple<std::uint32_t, std::uint64_t, std::uint32_t>, std::vector<const Item*>>
        rows;
    bool has_subs = false;
    for (std::size_t p = 0; p < inputs.size(); ++p) {
      for (const Item& item : inputs[p].items) {
        auto& row =
            rows[{by_number ? 0 : item.source, item.number, item.sub == kNoSub ? 0 : item.sub}];
        row.resize(inputs.size());
        row[p] = &item;
        has_subs = has_subs || item.sub != kNoSub;
      }
    }
    std::vector<Tuple> tuples;
    for (const auto& [key, row] : rows) {
      bool is_lacking = false;
      Tuple tuple;
      for (std::size_t p = 0; p < inputs.size(); ++p) {
        is_lacking = is_lacking || (row[p] == nullptr && !optional[p]);
        tuple.row.push_back(row[p] == nullptr ? -1 : row[p]->value);
      }
      if (is_lacking) continue;
      tuple.lead = *row[lead];
      tuples.push_back(std::move(tuple));
    }
    ItemStream properties = inputs[lead];
    for (const ItemStream& input : inputs) {
      properties.ancestors.insert(input.ancestors.begin(), input.ancestors.end());
      properties.is_ordered = properties.is_ordered && input.is_ordered;
    }
    properties.is_ordered = properties.is_ordered && !has_subs && properties.sources.size() == 1;
    properties.keeps_sources = properties.is_ordered;
    const Rule rule = draw_rule();
    NodeSpec spec =
        node("join", {"a", "b", "c"}, {"out"}, [rule](Activation& a) { run_rule(rule, false, a); });
    spec.inputs.resize(inputs.size());
    for (std::size_t p = 0; p < inputs.size(); ++p) spec.inputs[p].is_optional = optional[p];
    if (rule.throws) {
      spec.options.on_error = OnError::skip;
      spec.options.is_on_error_set = true;
    }
    if (below(5) == 0) spec.options.batch = 3;
    if (below(5) == 0) spec.options.instances = 2;
    std::string what =
        fmt::format("join by {}, drops {}, most {}, throws {}, batch {}, {} instances, optional:",
                    by_number ? "number" : "origin", rule.drops_one_in, rule.most, rule.throws,
                    spec.options.batch, spec.options.instances);
    for (const bool o : optional) what += o ? " yes" : " no";
    finish(std::move(spec), what, rule, senders, tuples, properties);
  }

  // Of streams that have nothing in common: where they have, edges may be too short for it.
  bool add_position() {
    const std::size_t a = any_stream();
    const std::size_t b = any_stream();
    const ItemStream &left = streams_[a], &right = streams_[b];
    const bool shares = std::ranges::any_of(
        left.ancestors, [&](std::uint32_t s) { return right.ancestors.contains(s); });
    if (shares || !left.is_ordered || !right.is_ordered || has_position_) return false;
    has_position_ = true;
    const auto size = static_cast<std::size_t>(1 + below(3));
    const Rule rule = draw_rule();
    NodeSpec spec =
        node("position", {"a", "b"}, {"out"}, [rule](Activation& x) { run_rule(rule, false, x); });
    spec.options.join = Join::position;
    spec.options.is_join_set = true;
    spec.inputs[1].size = static_cast<int>(size);
    if (rule.throws) {
      spec.options.on_error = OnError::skip;
      spec.options.is_on_error_set = true;
    }
    std::vector<Tuple> tuples;
    for (std::size_t i = 0; i < left.items.size() && (i + 1) * size <= right.items.size(); ++i) {
      Tuple tuple{{left.items[i].value}, left.items[i]};
      for (std::size_t k = 0; k < size; ++k) tuple.row.push_back(right.items[i * size + k].value);
      tuples.push_back(std::move(tuple));
    }
    ItemStream properties = left;
    properties.ancestors.insert(right.ancestors.begin(), right.ancestors.end());
    finish(
        std::move(spec),
        fmt::format("position, size {}, drops {}, throws {}", size, rule.drops_one_in, rule.throws),
        rule, {{a}, {b}}, tuples, properties);
    return true;
  }

  void add_sink(const std::vector<std::size_t>& senders) {
    const ItemStream input = merged(senders);
    Expected expected;
    expected.got = std::make_shared<Collected>();
    expected.is_ordered = input.is_ordered;
    NodeSpec spec = collect("sink", expected.got);
    const int index = add(std::move(spec), fmt::format("sink, ordered {}", input.is_ordered));
    expected.name = drawn_.graph->nodes()[static_cast<std::size_t>(index)].options.name;
    for (const std::size_t sender : senders) connect(sender, index, 0);
    for (const Item& item : input.items) expected.rows.push_back({item.value});
    drawn_.sinks.push_back(std::move(expected));
  }

  Random random_;
  const int capacity_;
  DrawnGraph drawn_;
  std::vector<ItemStream> streams_;
  std::set<std::size_t> used_;
  std::int64_t next_salt_ = 1;
  std::uint32_t next_source_ = 0;
  bool has_position_ = false;
};

}  // namespace

DrawnGraph draw_graph(std::uint64_t seed, int capacity) { return Drawing(seed, capacity).draw(); }

}  // namespace penstock::graph::test
