// The race checker: what orders two accesses, and what does not.
#include "check_fixture.hpp"
#include "order/gate.hpp"

#include <thread>

using namespace penstock;
using namespace penstock::check_test;

TEST_CASE_FIXTURE(Scene, "check: what orders: a wait for a stream, an event, a tensor, the host") {
  touch(x, a, kWrite);
  const Event before = a.record();
  SUBCASE("a stream") {
    b.wait(a);
    touch(x, b, kWrite);
  }
  SUBCASE("an event") {
    b.wait(before);
    touch(x, b, kWrite);
  }
  SUBCASE("the tensor") {
    b.wait(x);
    touch(x, b, kWrite);
  }
  SUBCASE("a view of it, of other bytes even") {
    touch(x.slice(0, 0, 1), a, kWrite);
    b.wait(x.slice(0, 4, 5));
    touch(x, b, kWrite);
  }
  SUBCASE("work that is given the tensor") {
    b.launch([] {}, writes(x));
  }
  SUBCASE("uses() that waits") { uses(x, b, true); }
  SUBCASE("the host waits for the stream") {
    a.sync();
    touch(x, b, kWrite);
  }
  SUBCASE("the host asks until the stream is idle") {
    REQUIRE(eventually([&] { return a.query(); }));
    touch(x, b, kWrite);
  }
  SUBCASE("the host waits for the event") {
    before.sync();
    touch(x, b, kWrite);
    touch_here(x, kWrite);
    CHECK(count() == 1);  // the host did not wait for b
    check::clear_races();
  }
  SUBCASE("the host asks until the event is over") {
    REQUIRE(eventually([&] { return before.query(); }));
    touch(x, b, kWrite);
  }
  SUBCASE("the host waits for the tensor") {
    x.sync();
    touch(x, b, kWrite);
    b.sync();
    touch_here(x, kWrite);
    touch(x, c, kWrite);  // enqueued by the host after its own access
  }
  SUBCASE("through another stream") {
    b.wait(before);
    c.wait(b);
    touch(x, c, kWrite);
  }
  SUBCASE("through another stream and the host") {
    b.wait(before);
    b.record().sync();
    touch(x, c, kWrite);
  }
  SUBCASE("through another tensor") {
    touch(y, a, kWrite);
    b.launch([] {}, reads(y));
    touch(x, b, kWrite);
  }
  CHECK(count() == 0);
}

TEST_CASE_FIXTURE(Scene, "check: what does not order") {
  const Event too_early = a.record();
  touch(x, a, kWrite);
  std::int64_t expected = 1;
  SUBCASE("nothing") { touch(x, b, kWrite); }
  SUBCASE("an event recorded before") {
    b.wait(too_early);
    touch(x, b, kWrite);
  }
  SUBCASE("a wait the other way") {
    a.wait(b);
    touch(x, b, kWrite);
  }
  SUBCASE("a wait that came too late") {
    touch(x, b, kWrite);
    b.wait(a);
  }
  SUBCASE("a wait of another stream") {
    c.wait(a);
    touch(x, b, kWrite);
  }
  SUBCASE("a wait for another tensor") {
    touch(y, c, kWrite);
    b.wait(y);
    touch(x, b, kWrite);
  }
  SUBCASE("a reader's wait for the writes, before a write that conflicts with reads") {
    a.sync();
    touch(x, a, kRead);
    uses(x, b, false);
    touch(x, b, kWrite);
  }
  SUBCASE("that the work is over, when nobody waited for it") {
    std::atomic<bool> over{false};
    backend::test::launch(a.impl().handle(), [&] { over = true; });
    REQUIRE(eventually([&] { return over.load(); }));
    touch(x, b, kWrite);
  }
  SUBCASE("a mark that happened to cover it") {
    touch(y, a, kWrite);
    const order::Point in_y = a.impl().use();
    b.impl().wait(in_y);  // not by what the checker knows
    touch(x, b, kWrite);
  }
  SUBCASE("what another thread waited for") {
    std::thread([&] { a.sync(); }).join();
    touch(x, b, kWrite);
  }
  SUBCASE("the host, which is not behind a stream that it only enqueued on") {
    touch_here(x, kRead);
  }
  CHECK(count() == expected);
}

TEST_CASE_FIXTURE(Scene, "check: what the host did before it enqueued is ordered, on any stream") {
  touch_here(x, kWrite);
  touch(x, a, kRead);
  touch(x, b, kRead);
  CHECK(count() == 0);
  touch_here(x, kWrite);
  CHECK(count() == 2);
  // Threads among themselves are another tool's field, but a stream is no thread's.
  std::thread([&] {
    touch_here(y, kWrite);
    touch(y, b, kWrite);
  }).join();
  touch_here(y, kRead);
  CHECK(count() == 3);
}

