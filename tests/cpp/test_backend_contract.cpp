// The device contract: streams, events, and what a failure does to them. Order is tested with a
// slow producer, never with a sleep.
#include "backend_fixture.hpp"

#include <set>
#include <stdexcept>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;

namespace {

struct Call final : HostTask {
  explicit Call(void (*call)()) : call_(call) {}
  void run() override { call_(); }
  void (*call_)();
};

std::string error_of_sync(StreamHandle stream) {
  return thrown_by([=] { static_cast<void>(host().sync_stream(stream, in_a_minute())); });
}

}  // namespace

TEST_CASE("contract: an event without a record is complete, and waiting for it is no wait") {
  on_each_backend([](Backend& backend) {
    TestStream busy(backend), other(backend);
    TestEvent never(backend), busy_end(backend), other_end(backend);
    SlowWork slow(backend, busy.handle);
    backend.record(busy_end.handle, busy.handle);

    CHECK(backend.query(never.handle));
    CHECK(backend.sync(never.handle, 0));
    CHECK(!backend.error(never.handle));
    backend.wait(other.handle, never.handle);
    backend.record(other_end.handle, other.handle);
    // Recorded now, it is busy; the wait above was for what it was then.
    backend.record(never.handle, busy.handle);
    other_end.finish();
    CHECK_FALSE(backend.query(busy_end.handle));
  });
}

TEST_CASE("contract: a wait holds to the record that was newest when it was made") {
  on_each_backend([](Backend& backend) {
    TestStream busy(backend), waiting(backend), idle(backend);
    TestEvent event(backend), end(backend);
    SlowWork slow(backend, busy.handle);
    backend.record(event.handle, busy.handle);
    backend.wait(waiting.handle, event.handle);
    backend.record(end.handle, waiting.handle);

    backend.record(event.handle, idle.handle);
    event.finish();  // a record overwrites
    CHECK_FALSE(backend.query(end.handle));
    slow.release();
    end.finish();
  });
}

TEST_CASE("contract: a wait outlives its event and its producer's stream") {
  on_each_backend([](Backend& backend) {
    TestStream waiting(backend);
    TestEvent end(backend);
    TestMemory memory(backend, own_kind(backend), 1);
    const StreamHandle busy = backend.create_stream(0, 0);
    SlowWork slow(backend, busy);
    backend.fill(memory.range.address, 7, memory.range.bytes, busy);
    const EventHandle event = backend.create_event(0);
    backend.record(event, busy);
    backend.wait(waiting.handle, event);
    backend.destroy_event(event);
    backend.destroy_stream(busy);
    backend.record(end.handle, waiting.handle);

    const bool early = backend.query(end.handle);
    // A tool that checks the calls may finish a stream's work before it destroys the stream.
    CHECK((!early || slow.is_over()));
    slow.release();
    CHECK(memory.all(waiting.handle, 7));
    CHECK(backend.query(end.handle));
  });
}

TEST_CASE("contract: record and wait order what two streams do to the same memory") {
  on_each_backend([](Backend& backend) {
    TestStream producer(backend), consumer(backend);
    TestEvent ready(backend), taken(backend);
    TestMemory source(backend, own_kind(backend), 1), target(backend, own_kind(backend), 1);
    backend.fill(source.range.address, 1, source.range.bytes, producer.handle);
    backend.fill(target.range.address, 1, target.range.bytes, producer.handle);
    SlowWork slow(backend, producer.handle);
    backend.fill(source.range.address, 2, source.range.bytes, producer.handle);
    backend.record(ready.handle, producer.handle);
    backend.wait(consumer.handle, ready.handle);
    backend.copy(target.range.address, source.range.address, source.range.bytes, consumer.handle);
    backend.record(taken.handle, consumer.handle);
    backend.wait(producer.handle, taken.handle);
    backend.fill(source.range.address, 3, source.range.bytes, producer.handle);

    slow.release();
    CHECK(target.all(consumer.handle, 2));
    CHECK(source.all(producer.handle, 3));
  });
}

