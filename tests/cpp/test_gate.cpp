// Gates, what opens them (the strand that completes a mark, or the reactor that asks), and the
// limit on work in flight that is made of them.
#include "order_fixture.hpp"

#include "base/random.hpp"
#include "order/gate.hpp"
#include "order/in_flight.hpp"
#include "order/reactor.hpp"

#include <array>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;
using order::Point;

namespace {

struct CountedGate : order::Gate {
  CountedGate() : Gate([](Gate* gate) { ++static_cast<CountedGate*>(gate)->opened; }) {}
  std::atomic<int> opened{0};
};

// Frees itself, as most gates do; whoever touched it afterwards would be found by a sanitizer.
struct SelfFreeing : order::Gate {
  SelfFreeing(std::atomic<int>& opened, std::int64_t& sum)
      : Gate([](Gate* gate) {
          const std::unique_ptr<SelfFreeing> self(static_cast<SelfFreeing*>(gate));
          for (const std::int64_t part : self->parts) self->sum_ += part;
          ++self->opened_;
        }),
        opened_(opened),
        sum_(sum) {}
  std::array<std::int64_t, 8> parts{};  // written by the droppers, with no lock

 private:
  std::atomic<int>& opened_;
  std::int64_t& sum_;
};

}  // namespace

TEST_CASE("gate: it opens once, with the last hold") {
  CountedGate gate;
  gate.hold();
  gate.hold();
  gate.drop();
  gate.drop();
  CHECK(gate.opened == 0);
  CHECK_FALSE(gate.is_open());
  gate.drop();
  CHECK(gate.opened == 1);
  CHECK(gate.is_open());
}

TEST_CASE("gate: many threads drop, and who opens it sees what each of them did") {
  std::atomic<int> opened{0};
  std::int64_t sum = 0;
  constexpr int kThreads = 4;
  const int rounds = scaled(1000);
  std::atomic<int> round{0};
  SelfFreeing* current = nullptr;  // of the round
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) {
        round.wait(i);
        SelfFreeing* gate = current;
        gate->parts[static_cast<std::size_t>(t)] = i;
        gate->drop();
      }
    });
  }
  std::int64_t expected = 0;
  for (int i = 0; i < rounds; ++i) {
    current = new SelfFreeing(opened, sum);
    for (int t = 0; t < kThreads; ++t) current->hold();
    current->parts[7] = 1;
    expected += 1 + std::int64_t{kThreads} * i;
    SelfFreeing* own = current;
    round.store(i + 1);
    round.notify_all();
    own->drop();
    while (opened.load() != i + 1) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(opened == rounds);
  CHECK(sum == expected);
}

TEST_CASE("gate: it waits for points: complete, marked, unmarked and open ones") {
  for (const bool can_notify : {true, false}) {  // by the strand, or by the reactor
    CAPTURE(can_notify);
    counting().can_notify = can_notify;
    TestSlot stream, other;
    const Point complete = other.use();
    REQUIRE(order::sync(complete, in_a_minute()));
    SlowWork slow(host(), stream.handle);
    const Point marked = stream.use();
    static_cast<void>(order::mark_of(marked));
    const Point unmarked = stream.use();
    const Point open = stream->use_open();
    const std::array points{marked, unmarked, open};
    std::array<CountedGate, 3> gates;
    std::array<order::PointWatch, 3> on_complete, on_point;
    for (std::size_t i = 0; i < points.size(); ++i) {
      order::watch(gates[i], complete, on_complete[i]);
      order::watch(gates[i], points[i], on_point[i]);
      gates[i].drop();
      CHECK(gates[i].opened == 0);
    }
    slow.release();
    for (const CountedGate& gate : gates) CHECK(eventually([&] { return gate.opened == 1; }));
    CountedGate late;
    order::PointWatch watch;
    order::watch(late, marked, watch);
    late.drop();
    CHECK(eventually([&] { return late.opened == 1; }));
    counting().can_notify = true;
  }
}

TEST_CASE("gate: one for many points of many streams opens with the last of them") {
  for (int round = 0; round < scaled(200); ++round) {
    counting().can_notify = round % 3 != 0;
    constexpr std::size_t kStreams = 4;
    std::vector<std::unique_ptr<TestSlot>> streams;
    std::array<std::atomic<bool>, kStreams> done{};
    std::vector<Point> points;
    for (std::size_t i = 0; i < kStreams; ++i) {
      streams.push_back(std::make_unique<TestSlot>());
      points.push_back(streams.back()->use([&done, i] { done[i] = true; }));
    }
    struct Sees : order::Gate {
      explicit Sees(std::array<std::atomic<bool>, kStreams>& what)
          : Gate([](Gate* gate) {
              auto* self = static_cast<Sees*>(gate);
              bool all = true;
              for (const auto& one : self->done) all = all && one.load();
              self->result.store(all ? 1 : -1);
            }),
            done(what) {}
      std::array<std::atomic<bool>, kStreams>& done;
      std::atomic<int> result{0};
    } gate(done);
    std::array<order::PointWatch, kStreams> watches;
    for (std::size_t i = 0; i < kStreams; ++i) order::watch(gate, points[i], watches[i]);
    gate.drop();
    REQUIRE(eventually([&] { return gate.result != 0; }));
    CHECK(gate.result == 1);
  }
  counting().can_notify = true;
}

