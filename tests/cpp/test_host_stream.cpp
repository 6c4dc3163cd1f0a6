// Host streams beyond the device contract: waits that cross, blocked tasks, deadlocks that are
// refused, errors, deadlines, and all of it again under other schedules.
#include "host_fixture.hpp"

#include "base/random.hpp"

#include <penstock/error.hpp>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

using namespace penstock;
using namespace penstock::backend;
using namespace penstock::backend::test;

namespace {

// A lane with one thread.
class ThreadLane final : public Lane {
 public:
  ThreadLane() : thread_([this] { loop(); }) {}
  ~ThreadLane() override {
    {
      const std::lock_guard guard(mutex_);
      stopping_ = true;
    }
    posted_some_.notify_one();
    thread_.join();
  }
  void post(host_detail::Strand& strand) override {
    const std::lock_guard guard(mutex_);
    posted_.push_back(Ref<host_detail::Strand>::share(&strand));
    posted_some_.notify_one();
  }
  [[nodiscard]] bool is_inside() const override {
    return std::this_thread::get_id() == thread_.get_id();
  }

 private:
  void loop() {
    std::unique_lock guard(mutex_);
    for (;;) {
      posted_some_.wait(guard, [this] { return stopping_ || !posted_.empty(); });
      if (posted_.empty()) return;
      const auto strand = posted_.front();
      posted_.erase(posted_.begin());
      guard.unlock();
      strand->run_on_lane();
      guard.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable posted_some_;
  std::vector<Ref<host_detail::Strand>> posted_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

TEST_CASE("host stream: crossing waits of 64 streams end, and every task comes after its past") {
  constexpr std::size_t kStreams = 64;
  const int operations = scaled(6000);
  Random random(17);
  std::vector<std::unique_ptr<TestStream>> streams;
  for (std::size_t i = 0; i < kStreams; ++i)
    streams.push_back(std::make_unique<TestStream>(host()));

  // What each stream has to be behind, by the rules of events; the task looks whether it is.
  using Times = std::array<std::uint32_t, kStreams>;
  std::array<std::atomic<std::uint32_t>, kStreams> done{};
  std::vector<Times> behind(kStreams, Times{});
  std::vector<std::unique_ptr<TestEvent>> events;
  std::vector<Times> captured;
  std::atomic<int> early{0};
  for (int i = 0; i < operations; ++i) {
    const std::size_t s = random.below(kStreams);
    const StreamHandle stream = streams[s]->handle;
    switch (random.below(4)) {
      case 0: {  // a new event, or an old one recorded again
        const std::size_t e = random.below(40);
        if (e >= events.size()) {
          events.push_back(std::make_unique<TestEvent>(host()));
          captured.push_back({});
        }
        const std::size_t which = std::min(e, events.size() - 1);
        host().record(events[which]->handle, stream);
        captured[which] = behind[s];
        break;
      }
      case 1:
        if (!events.empty()) {
          const std::size_t e = random.below(events.size());
          host().wait(stream, events[e]->handle);
          for (std::size_t k = 0; k < kStreams; ++k) {
            behind[s][k] = std::max(behind[s][k], captured[e][k]);
          }
        }
        break;
      default:
        launch(stream, [&done, &early, s, past = behind[s]] {
          for (std::size_t k = 0; k < kStreams; ++k) {
            if (done[k].load() < past[k]) early.fetch_add(1);
          }
          done[s].fetch_add(1);
        });
        ++behind[s][s];
    }
  }
  for (const auto& stream : streams) CHECK(sync(stream->handle));
  CHECK(early == 0);
  for (std::size_t s = 0; s < kStreams; ++s) CHECK(done[s] == behind[s][s]);
}

TEST_CASE("host stream: tasks run one at a time and in order while threads push and help") {
  TestStream stream(host());
  std::atomic<bool> inside{false};
  std::atomic<int> overlapping{0};
  int next = 0;
  bool in_order = true;
  const int count = scaled(20'000);
  std::atomic<bool> over{false};
  std::vector<std::thread> helpers;
  for (int i = 0; i < 2; ++i) {
    helpers.emplace_back([&] {
      while (!over.load()) static_cast<void>(sync(stream.handle));
    });
  }
  for (int i = 0; i < count; ++i) {
    launch(stream.handle, [&, i] {
      if (inside.exchange(true)) overlapping.fetch_add(1);
      in_order = in_order && next == i;
      ++next;
      inside.store(false);
    });
    if (i % 4 == 0) static_cast<void>(sync(stream.handle));
  }
  stream.finish();
  over.store(true);
  for (std::thread& helper : helpers) helper.join();
  CHECK(overlapping == 0);
  CHECK(in_order);
  CHECK(next == count);
}

TEST_CASE("host stream: a consumer runs beside its producer, which goes on") {
  if (exec::Pool::instance().workers() < 2) return;
  TestStream producer(host()), consumer(host());
  TestEvent ready(host());
  std::atomic<bool> consumed{false};
  std::atomic<bool> in_time{true};
  SlowWork slow(host(), producer.handle);
  launch(producer.handle, [] {});
  host().record(ready.handle, producer.handle);
  launch(producer.handle, [&] { in_time = eventually([&] { return consumed.load(); }); });
  host().wait(consumer.handle, ready.handle);
  launch(consumer.handle, [&] { consumed = true; });
  // The other workers are asleep by now: nobody looks for work.
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  slow.release();
  REQUIRE(eventually([&] { return host().query(ready.handle); }));
  REQUIRE(eventually([&] { return consumed.load() || !in_time; }));
  producer.finish();
  consumer.finish();
  CHECK(in_time);
}

TEST_CASE("host stream: a consumer does not wait for what its producer is given meanwhile") {
  if (exec::Pool::instance().workers() < 2) return;
  Random random(3);
  for (int round = 0; round < scaled(2000); ++round) {
    TestStream producer(host()), consumer(host());
    TestEvent ready(host());
    std::atomic<bool> go{false}, consumed{false};
    bool in_time = false;
    launch(producer.handle, [&] {
      while (!go) cpu_relax();
    });
    host().record(ready.handle, producer.handle);
    host().wait(consumer.handle, ready.handle);
    launch(consumer.handle, [&] { consumed = true; });
    exec_test::spin_for(200'000);  // the other workers are asleep by now
    go = true;
    // About when the producer, with nothing left to do, hands its worker to the consumer.
    exec_test::spin_for(static_cast<std::int64_t>(random.below(3'000)));
    launch(producer.handle, [&] { in_time = eventually([&] { return consumed.load(); }); });
    CHECK(eventually([&] { return consumed.load(); }, 2 * exec_test::kPatience));
    producer.finish();
    consumer.finish();
    REQUIRE(in_time);
  }
}

TEST_CASE("host stream: a job that an event hands to the pool does not wait for the next task") {
  if (exec::Pool::instance().workers() < 2) return;
  struct Told : Completion {
    exec_test::Task* job = nullptr;
  };
  for (const int before : {1, 16}) {  // within a turn of the stream, and at its end
    TestStream stream(host());
    TestEvent ready(host());
    std::atomic<bool> ran{false};
    bool in_time = false;
    exec_test::Task job([&] { ran = true; });
    Told told;
    told.job = &job;
    told.fire = [](Completion* completion) {
      exec::Pool::instance().submit(static_cast<Told*>(completion)->job, exec::Hint::light);
    };
    SlowWork slow(host(), stream.handle);
    for (int i = 0; i < before; ++i) launch(stream.handle, [] {});
    host().record(ready.handle, stream.handle);
    REQUIRE(host().notify(ready.handle, told));
    launch(stream.handle, [&] { in_time = eventually([&] { return ran.load(); }); });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    slow.release();
    CHECK(eventually([&] { return ran.load(); }, 2 * exec_test::kPatience));
    stream.finish();
    CHECK(in_time);
  }
}

TEST_CASE("host stream: what a task queues elsewhere runs while the task goes on") {
  if (exec::Pool::instance().workers() < 2) return;
  TestStream outer(host()), inner(host());
  std::atomic<bool> ran{false}, ended{false};
  bool in_time = false;
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  launch(outer.handle, [&] {
    launch(inner.handle, [&] { ran = true; });
    in_time = eventually([&] { return ran.load(); });
    ended = true;
  });
  REQUIRE(eventually([&] { return ended.load(); }));
  CHECK(in_time);
  inner.finish();
  outer.finish();
}

TEST_CASE("host stream: a lane's tasks run on its thread, also those that one of them waits for") {
  ThreadLane lane;
  TestStream outer(host()), inner(host()), plain(host());
  std::atomic<int> on_lane{0};
  launch(plain.handle, [] {});
  TestEvent ready(host());
  host().record(ready.handle, plain.handle);
  for (int i = 0; i < 50; ++i) {
    launch(inner.handle, [&] { on_lane += lane.is_inside() ? 1 : 0; }, &lane);
    host().wait(inner.handle, ready.handle);
    launch(
        outer.handle,
        [&] {
          on_lane += lane.is_inside() ? 1 : 0;
          static_cast<void>(sync(inner.handle));
        },
        &lane);
    launch(outer.handle, [&] { on_lane += lane.is_inside() ? 100000 : 0; });
  }
  outer.finish();
  inner.finish();
  CHECK(on_lane % 100000 == 100);
}

TEST_CASE("host stream: the wait of a user's thread runs no task beyond what it waits for") {
  if (!is_plain_schedule()) return;  // nobody helps with a seed, and a delay needs a worker
  BusyWorkers busy;
  TestStream stream(host());
  TestEvent first(host());
  std::atomic<bool> returned{false};
  bool in_time = false;
  launch(stream.handle, [] {});
  host().record(first.handle, stream.handle);
  launch(stream.handle, [&] { in_time = eventually([&] { return returned.load(); }); });
  CHECK(sync(first.handle));  // by helping: the workers are busy
  returned = true;
  busy.release();
  stream.finish();
  CHECK(in_time);
}

TEST_CASE("host stream: a deadline is kept while all workers are busy and the task is long") {
  BusyWorkers busy;
  TestStream stream(host());
  TestEvent event(host());
  std::atomic<bool> returned{false};
  bool in_time = false;
  launch(stream.handle, [&] { in_time = eventually([&] { return returned.load(); }); });
  host().record(event.handle, stream.handle);
  CHECK_FALSE(host().sync(event.handle, 0));
  CHECK_FALSE(host().sync(event.handle, now_ns() + 3'000'000));
  CHECK_FALSE(host().sync_stream(stream.handle, now_ns() + 3'000'000));
  returned = true;
  busy.release();
  stream.finish();
  CHECK(in_time);
}

TEST_CASE("host stream: a dropped stream finishes, and a record of the context waits for it") {
  TestEvent everything(host()), end(host());
  TestStream waiting(host());
  std::atomic<int> ran{0};
  const StreamHandle dropped = host().create_stream(0, 0);
  SlowWork slow(host(), dropped);
  for (int i = 0; i < 100; ++i) launch(dropped, [&] { ++ran; });
  host().destroy_stream(dropped);
  host().record_context(everything.handle, 0);
  CHECK_FALSE(host().query(everything.handle));
  host().wait(waiting.handle, everything.handle);
  int seen = 0;
  launch(waiting.handle, [&] { seen = ran.load(); });
  slow.release();
  waiting.finish();
  CHECK(seen == 100);
  everything.finish();
}

TEST_CASE("host stream: events are used by many threads at once") {
  constexpr int kThreads = 4;
  TestStream streams[kThreads] = {TestStream(host()), TestStream(host()), TestStream(host()),
                                  TestStream(host())};
  std::atomic<std::int64_t> done[kThreads] = {};
  std::atomic<int> early{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      TestEvent event(host());
      Random random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < scaled(3000); ++i) {
        const auto a = random.below(kThreads), b = random.below(kThreads);
        launch(streams[a].handle, [&done, a] { ++done[a]; });
        host().record(event.handle, streams[a].handle);
        if (a != b) host().wait(streams[b].handle, event.handle);
        if (random.below(16) != 0) continue;
        const bool was_done = host().query(event.handle);
        static_cast<void>(sync(event.handle));
        if (was_done && !host().query(event.handle)) ++early;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::int64_t total = 0;
  for (int t = 0; t < kThreads; ++t) {
    streams[t].finish();
    total += done[t];
  }
  CHECK(early == 0);
  CHECK(total == std::int64_t{kThreads} * scaled(3000));
}

TEST_CASE("host stream: all of this once more under other schedules") {
  const auto again = [](std::vector<std::string> environment) {
    environment.emplace_back("PENSTOCK_TEST_SCALE=0.2");
    return run_again({"--test-case=host stream:*,host errors:*",
                      "--test-case-exclude=*once more under other schedules*"},
                     environment);
  };
  CHECK(again({"PENSTOCK_WORKERS=1"}) == "");
  CHECK(again({"PENSTOCK_WORKERS=3", "PENSTOCK_FAULT=block_once"}) == "");
  CHECK(again({"PENSTOCK_WORKERS=1", "PENSTOCK_FAULT=block_once"}) == "");
  CHECK(again({"PENSTOCK_WORKERS=2", "PENSTOCK_SEED=1"}) == "");
  CHECK(again({"PENSTOCK_WORKERS=1", "PENSTOCK_SEED=2"}) == "");
  CHECK(again({"PENSTOCK_WORKERS=2", "PENSTOCK_SEED=3", "PENSTOCK_FAULT=block_once"}) == "");
}