TEST_CASE_FIXTURE(Scene, "check: order is as it was at the moment of each wait") {
  touch(x, a, kWrite);
  const Event first = a.record();
  touch(y, a, kWrite);
  b.wait(first);
  touch(x, b, kRead);
  CHECK(count() == 0);
  touch(y, b, kRead);  // written after the record
  CHECK(count() == 1);
  // A stream that joined it later, and one whose event was made before that.
  const Event of_b = b.record();
  b.wait(a);
  c.wait(of_b);
  touch(y, c, kRead);
  CHECK(count() == 2);
  c.wait(b);
  touch(y, c, kRead);
  CHECK(count() == 2);
}

TEST_CASE("check: threads that use their own streams and tensors, and one they share") {
  const Reports reports;
  const Tensor shared = Tensor::empty({64}, u8);
  constexpr int kThreads = 3;
  const int rounds = scaled(60);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const Stream one = new_stream(), two = new_stream();
      for (int i = 0; i < rounds; ++i) {
        const Tensor own = Tensor::empty({64}, u8, {}, one);
        one.launch([] {}, writes(own));
        two.launch([] {}, reads(own), reads(shared));
        if (i % 8 == 0) two.sync();
      }
      one.sync();
      two.sync();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(count() == 0);
}

TEST_CASE_FIXTURE(Scene, "check: inside a task, accesses belong to its stream at its place") {
  touch(x, a, kWrite);
  run_unseen(a, [&] {
    touch_here(x, kWrite);  // behind the one before, on the task's stream
    touch_here(y, kWrite);
  });
  CHECK(count() == 0);
  touch(x, a, kRead);
  CHECK(count() == 0);
  const Event after = a.record();
  touch(y, b, kRead);
  REQUIRE(count() == 1);
  CHECK(check::races().front().earlier.actor_name == "stream " + std::to_string(a.id()));
  c.wait(after);
  touch(y, c, kRead);  // behind the whole task
  CHECK(count() == 1);
  touch_here(y, kRead);  // and the thread is no task
  CHECK(count() == 2);
}

TEST_CASE_FIXTURE(Scene, "check: a task's declared accesses and those inside it are one") {
  std::atomic<bool> begin{false}, over{false};
  const Event end = a.launch(
      [&] {
        while (!begin) std::this_thread::yield();
        touch_here(x, kWrite);
        over = true;
      },
      writes(x));
  b.launch([] {}, writes(x));  // waits for the task
  begin = true;
  REQUIRE(eventually([&] { return over.load(); }));
  c.wait(end);
  b.sync();
  touch(x, c, kWrite);
  CHECK(count() == 0);
}

TEST_CASE_FIXTURE(Scene, "check: what a task enqueues is behind what the task did before") {
  run_unseen(a, [&] {
    touch_here(x, kWrite);
    touch(x, b, kWrite);
    CHECK(count() == 0);
    touch_here(y, kRead);
    touch(y, c, kWrite);
  });
  CHECK(count() == 0);
  touch(x, a, kRead);  // b's work is not behind the task's end, nor the other way round
  CHECK(count() == 1);
}

TEST_CASE_FIXTURE(Scene,
                  "check: what a task enqueues elsewhere is not behind the rest of the task") {
  run_unseen(a, [&] {
    touch(x, b, kRead);
    touch_here(x, kWrite);
  });
  CHECK(count() == 1);
}

TEST_CASE_FIXTURE(Scene, "check: what a task waits for counts for it and what it enqueues") {
  touch(x, b, kWrite);
  const Event of_b = b.record();
  run_unseen(a, [&] {
    of_b.sync();
    touch_here(x, kRead);
    touch(x, c, kRead);
  });
  CHECK(count() == 0);
  touch(x, a, kRead);  // not for the stream, whose order must not depend on when the task ran
  CHECK(count() == 1);
  run_unseen(a, [&] { touch_here(x, kRead); });  // but the next task is after this one
  CHECK(count() == 1);
}

TEST_CASE_FIXTURE(Scene, "check: a task does not wait for what is queued behind it") {
  std::atomic<bool> begin{false};
  const Event end = a.launch([&] {
    while (!begin) std::this_thread::yield();
    y.sync();  // its write comes later on this very stream
    touch(x, c, kWrite);
  });
  touch(x, a, kWrite);
  touch(y, a, kWrite);
  begin = true;
  end.sync();
  CHECK(count() == 1);
}

TEST_CASE_FIXTURE(Scene, "check: what a gate starts is ordered by the tensor that it is given") {
  struct Starter : order::Gate {
    explicit Starter(Scene& its)
        : Gate([](Gate* gate) {
            auto& self = *static_cast<Starter*>(gate);
            self.scene.b.launch([] {}, writes(self.scene.x));
            touch(self.scene.y, self.scene.b, kWrite);  // that the gate opened says nothing of it
            self.is_over = true;
          }),
          scene(its) {}
    Scene& scene;
    std::atomic<bool> is_over{false};
  };
  a.launch([] {}, writes(x));
  touch(y, c, kWrite);
  Starter gate(*this);
  order::PointWatch watch;
  order::watch(gate, a.impl().use(), watch);
  gate.drop();
  REQUIRE(eventually([&] { return gate.is_over.load(); }));
  REQUIRE(count() == 1);
  CHECK(check::races().front().earlier.actor_name == "stream " + std::to_string(c.id()));
}