TEST_CASE("gate: failed work opens it, and so does a device that is lost") {
  TestSlot stream;
  CountedGate after_error;
  order::PointWatch watch;
  const Point failed = stream.use([] { throw std::runtime_error("x"); });
  order::watch(after_error, failed, watch);
  after_error.drop();
  CHECK(eventually([&] { return after_error.opened == 1; }));

  counting().can_notify = false;
  SlowWork slow(host(), stream.handle);
  const Point pending = stream.use();
  CountedGate asked, unmarked;
  order::PointWatch ask_watch, unmarked_watch;
  order::watch(asked, pending, ask_watch);
  asked.drop();
  const Point later = stream.use();
  CHECK(asked.opened == 0);
  counting().is_lost = true;
  CHECK(eventually([&] { return asked.opened == 1; }));
  order::watch(unmarked, later, unmarked_watch);
  unmarked.drop();
  CHECK(unmarked.opened == 1);
  counting().is_lost = false;
  counting().can_notify = true;
}

TEST_CASE("reactor: it asks for what it was given while there is some, and sleeps when not") {
  counting().can_notify = false;
  {
    TestSlot stream;
    SlowWork slow(host(), stream.handle);
    std::array<CountedGate, 20> gates;
    std::array<order::PointWatch, 20> watches;
    for (std::size_t i = 0; i < gates.size(); ++i) {
      order::watch(gates[i], stream.use(), watches[i]);
      gates[i].drop();
    }
    const std::int64_t rounds = order::Reactor::instance().rounds();
    REQUIRE(eventually([&] { return order::Reactor::instance().rounds() > rounds + 3; }));
    for (const CountedGate& gate : gates) CHECK(gate.opened == 0);
    slow.release();
    for (const CountedGate& gate : gates) CHECK(eventually([&] { return gate.opened == 1; }));
  }
  counting().can_notify = true;
  // With nothing to ask for no round begins, but for one that was under way.
  std::int64_t before = order::Reactor::instance().rounds();
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  before = order::Reactor::instance().rounds();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(order::Reactor::instance().rounds() <= before + 1);
}

TEST_CASE("reactor: a mark of the whole context is asked for, and covers all streams") {
  TestStream one(host()), two(host());
  TestEvent everything(host());
  SlowWork slow(host(), one.handle);
  host().record_context(everything.handle, 0);
  Completion completion;
  CHECK_FALSE(host().notify(everything.handle, completion));  // nobody fires this: it is asked for
  CHECK_FALSE(host().query(everything.handle));
  slow.release();
  CHECK(eventually([&] { return host().query(everything.handle); }));
}

TEST_CASE("reactor: it ends when told, with work that is not over" * doctest::skip()) {
  counting().can_notify = false;
  TestSlot stream;
  SlowWork slow(host(), stream.handle);
  CountedGate gate, late;
  order::PointWatch watch, late_watch;
  order::watch(gate, stream.use(), watch);
  gate.drop();
  CHECK(order::Reactor::instance().stop(exec_test::kPatience));
  order::watch(late, stream.use(), late_watch);
  late.drop();
  slow.release();
  stream.finish();
  CHECK(order::Reactor::instance().stop(exec_test::kPatience));
  CHECK(gate.opened == 0);
  CHECK(late.opened == 0);
}

TEST_CASE("reactor: ending it, in a fresh process") {
  CHECK(run_again({"--test-case=reactor: it ends when told*", "--no-skip"}, {}) == "");
}

TEST_CASE("in flight: never more than the limit, however many threads enter") {
  CHECK_THROWS_AS(order::InFlight(0), Error);
  for (const int limit : {1, 3}) {
    order::InFlight flight(limit);
    std::atomic<int> in_flight{0}, most{0}, over{0};
    std::vector<std::unique_ptr<TestSlot>> streams;
    for (int i = 0; i < 4; ++i) streams.push_back(std::make_unique<TestSlot>());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        Random random(static_cast<std::uint64_t>(t));
        TestSlot& stream = *streams[static_cast<std::size_t>(t)];
        for (int i = 0; i < scaled(1000); ++i) {
          if (!flight.enter(random.below(4) == 0 ? in_a_minute() : kNever)) return;
          const int now = in_flight.fetch_add(1) + 1;
          int seen = most.load();
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          if (random.below(10) == 0) {
            in_flight.fetch_sub(1);
            flight.leave();
            continue;
          }
          flight.leave_when(stream.use([&] {
            in_flight.fetch_sub(1);
            ++over;
          }));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& stream : streams) stream->finish();
    CHECK(eventually([&] { return flight.count() == 0; }));
    CHECK(most <= limit);
    CHECK(flight.peak() <= limit);
    CHECK(flight.peak() >= 1);
    CHECK(over > 0);
  }
}

TEST_CASE("in flight: a full one keeps deadlines, and lets in again when the work is over") {
  order::InFlight flight(2);
  TestSlot stream;
  SlowWork slow(host(), stream.handle);
  for (int i = 0; i < 2; ++i) {
    CHECK(flight.has_room());
    REQUIRE(flight.enter(0));
    flight.leave_when(stream.use());
  }
  CHECK_FALSE(flight.has_room());
  CHECK(flight.count() == 2);
  CHECK_FALSE(flight.enter(0));
  const std::int64_t deadline = now_ns() + 2'000'000;
  CHECK_FALSE(flight.enter(deadline));
  CHECK(now_ns() >= deadline);
  slow.release();
  CHECK(flight.enter(kNever));
  flight.leave();
  CHECK(eventually([&] { return flight.count() == 0; }));
  CHECK(flight.peak() == 2);
  // The limit may go before its work.
  TestSlot other;
  SlowWork slower(host(), other.handle);
  {
    order::InFlight brief(1);
    REQUIRE(brief.enter(0));
    brief.leave_when(other.use());
  }
  slower.release();
  other.finish();
}
