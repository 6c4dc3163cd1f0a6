// What a failing task does to its host stream, to events and to streams that wait for them.
#include "host_fixture.hpp"

#include <stdexcept>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;

namespace {

void fail_with(StreamHandle stream, std::string text) {
  launch(stream, [text] { throw std::runtime_error(text); });
}

// Counts which of its two ends came.
struct Ends {
  std::atomic<int> ran{0};
  std::atomic<int> skipped{0};
  std::atomic<int> deleted{0};
};
class EndsTask final : public HostTask {
 public:
  EndsTask(Ends& ends, std::string expected) : ends_(ends), expected_(std::move(expected)) {}
  ~EndsTask() override { ++ends_.deleted; }
  void run() override { ++ends_.ran; }
  void skip(const std::exception_ptr& error) override {
    if (message_of(error) == expected_) ++ends_.skipped;
  }

 private:
  Ends& ends_;
  std::string expected_;
};

void count_ends(StreamHandle stream, Ends& ends, const char* expected) {
  host().launch(stream, std::make_unique<EndsTask>(ends, expected));
}

}  // namespace

TEST_CASE(
    "host errors: later tasks are skipped with the first error, then the stream works again") {
  TestStream stream(host());
  Ends before, after, again;
  TestEvent first(host()), second(host()), third(host());
  SlowWork slow(host(), stream.handle);
  count_ends(stream.handle, before, "");
  host().record(first.handle, stream.handle);
  fail_with(stream.handle, "one");
  for (int i = 0; i < 20; ++i) count_ends(stream.handle, after, "one");
  fail_with(stream.handle, "two");
  host().record(second.handle, stream.handle);
  slow.release();

  REQUIRE(host().sync(first.handle, in_a_minute()));
  CHECK(error_of(first.handle) == "");
  REQUIRE(host().sync(second.handle, in_a_minute()));
  CHECK(error_of(second.handle) == "one");
  CHECK(error_of_sync(stream.handle) == "one");
  CHECK(before.ran == 1);
  CHECK(after.ran == 0);
  CHECK(after.skipped == 20);
  CHECK(after.deleted == 20);

  // Cleared: a record that is made now has no error, with work since or without.
  host().record(third.handle, stream.handle);
  CHECK(error_of(third.handle) == "");
  TestStream other(host());
  host().wait(other.handle, third.handle);
  count_ends(other.handle, again, "");
  other.finish();
  count_ends(stream.handle, again, "");
  stream.finish();
  CHECK(again.ran == 2);
  CHECK(error_of(second.handle) == "one");  // what an event captured does not change
}

TEST_CASE("host errors: a second failure after the first was cleared is its own") {
  TestStream stream(host());
  std::vector<std::unique_ptr<TestEvent>> events;
  for (int i = 0; i < 5; ++i) {
    fail_with(stream.handle, std::to_string(i));
    events.push_back(std::make_unique<TestEvent>(host()));
    host().record(events.back()->handle, stream.handle);
    CHECK(error_of_sync(stream.handle) == std::to_string(i));
    stream.finish();
    events.push_back(std::make_unique<TestEvent>(host()));
    host().record(events.back()->handle, stream.handle);
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(error_of(events[i]->handle) == (i % 2 == 0 ? std::to_string(i / 2) : ""));
  }
}

TEST_CASE("host errors: they pass through chains of events, and each stream raises for itself") {
  TestStream a(host()), b(host()), c(host()), clean(host());
  TestEvent from_a(host()), from_b(host()), early(host());
  Ends in_b, in_c, in_clean;
  SlowWork slow(host(), a.handle);
  host().record(early.handle, a.handle);
  fail_with(a.handle, "origin");
  host().record(from_a.handle, a.handle);
  host().wait(b.handle, from_a.handle);
  count_ends(b.handle, in_b, "origin");
  host().record(from_b.handle, b.handle);
  host().wait(c.handle, from_b.handle);
  count_ends(c.handle, in_c, "origin");
  host().wait(clean.handle, early.handle);
  count_ends(clean.handle, in_clean, "");
  slow.release();

  clean.finish();
  CHECK(in_clean.ran == 1);
  CHECK(error_of_sync(c.handle) == "origin");
  CHECK(error_of_sync(a.handle) == "origin");
  c.finish();
  a.finish();
  CHECK(error_of_sync(b.handle) == "origin");
  CHECK(in_b.skipped == 1);
  CHECK(in_c.skipped == 1);

  // Who waits for the old event now still gets its error; who waits for a new one does not.
  Ends late, renewed;
  host().wait(clean.handle, from_b.handle);
  count_ends(clean.handle, late, "origin");
  CHECK(error_of_sync(clean.handle) == "origin");
  CHECK(late.skipped == 1);
  host().record(from_b.handle, b.handle);
  host().wait(clean.handle, from_b.handle);
  count_ends(clean.handle, renewed, "");
  clean.finish();
  CHECK(renewed.ran == 1);
}

TEST_CASE("host errors: of two that come through waits the first one wins") {
  TestStream one(host()), two(host()), both(host());
  TestEvent end_of_one(host()), end_of_two(host()), everything(host());
  SlowWork slow(host(), both.handle);
  fail_with(one.handle, "one");
  fail_with(two.handle, "two");
  host().record(end_of_one.handle, one.handle);
  host().record(end_of_two.handle, two.handle);
  host().wait(both.handle, end_of_two.handle);
  host().wait(both.handle, end_of_one.handle);
  host().record_context(everything.handle, 0);
  slow.release();
  CHECK(error_of_sync(both.handle) == "two");
  REQUIRE(host().sync(everything.handle, in_a_minute()));
  CHECK(error_of(everything.handle) != "");
  CHECK(error_of_sync(one.handle) == "one");
  CHECK(error_of_sync(two.handle) == "two");
  both.finish();
}

TEST_CASE("host errors: one that leaves skip() changes nothing, and nothing is lost in a rush") {
  struct Thrower final : HostTask {
    void run() override {}
    void skip(const std::exception_ptr&) override { throw std::runtime_error("from skip"); }
  };
  TestStream stream(host());
  fail_with(stream.handle, "first");
  host().launch(stream.handle, std::make_unique<Thrower>());
  CHECK(error_of_sync(stream.handle) == "first");
  stream.finish();

  // Failing, waiting and syncing by four threads: every task has exactly one end.
  TestStream shared(host());
  Ends ends;
  std::atomic<int> raised{0};
  const int each = scaled(1000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      TestStream own(host());
      TestEvent event(host());
      for (int i = 0; i < each; ++i) {
        if (i % 50 == t) fail_with(shared.handle, "x");
        count_ends(shared.handle, ends, "x");
        if (i % 8 == 0) {
          host().record(event.handle, shared.handle);
          host().wait(own.handle, event.handle);
          if (!error_of_sync(own.handle).empty()) ++raised;
        }
        if (i % 20 == 0 && !error_of_sync(shared.handle).empty()) ++raised;
      }
      static_cast<void>(error_of_sync(own.handle));
    });
  }
  for (std::thread& thread : threads) thread.join();
  static_cast<void>(error_of_sync(shared.handle));
  shared.finish();
  CHECK(ends.ran + ends.skipped == 4 * each);
  CHECK(ends.deleted == 4 * each);
  CHECK(raised > 0);
}
