// The explicit form of an operator: ports, settings, what it is given, how long its context lives.
#include <penstock/penstock.hpp>

#include "operator_fixture.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace ps = penstock;
using doctest::Contains;
using namespace penstock::test;

namespace {

// The spelling of the public contract.
struct Gain : ps::Operator {
  void setup(ps::Spec& spec) override;
  void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context& context) override;

  double gain = 0;
  int offset = 0;
};
void Gain::setup(ps::Spec& spec) {
  spec.input("in").type<int>();
  spec.output("out").type<double>();
  spec.param(gain, "gain", 2.0);
  spec.param(offset, "offset", 0);
}
void Gain::compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) {
  outputs.emit(*inputs.receive<int>("in") * gain + offset, "out");
}

}  // namespace

TEST_CASE("operator: ports and settings") {
  CHECK(taken<double>(count_to(4) >> ps::op<Gain>()) == std::vector<double>{0, 2, 4, 6});
  const ps::Op more = ps::op<Gain>({.name = "more"}, ps::Setting{"gain", 3},
                                   ps::Setting{"offset", std::int64_t{1}});
  CHECK(taken<double>(count_to(3) >> more) == std::vector<double>{1, 4, 7});
}

TEST_CASE("operator: a setting that is not there, or of another type") {
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::op<Gain>({.name = "g"}, ps::Setting{"gian", 3.0})),
                       "g: no setting \"gian\"; did you mean \"gain\"?", ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::op<Gain>({}, ps::Setting{"gain", "loud"})),
                       "Gain: setting \"gain\" is \"loud\"; expected a number", ps::GraphError);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::op<Gain>({}, ps::Setting{"offset", 1.5})),
                       "Gain: setting \"offset\" is 1.5; expected an integer", ps::GraphError);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(ps::op<Gain>({}, ps::Setting{"offset", std::int64_t{1} << 40})),
      Contains("which its type does not hold"), ps::GraphError);
  struct Needy : ps::Operator {
    std::string path;
    void setup(ps::Spec& spec) override { spec.param(path, "path"); }
    void compute(ps::Inputs&, ps::Outputs&, ps::Context&) override {}
  };
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::op<Needy>()),
                       "Needy: setting \"path\" is required; give it a value", ps::GraphError);
}

TEST_CASE("operator: settings of all kinds") {
  struct All : ps::Operator {
    bool flag = false;
    std::uint8_t small = 0;
    float real = 0;
    std::string text;
    std::vector<std::int64_t> wholes;
    std::vector<double> reals;
    void setup(ps::Spec& spec) override {
      spec.output("out");
      spec.param(flag, "flag", false);
      spec.param(small, "small", 1);
      spec.param(real, "real", 0.5F);
      spec.param(text, "text", "none");
      spec.param(wholes, "wholes", {1, 2});
      spec.param(reals, "reals", {});
    }
    void compute(ps::Inputs&, ps::Outputs& outputs, ps::Context& context) override {
      outputs.emit(text + (flag ? "+" : "-") + std::to_string(small + static_cast<int>(real)) +
                   std::to_string(wholes.size() + reals.size()));
      context.end();
    }
  };
  CHECK(taken<std::string>(ps::op<All>()()) == std::vector<std::string>{"none-12"});
  const auto given =
      ps::op<All>({}, ps::Setting{"flag", true}, ps::Setting{"small", 7}, ps::Setting{"real", 2},
                  ps::Setting{"text", "x"}, ps::Setting{"reals", std::vector<std::int64_t>{1}});
  CHECK(taken<std::string>(given()) == std::vector<std::string>{"x+93"});
}