TEST_CASE("contract: rows are copied with a pitch on each side") {
  on_each_backend([](Backend& backend) {
    TestStream stream(backend);
    TestMemory source(backend, own_kind(backend), 4096), target(backend, own_kind(backend), 4096);
    std::vector<std::uint8_t> numbers(256);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::uint8_t>(i);
    backend.copy(source.range.address, numbers.data(), numbers.size(), stream.handle);
    backend.fill(target.range.address, 99, 64, stream.handle);
    backend.copy_rows(target.range.address, 5, source.range.address, 16, 3, 4, stream.handle);
    const std::vector<std::uint8_t> expected{0,  1,  2,  99, 99, 16, 17, 18, 99, 99,
                                             32, 33, 34, 99, 99, 48, 49, 50, 99, 99};
    CHECK(target.read(stream.handle, 0, expected.size()) == expected);
  });
}

TEST_CASE("contract: a query is false until the work is over, and a deadline is kept") {
  on_each_backend([](Backend& backend) {
    TestStream stream(backend);
    TestEvent event(backend);
    SlowWork slow(backend, stream.handle);
    backend.record(event.handle, stream.handle);
    CHECK_FALSE(backend.query(event.handle));
    CHECK(!backend.error(event.handle));
    CHECK_FALSE(backend.sync(event.handle, 0));

    std::int64_t deadline = now_ns() + 2'000'000;
    CHECK_FALSE(backend.sync(event.handle, deadline));
    CHECK(now_ns() >= deadline);
    deadline = now_ns() + 2'000'000;
    CHECK_FALSE(backend.sync_stream(stream.handle, deadline));
    CHECK(now_ns() >= deadline);

    slow.release();
    event.finish();
    CHECK(backend.query(event.handle));
    CHECK(!backend.error(event.handle));
    stream.finish();
  });
}

TEST_CASE("contract: a completion fires once, or the backend says that it can't") {
  struct Counter : Completion {
    std::atomic<int> fired{0};
  };
  on_each_backend([](Backend& backend) {
    TestStream stream(backend);
    TestEvent event(backend);
    Counter pending, late;
    pending.fire = late.fire = [](Completion* self) { ++static_cast<Counter*>(self)->fired; };
    SlowWork slow(backend, stream.handle);
    backend.record(event.handle, stream.handle);
    const bool can = backend.notify(event.handle, pending);
    CHECK(can == is_host(backend));
    CHECK(pending.fired == 0);
    slow.release();
    event.finish();
    while (can && pending.fired == 0) std::this_thread::yield();
    CHECK(backend.notify(event.handle, late) == can);
    CHECK(late.fired == (can ? 1 : 0));
    CHECK(pending.fired == (can ? 1 : 0));
  });
}

TEST_CASE("contract: a stream's id is never used again, though its handle may be") {
  on_each_backend([](Backend& backend) {
    std::set<std::uint64_t> ids{backend.stream_id(backend.legacy_stream(0))};
    for (int i = 0; i < 100; ++i) {
      const TestStream stream(backend);
      const std::uint64_t id = backend.stream_id(stream.handle);
      CHECK(id == backend.stream_id(stream.handle));
      CHECK(ids.insert(id).second);
    }
  });
}

TEST_CASE("contract: a thread that made no device current uses streams and events all the same") {
  on_each_backend([](Backend& backend) {
    TestStream stream(backend);
    TestEvent event(backend);
    SlowWork slow(backend, stream.handle);
    std::string failure;
    bool early = true;
    bool late = false;
    std::thread([&] {
      failure = thrown_by([&] {
        backend.record(event.handle, stream.handle);
        early = backend.query(event.handle);
        backend.wait(stream.handle, event.handle);
        slow.release();
        late = backend.sync(event.handle, in_a_minute()) &&
               backend.sync_stream(stream.handle, in_a_minute());
      });
    }).join();
    CHECK(failure.empty());
    CHECK_FALSE(early);
    CHECK(late);
  });
}

TEST_CASE("contract: a record of the context covers all of its streams") {
  on_each_backend([](Backend& backend) {
    TestStream first(backend), second(backend), waiting(backend);
    TestEvent everything(backend), end(backend);
    TestMemory memory(backend, own_kind(backend), 1);
    for (const StreamHandle busy : {first.handle, second.handle}) {
      SlowWork slow(backend, busy);
      backend.fill(memory.range.address, 9, memory.range.bytes, busy);
      backend.record_context(everything.handle, 0);
      CHECK_FALSE(backend.query(everything.handle));
      CHECK_FALSE(backend.sync(everything.handle, now_ns() + 1'000'000));
      backend.wait(waiting.handle, everything.handle);
      backend.record(end.handle, waiting.handle);
      CHECK_FALSE(backend.query(end.handle));
      slow.release();
      everything.finish();
      CHECK(memory.all(waiting.handle, 9));
    }
  });
}

