// What the operators of random graphs do with a row: pure functions, which the graph and the
// interpreter both call. For tests only.
#pragma once

#include "random_graph.hpp"

#include <cstdint>
#include <vector>

namespace penstock::graph::test {

using Row = std::vector<std::int64_t>;  // -1: nothing on that port

[[nodiscard]] inline std::int64_t mix(std::int64_t a, std::int64_t b) {
  auto x = static_cast<std::uint64_t>(a) * 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(b);
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 32;
  return static_cast<std::int64_t>(x >> 2);
}

struct Rule {
  std::int64_t salt = 0;
  int drops_one_in = 0;
  int most = 1;  // results
  bool throws = false;
  int outputs = 1;  // more: a route, which passes the message on

  [[nodiscard]] std::int64_t hash(const Row& row) const {
    std::int64_t h = salt;
    for (const std::int64_t value : row) h = mix(h, value);
    return h;
  }
  [[nodiscard]] bool drops(std::int64_t h) const {
    return drops_one_in > 0 && mix(h, 1) % drops_one_in == 0;
  }
  [[nodiscard]] int results(std::int64_t h) const {
    return most == 1 ? 1 : 1 + static_cast<int>(mix(h, 2) % most);
  }
  /// Of a route; `outputs` for none.
  [[nodiscard]] int way(std::int64_t h) const {
    return static_cast<int>(mix(h, 3) % (outputs + 1));
  }
};

[[nodiscard]] inline std::int64_t value_or_none(const MessageRef& m) {
  return m ? *static_cast<const std::int64_t*>(m->value()) : -1;
}
/// Runs it on an activation.
void run_rule(const Rule& rule, bool is_window, Activation& activation);

/// A row as the interpreter has it, and the item whose origin its results have.
struct Tuple {
  Row row;
  Item lead;
};
/// Adds an operator's results to what it gives.
void give(const Rule& rule, std::int64_t h, const Item& lead, ItemStream& stream);
[[nodiscard]] std::vector<Tuple> windows(const ItemStream& input, std::size_t size,
                                         std::size_t stride);
/// False: two of one number, which may be paired either way.
[[nodiscard]] bool is_unique(const ItemStream& stream, bool by_number);

}  // namespace penstock::graph::test