TEST_CASE("operator: two ports of one name, an unknown port, an empty message") {
  const auto make = [](auto setup, auto compute) {
    return ps::op<Custom>({.name = "op"}, Parts{setup, compute});
  };
  CHECK_THROWS_WITH_AS(static_cast<void>(make(
                           [](ps::Spec& spec) {
                             spec.input("a");
                             spec.input("a");
                           },
                           nullptr)),
                       "op: there are two inputs \"a\"", ps::GraphError);
  const auto fails = [&](auto compute, const char* with) {
    const auto flow = count_to(1) >> make(in_and_out, compute);
    CHECK_THROWS_WITH_AS(static_cast<void>(ps::run(flow)), Contains(with), ps::GraphError);
  };
  fails([](auto& inputs, auto&, auto&) { static_cast<void>(inputs.receive("im")); },
        "op: no input \"im\"; it has \"in\"; did you mean \"in\"?");
  fails([](auto&, auto& outputs, auto&) { outputs.emit(1, "ouz"); },
        "op: no output \"ouz\"; it has \"out\"; did you mean \"out\"?");
  fails([](auto&, auto& outputs, auto&) { outputs.emit(ps::Message()); },
        "op: emit: the message is empty");
}

TEST_CASE("operator: several messages of one activation come one after the other") {
  std::vector<int> seen;
  const auto pairs =
      ps::op<Custom>({}, Parts{[](ps::Spec& spec) {
                                 spec.input("in").size(2);
                                 spec.output("out");
                               },
                               [&seen](ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) {
                                 CHECK(inputs.size() == 2);
                                 int sum = 0;
                                 while (const auto value = inputs.receive<int>()) sum += *value;
                                 CHECK_FALSE(inputs.receive());
                                 outputs.emit(sum);
                               }});
  CHECK(taken<int>(count_to(6) >> pairs) == std::vector<int>{1, 5, 9});
}

