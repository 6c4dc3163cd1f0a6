// Random programs under the race checker: it reports exactly the pairs of accesses that nothing
// orders, by the graph of the program. Half of the programs are ordered but for one wait.
#include "program_maker.hpp"
#include "tensor/work.hpp"
#include "tensor_fixture.hpp"

#include <iostream>
#include <optional>
#include <random>
#include <thread>

using namespace penstock;
using namespace penstock::test;
using namespace penstock::program;
namespace check = penstock::order::check;

namespace {

// Memory of somebody else, given back once and not before its uses are over.
struct Lender {
  std::array<std::byte, 60> bytes{};
  std::array<std::int64_t, 3> shape = kShape;
  std::atomic<int> returned{0};

  Tensor lend(const Stream& stream) {
    const dlpack::TensorRecord record{bytes.data(), {dlpack::kCpu, 0}, 3, {1, 8, 1},
                                      shape.data(), nullptr,           0};
    const Owner owner{[](void* self) { ++static_cast<Lender*>(self)->returned; }, this};
    return Tensor::wrap(record, false, owner, {}, &stream);
  }
};

// Does what a program says, with the checker on.
class Machine {
 public:
  explicit Machine(Program& program) : program_(program) {
    for (std::size_t i = 0; i < program.streams; ++i)
      streams_.push_back(memory::test::new_stream());
    for (std::size_t i = 0; i < kTensors; ++i) tensors_.push_back(make(streams_[0]));
  }
  ~Machine() {
    tensors_.clear();
    for (const Stream& stream : streams_) stream.sync();
    for (const auto& lender : lenders_) CHECK(eventually([&] { return lender->returned == 1; }));
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The threads take turns, which the checker does not see.
  void run() {
    std::vector<std::thread> others;
    for (std::size_t thread = 1; thread < program_.threads; ++thread) {
      others.emplace_back([this, thread] { run(thread); });
    }
    run(0);
    for (std::thread& other : others) other.join();
  }

 private:
  static Tensor make(const Stream& stream) {
    return Tensor::empty({kShape.begin(), kShape.end()}, u8, {}, stream);
  }
  [[nodiscard]] Tensor view(const Touch& touch) const {
    Tensor view = tensors_[touch.tensor];
    for (std::size_t dim = 0; dim < 3; ++dim) {
      view = view.slice(static_cast<int>(dim), touch.begin[dim], touch.end[dim], touch.step[dim]);
    }
    return view;
  }

  [[nodiscard]] Access use(const Touch& touch) const {
    return touch.is_write ? writes(view(touch)) : reads(view(touch));
  }

  void run(std::size_t thread) {
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      std::size_t now = turn_;
      while (now < i) {
        turn_.wait(now);
        now = turn_;
      }
      if (program_.ops[i].thread != thread) continue;
      run(program_.ops[i]);
      turn_ = i + 1;
      turn_.notify_all();
    }
    check::set_label("");
  }

  void run(Op& op) {
    check::set_label(std::to_string(op.id));
    const Stream& stream = streams_[op.stream];
    std::optional<Event>& event = events_[op.other % kEvents];
    switch (op.kind) {
      case Kind::access:
        uses(view(op.touches[0]), stream, op.touches[0].is_write, op.waits);
        break;
      case Kind::launch: {
        stream.launch([] {}, use(op.touches[0]), use(op.touches[1]));
        break;
      }
      case Kind::host_access: {
        const Tensor seen = view(op.touches[0]);
        check::access(*seen.impl().block->shadow(), check::host_access(), seen.impl().range(),
                      op.touches[0].is_write, tag("host_access"));
        break;
      }
      case Kind::record:
        event = stream.record();
        break;
      case Kind::wait_event:
        if (event) stream.wait(*event);
        break;
      case Kind::wait_stream:
        stream.wait(streams_[op.other]);
        break;
      case Kind::wait_tensor:
        stream.wait(tensors_[op.other]);
        break;
      case Kind::sync_event:
        try {
          if (event) event->sync();
        } catch (const backend::SelfWaitError&) {  // of a task, for what is behind it
        }
        break;
      case Kind::sync_stream:
        stream.sync();
        break;
      case Kind::sync_tensor:
        tensors_[op.other].sync();
        break;
      case Kind::query_stream:
        op.was_idle = stream.query();
        break;
      case Kind::renew:
        tensors_[op.touches[0].tensor] = make(stream);
        break;
      case Kind::borrow:
        lenders_.push_back(std::make_unique<Lender>());
        tensors_[op.touches[0].tensor] = lenders_.back()->lend(stream);
        break;
      case Kind::run_task:
        run_task(op);
        break;
    }
  }

