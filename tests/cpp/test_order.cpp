// Marks, slots and clocks: what is ordered must be, and what is ordered already costs no call.
#include "order_fixture.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;
using order::Point;

TEST_CASE("order: nothing is marked until somebody needs it, and one mark covers all before it") {
  TestSlot producer, consumer;
  SlowWork slow(host(), producer.handle);
  const int records = counting().records;
  std::array<Point, 5> points;
  for (Point& point : points) point = producer.use();
  CHECK(counting().records == records);
  CHECK(std::ranges::count(points, points[0]) == 5);
  CHECK_FALSE(order::is_complete(points[0]));
  CHECK(counting().records == records);  // to ask is not to mark

  const int waits = counting().waits;
  consumer.wait(points[0]);
  CHECK(counting().records == records + 1);
  CHECK(counting().waits == waits + 1);
  // Covered: no call at all. A clock has no entry for the streams of a busy moment.
  const bool has_entry = points[0].slot < order::kClockSlots;
  for (const Point& point : points) consumer.wait(point);
  CHECK(counting().records == records + 1);
  CHECK(counting().waits == waits + (has_entry ? 1 : 6));

  const Point later = producer.use();
  CHECK(later.mark > points[0].mark);
  CHECK_FALSE(consumer->covers(later));
  TestSlot third;
  third.wait(later);
  CHECK(counting().records == records + 2);
  TestSlot fourth;
  fourth.wait(points[0]);  // the first mark is there still, and is what it waits for
  CHECK(counting().records == records + 2);
  CHECK_FALSE(fourth->covers(later));
}

TEST_CASE("order: a clean stream gives its newest mark again, one that others use never") {
  TestSlot stream;
  CHECK_FALSE(stream->mark(false));
  static_cast<void>(stream.use());
  const auto first = stream->mark(false);
  REQUIRE(first);
  CHECK(stream->mark(false) == first);
  CHECK(stream->now() == first->point());
  const auto second = stream->mark(true);
  CHECK(second->point().mark == first->point().mark + 1);
  static_cast<void>(stream.use());
  CHECK(stream->now().mark == second->point().mark + 1);
  CHECK(stream->mark(false)->point().mark == second->point().mark + 1);
}

TEST_CASE("order: a wait makes the stream dirty: its next mark is behind what it waited for") {
  TestSlot a, b, c;
  SlowWork slow(host(), a.handle);
  static_cast<void>(b.use());
  const auto before = b->mark(false);
  b.wait(a.use());
  // No work since, but an old mark of b would not be behind a.
  const auto after = b->mark(false);
  CHECK(after->point().mark == before->point().mark + 1);
  CHECK_FALSE(host().query(after->event()));
  REQUIRE(eventually([&] { return host().query(before->event()); }));
  std::atomic<bool> ran{false};
  c.wait(b->now());
  static_cast<void>(c.use([&] { ran = true; }));
  CHECK_FALSE(ran);
  slow.release();
  c.finish();
  CHECK(ran);
}

TEST_CASE("order: clocks are passed on by waits, and only as they were when the mark was made") {
  TestSlot a, b, c, d;
  SlowWork slow_a(host(), a.handle), slow_b(host(), b.handle);
  const Point in_a = a.use();
  b.wait(in_a);
  const Point in_b = b.use();
  CHECK(b->covers(in_a));
  c.wait(in_b);
  CHECK(c->covers(in_a));  // through b

  const Point later_in_a = a.use();
  b.wait(later_in_a);
  CHECK(b->covers(later_in_a));
  d.wait(in_b);  // the old mark of b, recorded before that wait
  CHECK(d->covers(in_a));
  CHECK_FALSE(d->covers(later_in_a));
  const int waits = counting().waits;
  d.wait(in_a);
  CHECK(counting().waits == waits);
  d.wait(later_in_a);
  CHECK(counting().waits == waits + 1);
}

TEST_CASE("order: a complete mark completes what it is behind, with no question more") {
  TestSlot a, b;
  const Point in_a = a.use();
  b.wait(in_a);
  const Point in_b = b.use();
  REQUIRE(order::sync(in_b, in_a_minute()));
  const int queries = counting().queries;
  CHECK(order::is_complete(in_a));
  CHECK(order::is_complete(in_b));
  CHECK(counting().queries == queries);
  // Over and without an error: the clock is raised, but nothing is enqueued and nothing gets dirty.
  TestSlot c;
  const int waits = counting().waits;
  const Point before = c->now();
  c.wait(in_b);
  CHECK(counting().waits == waits);
  CHECK(c->covers(in_a));
  CHECK(c->now() == before);
}

