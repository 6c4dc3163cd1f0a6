// What operators emit: tensors and their streams, values that others see too; and that a chain
// allocates nothing.
#include <penstock/penstock.hpp>

#include "count_allocations.hpp"
#include "operator_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace ps = penstock;
using namespace penstock::test;

TEST_CASE("operator: a tensor is written in place, or as a copy where others see it") {
  const auto make = [] {
    return ps::source([n = 0]() mutable -> std::optional<ps::Tensor> {
      if (n++ == 3) return std::nullopt;
      ps::Tensor tensor = ps::Tensor::empty({4}, ps::u8, {}, *ps::Stream::current());
      ps::Stream::current()->launch([tensor] { std::memset(tensor.data(), 1, 4); },
                                    ps::writes(tensor));
      return tensor;
    });
  };
  const auto write = [](ps::Tensor& tensor) {
    ps::Stream::current()->launch([tensor] { std::memset(tensor.data(), 9, 4); },
                                  ps::writes(tensor));
    return tensor;
  };
  const auto first = [](const ps::Tensor& a, const ps::Tensor& b) {
    return static_cast<const std::uint8_t*>(a.data())[0] * 10 +
           static_cast<const std::uint8_t*>(b.data())[0];
  };
  const ps::Flow x = make();
  const ps::Flow written = ps::op(write, {.name = "write"})(x);
  const ps::Flow seen = ps::op(first, {}, {.inputs = {"a", "b"}, .host = {"a", "b"}})(x, written);
  std::vector<int> all;
  const ps::RunStats stats = ps::run(seen >> [&](int v) { all.push_back(v); });
  CHECK(all == std::vector<int>{19, 19, 19});
  CHECK(stats.edges.at({"function", "out", "write", "in"}).copies == 3);
}

TEST_CASE("operator: messages say which stream they were emitted on") {
  const auto emit = ps::op<Custom>(
      {.count = 2}, Parts{[](ps::Spec& spec) {
                            spec.output("plain");
                            spec.output("named");
                            spec.output("own");
                          },
                          [](ps::Inputs&, ps::Outputs& outputs, ps::Context& context) {
                            outputs.emit(1, "plain");
                            const ps::Stream extra = context.extra_stream("x");
                            CHECK(extra == context.extra_stream("x"));
                            outputs.emit(2, "named", extra);
                            static_cast<void>(context.stream());
                            outputs.emit(3, "own");
                          }});
  const ps::Flow x = emit();
  std::vector<int> found;
  const auto look =
      ps::op<Custom>({}, Parts{[](ps::Spec& spec) {
                                 for (const char* name : {"a", "b", "c"}) spec.input(name);
                               },
                               [&](ps::Inputs& inputs, ps::Outputs&, ps::Context&) {
                                 for (const char* name : {"a", "b", "c"}) {
                                   REQUIRE(inputs.streams(name).size() == 1);
                                   found.push_back(inputs.streams(name)[0].has_value() ? 1 : 0);
                                 }
                               }});
  static_cast<void>(ps::run(look(x["plain"], x["named"], x["own"])));
  CHECK(found.size() == 6);
  CHECK(found[1] == 1);
  CHECK(found[0] == 0);
}

TEST_CASE("operator: work on a named stream is waited for") {
  const auto slow = ps::op<Custom>(
      {.count = 1}, Parts{[](ps::Spec& spec) { spec.output("out"); },
                          [](ps::Inputs&, ps::Outputs& outputs, ps::Context& context) {
                            const ps::Stream side = context.extra_stream("side");
                            const auto tensor = ps::Tensor::empty({1}, ps::u8, {}, side);
                            // Work that the tensor does not know of.
                            auto* byte = static_cast<std::atomic<std::uint8_t>*>(tensor.data());
                            side.launch([byte] {
                              std::this_thread::sleep_for(std::chrono::milliseconds(30));
                              byte->store(5);
                            });
                            outputs.emit(tensor, "out", side);
                          }});
  int seen = 0;
  static_cast<void>(ps::run(
      slow() >>
      ps::op([&](const ps::Tensor& t) { seen = static_cast<const std::uint8_t*>(t.data())[0]; }, {},
             {.host = {"in"}})));
  CHECK(seen == 5);
}

TEST_CASE("operator: a value that is emitted twice is two messages") {
  const auto twice = ps::op<Custom>(
      {}, Parts{in_and_out, [](ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) {
                  const ps::Message message = inputs.receive();
                  outputs.emit(message);
                  outputs.emit(message);
                }});
  std::vector<std::array<std::uint64_t, 3>> seen;
  const ps::Flow x = count_to(2);
  const auto note = [&](const ps::Message& m, ps::Context& c) {
    seen.push_back({static_cast<std::uint64_t>(m.get<int>()), c.origin().number, c.origin().sub});
  };
  static_cast<void>(ps::run(x >> twice >> note));
  CHECK(seen ==
        std::vector<std::array<std::uint64_t, 3>>{{0, 0, 0}, {0, 0, 1}, {1, 1, 0}, {1, 1, 1}});
}

TEST_CASE("operator: a chain allocates nothing per message") {
  constexpr int kWarm = 20'000;
  constexpr int kEnd = 60'000;
  struct Marks {
    std::int64_t at_warm = 0;
    std::int64_t at_end = 0;
  };
  struct Hop : ps::Operator {
    void setup(ps::Spec& spec) override {
      spec.input("in").type<int>();
      spec.output("out").type<int>();
    }
    void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) override {
      outputs.emit(*inputs.receive<int>("in") + 1, "out");
    }
  };
  for (const int workers : {1, 2, 4}) {
    Marks marks;
    const ps::Flow end =
        count_to(kEnd + 1) >> ps::op<Hop>() >> [](int v) { return v + 1; } >> [&marks](int v) {
          if (v == kWarm + 2) marks.at_warm = penstock::test::allocations.load();
          if (v == kEnd + 2) marks.at_end = penstock::test::allocations.load();
        };
    static_cast<void>(ps::run(end, {.workers = workers}));
    CAPTURE(workers);
    const std::int64_t made = marks.at_end - marks.at_warm;
    MESSAGE(workers << " workers: " << made << " allocations in " << kEnd - kWarm << " messages");
    CHECK(marks.at_warm > 0);  // it counts
    CHECK(made < 100);
  }
}