TEST_CASE("contract: the legacy stream and each thread's own are streams like others") {
  on_each_backend([](Backend& backend) {
    TestMemory memory(backend, own_kind(backend), 1);
    TestEvent event(backend);
    const auto use = [&](StreamHandle stream, std::uint8_t value) {
      backend.fill(memory.range.address, value, memory.range.bytes, stream);
      backend.record(event.handle, stream);
      event.finish();
      backend.wait(stream, event.handle);
      return memory.all(stream, value);
    };
    const StreamHandle legacy = backend.legacy_stream(0);
    CHECK(use(legacy, 3));
    const std::uint64_t legacy_id = backend.stream_id(legacy);
    const std::uint64_t own_id = backend.stream_id(backend.per_thread_stream(0));
    std::uint64_t other_id = 0;
    bool worked = false;
    std::thread([&] {
      backend.make_current(0);
      const StreamHandle mine = backend.per_thread_stream(0);
      other_id = backend.stream_id(mine);
      worked = use(mine, 4) && backend.stream_id(backend.legacy_stream(0)) == legacy_id;
    }).join();
    CHECK(worked);
    CHECK(use(backend.per_thread_stream(0), 5));
    CHECK(std::set{legacy_id, own_id, other_id}.size() == 3);
  });
}

TEST_CASE("contract: a task that fails poisons its host stream until the next sync") {
  TestStream stream(host());
  TestEvent before(host()), after(host()), again(host());
  TestMemory memory(host(), MemoryKind::host, 1);
  SlowWork slow(host(), stream.handle);
  host().fill(memory.range.address, 1, memory.range.bytes, stream.handle);
  host().record(before.handle, stream.handle);
  host().launch(stream.handle,
                std::make_unique<Call>([] { throw std::runtime_error("the first one"); }));
  host().fill(memory.range.address, 2, memory.range.bytes, stream.handle);
  host().launch(stream.handle,
                std::make_unique<Call>([] { throw std::runtime_error("the second one"); }));
  host().record(after.handle, stream.handle);
  slow.release();

  after.finish();
  CHECK(host().query(after.handle));
  CHECK(message_of(host().error(after.handle)) == "the first one");
  CHECK(!host().error(before.handle));
  CHECK(error_of_sync(stream.handle) == "the first one");
  stream.finish();  // once is enough
  CHECK(memory.all(stream.handle, 1));
  host().fill(memory.range.address, 3, memory.range.bytes, stream.handle);
  host().record(again.handle, stream.handle);
  CHECK(memory.all(stream.handle, 3));
  CHECK(!host().error(again.handle));
  CHECK(message_of(host().error(after.handle)) == "the first one");
}

TEST_CASE("contract: a wait passes the error on to the other host stream, and only a wait does") {
  TestStream failing(host()), waiting(host()), apart(host()), poisoned(host());
  TestEvent event(host()), passed_on(host()), untouched(host());
  TestMemory memory(host(), MemoryKind::host, 1);
  host().fill(memory.range.address, 1, memory.range.bytes, waiting.handle);
  waiting.finish();
  SlowWork slow(host(), failing.handle);
  host().launch(failing.handle, std::make_unique<Call>([] { throw std::runtime_error("lost"); }));
  host().record(event.handle, failing.handle);
  host().wait(waiting.handle, event.handle);
  host().fill(memory.range.address, 2, memory.range.bytes, waiting.handle);
  host().record(passed_on.handle, waiting.handle);
  host().record(untouched.handle, apart.handle);
  host().launch(poisoned.handle, std::make_unique<Call>([] { throw std::runtime_error("own"); }));
  host().wait(poisoned.handle, event.handle);
  slow.release();

  passed_on.finish();
  CHECK(message_of(host().error(passed_on.handle)) == "lost");
  CHECK(!host().error(untouched.handle));
  CHECK(error_of_sync(failing.handle) == "lost");
  CHECK(error_of_sync(waiting.handle) == "lost");  // each stream has its own
  CHECK(error_of_sync(poisoned.handle) == "own");  // the first one
  CHECK(memory.all(waiting.handle, 1));
  apart.finish();
}
