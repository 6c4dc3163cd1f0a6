#include "random_rule.hpp"

#include "random_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace penstock::graph::test {
namespace {

void run_item(const Rule& rule, Activation& a, const Row& row, std::size_t item) {
  const std::int64_t h = rule.hash(row);
  if (rule.outputs > 1) {
    const int way = rule.way(h);
    if (way < rule.outputs) a.emit(static_cast<std::uint32_t>(way), a.port(0)[item], item);
    return;
  }
  if (rule.drops(h)) {
    if (rule.throws) throw std::runtime_error("this one is dropped");
    return;
  }
  for (int i = 0; i < rule.results(h); ++i) a.emit(0, message(mix(h, 10 + i)), item);
}

}  // namespace

void run_rule(const Rule& rule, bool is_window, Activation& a) {
  for (std::size_t item = 0; item < a.items(); ++item) {
    Row row;
    for (std::size_t p = 0; p < a.ports(); ++p) {
      if (is_window || (a.items() == 1 && a.port(p).size() > 1)) {
        for (const MessageRef& m : a.port(p)) row.push_back(value_or_none(m));
      } else {
        row.push_back(value_or_none(a.port(p)[item]));
      }
    }
    run_item(rule, a, row, item);
  }
}

void give(const Rule& rule, std::int64_t h, const Item& lead, ItemStream& stream) {
  const auto count = static_cast<std::uint32_t>(rule.results(h));
  for (std::uint32_t i = 0; i < count; ++i) {
    Item item = lead;
    item.value = mix(h, 10 + i);
    if (count > 1) item.sub = (lead.sub == kNoSub ? 0 : lead.sub) * count + i;
    stream.items.push_back(item);
  }
}
std::vector<Tuple> windows(const ItemStream& input, std::size_t size, std::size_t stride) {
  std::map<std::uint32_t, std::vector<Item>> seen;
  std::vector<Tuple> tuples;
  for (const Item& item : input.items) {
    auto& items = seen[item.source];
    items.push_back(item);
    if (items.size() < size || (items.size() - size) % stride != 0) continue;
    Tuple tuple{{}, item};
    for (std::size_t i = items.size() - size; i < items.size(); ++i)
      tuple.row.push_back(items[i].value);
    tuples.push_back(std::move(tuple));
  }
  return tuples;
}
bool is_unique(const ItemStream& stream, bool by_number) {
  std::set<std::tuple<std::uint32_t, std::uint64_t, std::uint32_t>> keys;
  return std::ranges::all_of(stream.items, [&](const Item& item) {
    return keys
        .insert({by_number ? 0 : item.source, item.number, item.sub == kNoSub ? 0 : item.sub})
        .second;
  });
}

std::string compare(const DrawnGraph& drawn) {
  for (const Expected& sink : drawn.sinks) {
    auto got = sink.got->rows;
    auto rows = sink.rows;
    if (!sink.is_ordered) {
      std::ranges::sort(got);
      std::ranges::sort(rows);
    }
    if (got == rows) continue;
    std::size_t i = 0;
    while (i < got.size() && i < rows.size() && got[i] == rows[i]) ++i;
    return fmt::format("{} got {} rows, expected {}; they differ at row {}", sink.name, got.size(),
                       rows.size(), i);
  }
  return "";
}

}  // namespace penstock::graph::test
