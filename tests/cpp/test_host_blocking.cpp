// Tasks of host streams that block: they help, whatever the number of workers, and are refused
// where they would wait for themselves.
#include "host_fixture.hpp"

#include <penstock/error.hpp>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;

namespace {

bool is_deadlock(const std::string& message) {
  return message.find("would wait for itself") != std::string::npos;
}

}  // namespace

TEST_CASE("host stream: a blocked task helps, through chains, whatever the number of workers") {
  constexpr int kDepth = 40;
  std::vector<std::unique_ptr<TestStream>> streams;
  for (int i = 0; i <= kDepth; ++i) streams.push_back(std::make_unique<TestStream>(host()));
  std::atomic<int> ran{0};
  std::atomic<bool> all_in_order{true};
  // Each task waits, blocked, for the next stream, whose work waits for one more stream by an
  // event.
  for (int i = kDepth; i >= 0; --i) {
    launch(streams[static_cast<std::size_t>(i)]->handle, [&, i] {
      if (i < kDepth) {
        const auto& next = *streams[static_cast<std::size_t>(i + 1)];
        if (!sync(next.handle) || ran.load() < kDepth - i) all_in_order = false;
      }
      ran.fetch_add(1);
    });
    if (i > 0 && i % 3 == 0) {
      TestEvent event(host());
      host().record(event.handle, streams[static_cast<std::size_t>(i)]->handle);
      host().wait(streams[static_cast<std::size_t>(i - 1)]->handle, event.handle);
    }
  }
  CHECK(sync(streams[0]->handle));
  CHECK(ran == kDepth + 1);
  CHECK(all_in_order);
}

TEST_CASE("host stream: a task that waits for its own stream is told so") {
  TestStream stream(host()), other(host());
  TestEvent before(host()), itself(host()), through(host());
  std::string own, event, chain;
  bool past = false;
  SlowWork slow(host(), stream.handle);
  host().record(before.handle, stream.handle);
  launch(stream.handle, [&] {
    past = host().sync(before.handle, in_a_minute());
    own = error_of_sync(stream.handle);
    event = thrown_by([&] { static_cast<void>(sync(itself.handle)); });
    chain = thrown_by([&] { static_cast<void>(sync(through.handle)); });
  });
  host().record(itself.handle, stream.handle);
  host().wait(other.handle, itself.handle);
  launch(other.handle, [] {});
  host().record(through.handle, other.handle);
  slow.release();
  stream.finish();
  other.finish();
  CHECK(past);  // what was over before the task began is no deadlock
  CHECK(is_deadlock(own));
  CHECK(is_deadlock(event));
  CHECK(is_deadlock(chain));
}

TEST_CASE("host stream: blocked tasks that wait for one another are refused, not hung") {
  for (int round = 0; round < scaled(100); ++round) {
    TestStream first(host()), second(host()), third(host());
    TestEvent ends[3] = {TestEvent(host()), TestEvent(host()), TestEvent(host())};
    const StreamHandle handles[] = {first.handle, second.handle, third.handle};
    SlowWork slow(host(), first.handle);
    TestEvent begin(host());
    host().record(begin.handle, first.handle);
    host().wait(second.handle, begin.handle);
    host().wait(third.handle, begin.handle);
    std::string messages[3];
    for (int i = 0; i < 3; ++i) {
      launch(handles[i], [&, i] {
        messages[i] = thrown_by([&] { static_cast<void>(sync(ends[(i + 1) % 3].handle)); });
      });
      host().record(ends[i].handle, handles[i]);
    }
    slow.release();
    for (const StreamHandle stream : handles) REQUIRE(sync(stream));
    int refused = 0;
    for (const std::string& message : messages) refused += is_deadlock(message) ? 1 : 0;
    CHECK(refused >= 1);
  }
}

TEST_CASE("host stream: what follows the awaited work may wait for the waiter") {
  for (int round = 0; round < scaled(200); ++round) {
    TestStream waiter(host()), worker(host());
    TestEvent first(host()), waiter_end(host());
    std::string early, late;
    SlowWork slow(host(), waiter.handle);
    launch(worker.handle, [] {});
    host().record(first.handle, worker.handle);
    launch(waiter.handle,
           [&] { early = thrown_by([&] { static_cast<void>(sync(first.handle)); }); });
    host().record(waiter_end.handle, waiter.handle);
    if (round % 2 == 0) host().wait(worker.handle, waiter_end.handle);
    launch(worker.handle,
           [&] { late = thrown_by([&] { static_cast<void>(sync(waiter_end.handle)); }); });
    slow.release();
    REQUIRE(sync(worker.handle));
    REQUIRE(sync(waiter.handle));
    CHECK(early == "");
    CHECK(late == "");
  }
}

TEST_CASE("host stream: a helped task is inside its own stream only") {
  TestStream outer(host()), inner(host());
  bool outer_inside = false, inner_inside = false, inner_in_outer = true;
  SlowWork slow(host(), outer.handle);
  launch(outer.handle, [&] {
    outer_inside = host().runs_here(outer.handle) && !host().runs_here(inner.handle);
    launch(inner.handle, [&] {
      inner_inside = host().runs_here(inner.handle);
      inner_in_outer = host().runs_here(outer.handle);
    });
    static_cast<void>(sync(inner.handle));
  });
  {
    // The one worker, or all of them, may be busy: the helper is the blocked task itself.
    slow.release();
    outer.finish();
  }
  CHECK(outer_inside);
  CHECK(inner_inside);
  CHECK_FALSE(inner_in_outer);
  CHECK_FALSE(host().runs_here(outer.handle));
}