TEST_CASE("order: late waits find their mark among the last 64, older ones a later mark") {
  TestSlot producer;
  std::vector<Point> points;
  std::vector<std::unique_ptr<SlowWork>> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(std::make_unique<SlowWork>(host(), producer.handle));
    points.push_back(producer.use());
    REQUIRE(order::mark_of(points.back())->point() == points.back());
  }
  for (int i = 99; i >= 0; --i) {
    const auto mark = order::mark_of(points[static_cast<std::size_t>(i)]);
    REQUIRE(mark);
    CHECK(mark->point().mark >= points[static_cast<std::size_t>(i)].mark);
    if (i >= 40) CHECK(mark->point() == points[static_cast<std::size_t>(i)]);
    if (i < 30) CHECK(mark->point().mark <= points[45].mark);  // the oldest kept, not the newest
  }
  // Half of the work is over: exactly the first half is known to be.
  for (int i = 0; i < 50; ++i) slow[static_cast<std::size_t>(i)]->release();
  REQUIRE(eventually([&] { return order::is_complete(points[49]); }));
  for (int i = 0; i < 100; ++i) {
    CHECK(order::is_complete(points[static_cast<std::size_t>(i)]) == (i <= 49));
  }
}

TEST_CASE("order: a mark that somebody holds stays as it is, others' events are used again") {
  const int events = counting().events;
  {
    TestSlot stream;
    static_cast<void>(stream.use());
    const auto held = stream->mark(true);
    const Point point = held->point();
    const EventHandle event = held->event();
    std::set<EventHandle> used;
    for (int i = 0; i < 1000; ++i) {
      static_cast<void>(stream.use());
      const auto mark = stream->mark(false);
      CHECK(mark->event() != event);
      used.insert(mark->event());
      stream.finish();
    }
    CHECK(used.size() < 20);
    CHECK(held->point() == point);
    CHECK(host().query(held->event()));
  }
  {
    // The stream has gone and another lives in its slot: the mark is still what it was.
    auto leaving = std::make_unique<TestSlot>();
    SlowWork slow(host(), leaving->handle);
    static_cast<void>(leaving->use());
    const auto held = (*leaving)->mark(true);
    const auto index = (*leaving)->index();
    leaving.reset();
    CHECK_FALSE(host().query(held->event()));
    slow.release();
    REQUIRE(eventually([&] { return order::is_complete(held->point()); }));
    std::vector<std::unique_ptr<TestSlot>> others;
    while (others.empty() || others.back()->slot->index() != index) {
      others.push_back(std::make_unique<TestSlot>());
    }
    SlowWork next(host(), others.back()->handle);
    const auto newer = (*others.back())->mark(true);
    CHECK(host().query(held->event()));
    CHECK_FALSE(host().query(newer->event()));
    CHECK(newer->point().mark > held->point().mark);
    next.release();
  }
  // All slots that were left are idle by now; taking them gives their events back.
  std::vector<std::unique_ptr<TestSlot>> taken;
  const std::uint32_t slots = order::Slot::count() + 8;
  while (taken.size() < slots) taken.push_back(std::make_unique<TestSlot>());
  CHECK(counting().events <= events + 8);
}

TEST_CASE("order: a slot is taken again only when its stream's work is over; numbers go on") {
  for (int round = 0; round < 20; ++round) {
    auto leaving = std::make_unique<TestSlot>();
    const std::uint32_t index = (*leaving)->index();
    SlowWork slow(host(), leaving->handle);
    const Point point = leaving->use();
    const Point open = (*leaving)->use_open();
    leaving.reset();
    CHECK_FALSE(order::is_complete(point));
    CHECK_FALSE(order::is_complete(open));
    std::vector<std::unique_ptr<TestSlot>> others;
    for (int i = 0; i < 10; ++i) {
      others.push_back(std::make_unique<TestSlot>());
      CHECK((*others.back())->index() != index);
    }
    const auto mark = order::mark_of(point);
    REQUIRE(mark);
    CHECK(order::mark_of(open) == mark);  // it ended when its stream left
    slow.release();
    REQUIRE(eventually([&] { return order::is_complete(point); }));
    CHECK(order::is_complete(open));
    while (others.back()->slot->index() != index) others.push_back(std::make_unique<TestSlot>());
    TestSlot& heir = *others.back();
    SlowWork busy(host(), heir.handle);
    CHECK(heir.use().mark > point.mark);
    // The heir's work is not what the old points mean.
    CHECK(order::is_complete(point));
    CHECK(order::is_complete(open));
    CHECK_FALSE(order::mark_of(open));
    CHECK_FALSE(others.front()->slot->covers(heir->now()));
  }
}

