// order::Stream: reuse, foreign streams, the bound on what is unmarked, errors.
#include "order_fixture.hpp"

#include <penstock/stream.hpp>

#include <optional>
#include <set>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;
using order::Point;

namespace {

Ref<order::Stream> make() { return order::Stream::make(Device::cpu()); }

}  // namespace

TEST_CASE("order stream: a dropped one is used again when idle, with a new id") {
  std::set<std::uint64_t> ids;
  std::set<StreamHandle> handles;
  for (int i = 0; i < 200; ++i) {
    const auto stream = make();
    CHECK(ids.insert(stream->id()).second);
    handles.insert(stream->handle());
    launch(stream->handle(), [] {});
    static_cast<void>(stream->use());
    REQUIRE(stream->sync(in_a_minute()));
  }
  CHECK(handles.size() < 10);

  // One that is busy, or that failed unnoticed, is not.
  auto busy = make();
  const StreamHandle handle = busy->handle();
  SlowWork slow(host(), handle);
  busy = {};
  auto failed = make();
  const StreamHandle failed_handle = failed->handle();
  launch(failed_handle, [] { throw std::runtime_error("nobody looks"); });
  const Point point = failed->use();
  REQUIRE(eventually([&] {
    static_cast<void>(order::mark_of(point));
    return order::is_complete(point);
  }));
  failed = {};
  std::vector<Ref<order::Stream>> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(make());
    CHECK(streams.back()->sync(in_a_minute()));
    if (i > 0) continue;
    CHECK(streams.back()->handle() != handle);
    CHECK(streams.back()->handle() != failed_handle);
  }
}

TEST_CASE("order stream: a foreign one is found by the driver's id, whatever its handle") {
  const StreamHandle handle = host().create_stream(0, 0);
  const auto native = std::uintptr_t(handle);
  {
    auto kept = std::make_shared<int>(0);
    const auto first = order::Stream::wrap(Device::cpu(), native, kept);
    CHECK(first->is_foreign());
    const auto again = order::Stream::wrap(Device::cpu(), native);
    CHECK(first == again);
    CHECK(kept.use_count() == 2);

    // Work that others put there unseen: each edge has a mark of its own.
    SlowWork slow(host(), handle);
    const Point point = first->use();
    const auto other = make();
    other->wait(point);
    std::atomic<int> unseen{0};
    launch(handle, [&] { unseen = 1; });
    other->wait(*first->mark());
    int seen = 0;
    launch(other->handle(), [&] { seen = unseen; });
    static_cast<void>(other->use());
    slow.release();
    REQUIRE(other->sync(in_a_minute()));
    CHECK(seen == 1);
    CHECK(kept.use_count() == 2);
  }
  const std::uint64_t old_id = order::Stream::wrap(Device::cpu(), native)->id();
  CHECK(order::Stream::wrap(Device::cpu(), native)->id() > old_id);
  host().destroy_stream(handle);

  // Found and dropped by many threads at once.
  const StreamHandle shared = host().create_stream(0, 0);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < scaled(2000); ++i) {
        const auto one = order::Stream::wrap(Device::cpu(), std::uintptr_t(shared));
        const auto two = order::Stream::wrap(Device::cpu(), std::uintptr_t(shared));
        if (one != two || one->handle() != shared) ++wrong;
        static_cast<void>(one->use());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  host().destroy_stream(shared);
}

TEST_CASE("order stream: unmarked uses are marked once they pass 64 MB") {
  const auto stream = make();
  const std::uint64_t first = stream->use().mark;
  const auto number = [&](std::int64_t bytes) { return stream->use(bytes).mark - first; };
  constexpr std::int64_t kMegabyte = 1 << 20;
  CHECK(number(40 * kMegabyte) == 0);
  CHECK(number(24 * kMegabyte) == 0);  // 64: not past it
  CHECK(number(kMegabyte) == 0);       // past it: marked after this use
  CHECK(number(0) == 1);
  CHECK(number(64 * kMegabyte) == 1);
  CHECK(number(1) == 1);
  CHECK(number(1) == 2);
}

TEST_CASE("order stream: after its error was raised a stream records clean events again") {
  const auto stream = make(), other = make(), third = make();
  launch(stream->handle(), [] { throw std::runtime_error("once"); });
  const Point point = stream->use();
  const auto failed = stream->mark();
  CHECK(thrown_by([&] { static_cast<void>(stream->sync(kNever)); }) == "once");
  CHECK(stream->sync(kNever));
  const auto clean = stream->mark();
  CHECK(message_of(host().error(clean->event())).empty());
  other->wait(*clean);
  CHECK(other->sync(kNever));
  // The point of the work that failed stays failed, for whoever comes late.
  CHECK(message_of(host().error(failed->event())) == "once");
  third->wait(point);
  CHECK(thrown_by([&] { static_cast<void>(third->sync(kNever)); }) == "once");
  CHECK(thrown_by([&] { static_cast<void>(order::sync(point, kNever)); }) == "once");
}

TEST_CASE("order stream: an open use is whatever is there when somebody asks") {
  const auto stream = make(), early = make(), late = make();
  SlowWork slow(host(), stream->handle());
  const Point open = stream->use_open();
  CHECK_FALSE(order::is_complete(open));
  early->wait(open);
  std::atomic<int> value{0};
  SlowWork slower(host(), stream->handle());
  launch(stream->handle(), [&] { value = 1; });
  late->wait(open);
  int seen_early = -1, seen_late = -1;
  launch(early->handle(), [&] { seen_early = value; });
  launch(late->handle(), [&] { seen_late = value; });
  slow.release();
  REQUIRE(host().sync_stream(early->handle(), in_a_minute()));
  slower.release();
  REQUIRE(host().sync_stream(late->handle(), in_a_minute()));
  CHECK(seen_early == 0);
  CHECK(seen_late == 1);
  CHECK(stream->slot().covers(open));  // its own stream need not wait
  CHECK_FALSE(late->slot().covers(open));
}

TEST_CASE("order stream: public events and streams; what is dropped goes on") {
  std::optional<SlowWork> slow;
  std::atomic<bool> ran{false};
  const Event end = [&] {
    const Stream stream{Device::cpu()};
    const Event nothing = stream.record();
    CHECK(nothing.query());
    nothing.sync();
    slow.emplace(host(), stream.impl().handle());
    return stream.launch([&] { ran = true; });
  }();
  CHECK_FALSE(end.sync_until(0));
  CHECK_FALSE(end.query());
  CHECK_FALSE(ran);
  slow->release();
  end.sync();
  CHECK(ran);
  CHECK(end.query());

  const Stream a{Device::cpu()}, b{Device::cpu()};
  const Event before = a.record();
  const Event failing = a.launch([] { throw std::runtime_error("x"); });
  before.sync();
  CHECK_THROWS_WITH(failing.sync(), "x");
  CHECK_THROWS_WITH(failing.sync(), "x");  // an event keeps what it captured
  b.wait(a);
  CHECK_THROWS_WITH(b.sync(), "x");
  b.sync();
  CHECK_THROWS_WITH(a.sync(), "x");
  a.sync();
  a.record().sync();
  CHECK(a.query());
  CHECK_THROWS_AS(a.launch([&] { a.sync(); }).sync(), StreamError);
  CHECK_THROWS_AS(a.sync(), StreamError);
}