TEST_CASE("operator: in a batch the emits go to the items in order") {
  const auto make = [](auto compute) {
    return ps::op<Custom>({.batch = 4, .max_delay_ms = 10'000}, Parts{in_and_out, compute});
  };
  std::mutex mutex;
  std::vector<std::pair<std::uint64_t, int>> origins;
  const auto even = make([](ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) {
    while (const auto value = inputs.receive<int>()) {
      if (*value % 2 == 0) {
        outputs.emit(*value * 10);
      } else {
        outputs.skip();
      }
    }
  });
  const ps::Flow last = count_to(8) >> even >> [&](const ps::Message& m, ps::Context& context) {
    const std::lock_guard guard(mutex);
    origins.emplace_back(context.origin().number, m.get<int>());
  };
  static_cast<void>(ps::run(last));
  CHECK(origins == std::vector<std::pair<std::uint64_t, int>>{{0, 0}, {2, 20}, {4, 40}, {6, 60}});

  const auto fails = [&](int emits, const char* with) {
    const auto bad = make([emits](ps::Inputs&, ps::Outputs& outputs, ps::Context& context) {
      for (int i = 0; i < emits * static_cast<int>(context.items()) / 4; ++i) outputs.emit(i);
      if (context.items() < 4) outputs.emit(0);
    });
    CHECK_THROWS_WITH_AS(static_cast<void>(ps::run(count_to(4) >> bad)), Contains(with),
                         ps::GraphError);
  };
  fails(5, "emit one for each item");
}

TEST_CASE("operator: k instances are k objects, made from the same arguments") {
  struct Shared {
    std::atomic<int> made{0};
    std::mutex mutex;
    std::set<int> instances;
    std::vector<std::string> words;
  };
  struct Counted : ps::Operator {
    Shared* shared;
    std::string word;
    Counted(Shared* s, std::string w) : shared(s), word(std::move(w)) { ++shared->made; }
    void setup(ps::Spec& spec) override { in_and_out(spec); }
    void start() override {
      const std::lock_guard guard(shared->mutex);
      shared->instances.insert(context().instance());
      shared->words.push_back(word);
    }
    void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) override {
      outputs.emit(inputs.receive());
    }
  };
  Shared shared;
  const ps::Flow flow =
      count_to(100) >> ps::op<Counted>({.instances = 3}, &shared, std::string("same"));
  const auto all = taken<int>(flow);
  CHECK(shared.made == 3);
  CHECK(shared.instances == std::set<int>{0, 1, 2});
  CHECK(shared.words == std::vector<std::string>(3, "same"));
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(all == expected);
  CHECK(taken<int>(flow) == expected);  // and again, with objects of their own
  CHECK(shared.made == 6);
}

TEST_CASE("operator: the context lives from start to stop, which comes also after an error") {
  struct Log {
    std::vector<std::string> lines;
  };
  struct Living : ps::Operator {
    Log* log;
    explicit Living(Log* l) : log(l) {}
    void setup(ps::Spec& spec) override {
      spec.input("in");
      CHECK_THROWS_AS(static_cast<void>(context()), ps::GraphError);
    }
    void start() override {
      log->lines.push_back("start " + context().name());
      CHECK_THROWS_AS(static_cast<void>(context().message()), ps::GraphError);
    }
    void compute(ps::Inputs&, ps::Outputs&, ps::Context& c) override {
      log->lines.push_back("compute " + std::to_string(c.origin().number));
      CHECK(&c == &context());
      CHECK(c.device() == ps::Device::cpu());
      if (c.message().get<int>() == 1) throw std::out_of_range("one");
    }
    void stop() override {
      log->lines.push_back("stop " + context().name());
      CHECK_THROWS_AS(static_cast<void>(context().message()), ps::GraphError);
    }
  };
  Log log;
  const auto flow = count_to(5) >> ps::op<Living>({.name = "living"}, &log);
  CHECK_THROWS_AS(static_cast<void>(ps::run(flow)), std::out_of_range);
  CHECK(log.lines ==
        std::vector<std::string>{"start living", "compute 0", "compute 1", "stop living"});
}

TEST_CASE("operator: a source ends by its count, by end(), or with the run") {
  struct Ticks : ps::Operator {
    int end = -1;
    int next = 0;
    void setup(ps::Spec& spec) override {
      spec.output("out").type<int>();
      spec.param(end, "end", -1);
    }
    void compute(ps::Inputs&, ps::Outputs& outputs, ps::Context& context) override {
      outputs.emit(next++);
      if (next == end) context.end();
    }
  };
  CHECK(taken<int>(ps::op<Ticks>({.count = 3})()) == std::vector<int>{0, 1, 2});
  CHECK(taken<int>(ps::op<Ticks>({}, ps::Setting{"end", 2})()) == std::vector<int>{0, 1});
  int most = 0;
  static_cast<void>(ps::run(ps::op<Ticks>()() >> [&](int value, ps::Context& context) {
    most = value;
    if (value == 10) context.stop();
    if (value > 10) CHECK(context.is_stopping());
  }));
  CHECK(most >= 10);
}

TEST_CASE("operator: it is not run until it is ready") {
  struct Shy : ps::Operator {
    std::atomic<int>* asked;
    explicit Shy(std::atomic<int>* counter) : asked(counter) {}
    void setup(ps::Spec& spec) override { in_and_out(spec); }
    bool ready() override { return asked->fetch_add(1) >= 3; }
    void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) override {
      CHECK(asked->load() > 3);
      outputs.emit(inputs.receive());
    }
  };
  std::atomic<int> asked{0};
  CHECK(taken<int>(count_to(2) >> ps::op<Shy>({}, &asked)) == std::vector<int>{0, 1});
}

TEST_CASE("operator: an optional input gives nothing where nothing comes") {
  const auto odd = [](int v) { return v % 2 == 1 ? std::optional(v) : std::nullopt; };
  const auto both =
      ps::op<Custom>({}, Parts{[](ps::Spec& spec) {
                                 spec.input("all").type<int>();
                                 spec.input("odd").type<int>().optional();
                                 spec.output("out");
                               },
                               [](ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) {
                                 const int all = *inputs.receive<int>("all");
                                 outputs.emit(inputs.receive<int>("odd").value_or(-all));
                               }});
  const ps::Flow x = count_to(4);
  CHECK(taken<int>(both(x, x >> odd)) == std::vector<int>{0, 1, -2, 3});
}
