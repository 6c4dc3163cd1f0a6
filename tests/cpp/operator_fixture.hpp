// Small flows and an operator of functions, for the tests of operators and flows.
#pragma once

#include <penstock/penstock.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::test {

namespace ps = penstock;

inline ps::Flow count_to(int end) {
  return ps::source([end, n = 0]() mutable -> std::optional<int> {
    return n < end ? std::optional(n++) : std::nullopt;
  });
}

template <class T>
std::vector<T> taken(const ps::Flow& flow) {
  std::vector<T> all;
  ps::Iterator it = ps::iterate(flow);
  while (const auto value = it.next<T>()) all.push_back(*value);
  return all;
}

// An operator of functions, for what one test needs.
struct Parts {
  std::function<void(ps::Spec&)> setup;
  std::function<void(ps::Inputs&, ps::Outputs&, ps::Context&)> compute;
};
class Custom : public ps::Operator {
 public:
  explicit Custom(Parts parts) : parts_(std::move(parts)) {}
  void setup(ps::Spec& spec) override { parts_.setup(spec); }
  void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context& context) override {
    parts_.compute(inputs, outputs, context);
  }

 private:
  Parts parts_;
};
inline void in_and_out(ps::Spec& spec) {
  spec.input("in");
  spec.output("out");
}

}  // namespace penstock::test