TEST_CASE("order: past 128 slots nothing is elided, and all is right") {
  std::vector<std::unique_ptr<TestSlot>> all;
  std::vector<TestSlot*> past;
  while (past.size() < 2) {
    all.push_back(std::make_unique<TestSlot>());
    if (all.back()->slot->index() >= order::kClockSlots) past.push_back(all.back().get());
  }
  TestSlot& a = *past[0];
  TestSlot& b = *past[1];
  SlowWork slow(host(), a.handle);
  std::atomic<int> value{0};
  const Point in_a = a.use([&] { value = 1; });
  const int waits = counting().waits;
  b.wait(in_a);
  CHECK_FALSE(b->covers(in_a));
  b.wait(in_a);
  CHECK(counting().waits == waits + 2);
  int seen = 0;
  const Point in_b = b.use([&] { seen = value; });
  CHECK(b->covers(in_b));  // its own
  slow.release();
  REQUIRE(order::sync(in_b, in_a_minute()));
  CHECK(seen == 1);
  CHECK(order::is_complete(in_b));
  CHECK(order::is_complete(in_a));
}

TEST_CASE("order: after a busy moment the first slots are taken again, which clocks know") {
  std::vector<std::unique_ptr<TestSlot>> busy;
  std::uint32_t first = UINT32_MAX;
  for (std::uint32_t i = 0; i <= order::kClockSlots; ++i) {
    busy.push_back(std::make_unique<TestSlot>());
    first = std::min(first, busy.back()->slot->index());
  }
  while (!busy.empty()) busy.pop_back();  // the last one first
  TestSlot next;
  CHECK(next->index() <= first);
}

// Producers enqueue and note their use, with no lock in between; markers mark at any moment.
// Whoever waited for the mark of a use must see its work done.
TEST_CASE("order: uses race marks, and every mark covers the uses that it says it covers") {
  TestSlot stream;
  std::atomic<int> early{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Random random(static_cast<std::uint64_t>(t));
      while (!over) {
        static_cast<void>(stream->mark(random.below(2) == 0));
        if (random.below(4) == 0) static_cast<void>(order::is_complete(stream->now()));
      }
    });
  }
  std::vector<std::thread> producers;
  for (int t = 0; t < 3; ++t) {
    producers.emplace_back([&, t] {
      Random random(static_cast<std::uint64_t>(t) + 100);
      for (int i = 0; i < scaled(300); ++i) {
        std::atomic<bool> done{false};
        const Point point = stream.use([&] { done = true; });
        const bool by_now = random.below(2) == 0;
        const Point waited_for = by_now ? stream->now() : point;
        bool complete = random.below(2) == 0;
        if (complete) {
          complete = eventually([&] {
            static_cast<void>(order::mark_of(waited_for));
            return order::is_complete(waited_for);
          });
        } else {
          complete = order::sync(waited_for, in_a_minute());
        }
        if (!complete || !done) early.fetch_add(1);
        while (!done) std::this_thread::yield();
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  over = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(early == 0);
}

TEST_CASE("order: threads wait, elide and mark on shared streams, and nobody runs too early") {
  constexpr std::size_t kStreams = 5;
  std::vector<std::unique_ptr<TestSlot>> streams;
  for (std::size_t i = 0; i < kStreams; ++i) streams.push_back(std::make_unique<TestSlot>());
  std::atomic<int> early{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Random random(static_cast<std::uint64_t>(t));
      // Each thread has chains of its own: every link waits for the one before it.
      auto length = std::make_shared<std::atomic<int>>(0);
      Point last{};
      for (int i = 0; i < scaled(4000); ++i) {
        TestSlot& stream = *streams[random.below(kStreams)];
        if (i > 0) stream.wait(last);
        last = stream.use([&early, length, i] {
          int expected = i;
          if (!length->compare_exchange_strong(expected, i + 1)) early.fetch_add(1);
        });
      }
      static_cast<void>(order::sync(last, in_a_minute()));
      if (*length != scaled(4000)) early.fetch_add(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(early == 0);
}

TEST_CASE("order: streams come and go in threads while others wait for their points") {
  std::atomic<int> early{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      TestSlot own;
      Random random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < scaled(1500); ++i) {
        std::atomic<int> value{0};
        Point point{};
        {
          TestSlot brief;
          point = brief.use([&] { value.fetch_add(1); });
          if (random.below(3) == 0) static_cast<void>(order::mark_of(point));
        }
        own.wait(point);
        const Point after = own.use([&] {
          if (value.load() != 1) early.fetch_add(1);
        });
        if (!order::sync(after, in_a_minute()) || !order::is_complete(point)) early.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(early == 0);
}

TEST_CASE("order: a lost device throws where it is used, completes all, and lets streams go") {
  auto stream = std::make_unique<TestSlot>();
  const Point point = stream->use();
  stream->finish();
  struct Lost {
    Lost() { counting().is_lost = true; }
    ~Lost() { counting().is_lost = false; }
  };
  std::string message;
  {
    const Lost lost;
    message = thrown_by([&] { static_cast<void>(order::mark_of(point)); });
    stream.reset();
  }
  CHECK(message == "the device is lost");
  CHECK(order::is_complete(point));
}

TEST_CASE("order: streams of two backends don't wait for one another by mistake") {
  TestSlot here, there(host());
  const Point point = there.use();
  CHECK_THROWS_AS(here.wait(point), StreamError);
}