  // Until the task is over, in a way that the checker does not see.
  void run_task(Op& op) {
    std::atomic<bool> may_begin{false}, is_over{false};
    const auto body = [&] {
      while (!may_begin) std::this_thread::yield();
      for (Op& one : op.inside) run(one);
      check::set_label("");
      is_over = true;
    };
    if (op.touches.empty()) {
      streams_[op.stream].launch(body);
    } else {
      streams_[op.stream].launch(body, use(op.touches[0]));
    }
    may_begin = true;  // its accesses are noted by now
    REQUIRE(eventually([&] { return is_over.load(); }));
  }

  Program& program_;
  std::vector<Stream> streams_;
  std::vector<Tensor> tensors_;
  std::array<std::optional<Event>, kEvents> events_;
  std::vector<std::unique_ptr<Lender>> lenders_;
  std::atomic<std::size_t> turn_{0};
};

std::vector<std::string> texts;  // of the reports

// What the checker finds, sorted.
Pairs found_in(Program& program) {
  texts.clear();
  const Checker checker;
  check::set_mode(OrderCheck::report);
  check::set_reporter([](const std::string& text) { texts.push_back(text); });
  Machine(program).run();
  check::set_reporter(nullptr);
  Pairs pairs;
  for (const check::Race& race : check::races()) {
    pairs.emplace_back(std::stoi(race.earlier.tag.label), std::stoi(race.later.tag.label));
  }
  std::ranges::sort(pairs);
  return pairs;
}

bool is_wait(const Op& op) { return op.kind >= Kind::wait_event && op.kind <= Kind::sync_tensor; }

// One wait less, such that something is a race now; false if each was one too many.
bool forget_one_wait(Program& program, Random& random) {
  std::vector<std::size_t> waits;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    if (is_wait(program.ops[i])) waits.push_back(i);
  }
  while (!waits.empty()) {
    const auto which = waits.begin() + static_cast<std::ptrdiff_t>(random.below(waits.size()));
    Program less = program;
    less.ops.erase(less.ops.begin() + static_cast<std::ptrdiff_t>(*which));
    waits.erase(which);
    if (Oracle::races(less).empty()) continue;
    program = std::move(less);
    return true;
  }
  return false;
}

std::string text_of(const Pairs& pairs) {
  std::string text;
  for (const auto& [earlier, later] : pairs) {
    text += std::to_string(earlier) + "-" + std::to_string(later) + " ";
  }
  return text;
}

bool is_named(const std::pair<int, int>& pair) {
  const auto label = [](int id) { return "label \"" + std::to_string(id) + "\""; };
  return std::ranges::any_of(texts, [&](const std::string& text) {
    const std::size_t first = text.find(label(pair.first));
    return first != std::string::npos && text.find(label(pair.second), first) != std::string::npos;
  });
}

// PENSTOCK_TEST_SEED repeats one program; else as many as the scale says, from a random seed on.
template <class Body>
void for_each_seed(const char* what, Body body) {
  const char* given = std::getenv("PENSTOCK_TEST_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10)
                                               : std::random_device{}() * std::uint64_t{1'000};
  const int count = given != nullptr ? 1 : scaled(20);
  std::cout << what << ": seeds from " << first << ", " << count << " programs\n";
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
    INFO("repeat with PENSTOCK_TEST_SEED=", seed);
    body(seed);
  }
}

}  // namespace

TEST_CASE("random programs: the checker reports the unordered pairs, each once, and no others") {
  std::size_t races = 0;
  int programs = 0;
  for_each_seed("random programs", [&](std::uint64_t seed) {
    Program program = Maker(seed).any();
    const Pairs found = found_in(program);
    const Pairs expected = Oracle::races(program);  // after the run: it knows what queries gave
    REQUIRE(expected.size() < 1000);
    CHECK(text_of(found) == text_of(expected));
    CHECK(texts.size() == found.size());
    races += found.size();
    ++programs;
  });
  if (programs > 3) CHECK(races > 0);
}

TEST_CASE("random programs: in an ordered one there is no race; one wait less, and it is named") {
  for_each_seed("ordered programs", [&](std::uint64_t seed) {
    Program program = Maker(seed).ordered();
    REQUIRE(Oracle::races(program).empty());
    CHECK(text_of(found_in(program)) == "");
    Random random(seed);
    if (!forget_one_wait(program, random)) return;
    const Pairs found = found_in(program);
    CHECK_FALSE(found.empty());
    CHECK(text_of(found) == text_of(Oracle::races(program)));
    for (const auto& pair : found) CHECK(is_named(pair));
  });
}
