// The race checker: what is a race, what is kept of whom, and what a report says.
#include "check_fixture.hpp"

#include <regex>
#include <thread>

using namespace penstock;
using namespace penstock::check_test;

TEST_CASE_FIXTURE(Scene, "check: two reads are no race; any two of which one writes are") {
  for (const bool first : {kRead, kWrite}) {
    for (const bool second : {kRead, kWrite}) {
      CAPTURE(first);
      CAPTURE(second);
      check::clear_races();
      const Tensor tensor = Tensor::empty({4}, f32);
      touch(tensor, a, first);
      touch(tensor, b, second);
      REQUIRE(count() == (first || second ? 1 : 0));
      if (count() == 0) continue;
      const check::Race race = check::races().front();
      CHECK(race.earlier.is_write == first);
      CHECK(race.later.is_write == second);
      touch(tensor, a, kRead);  // ordered behind the first by its stream
      CHECK(count() == (second ? 2 : 1));
    }
  }
}

TEST_CASE_FIXTURE(Scene, "check: each pair is reported once, with every access that it is with") {
  touch(x, a, kWrite);
  touch(x, b, kRead);
  touch(x, c, kRead);
  CHECK(count() == 2);
  touch(x, c, kWrite);  // with the write and the read of the two others
  CHECK(count() == 4);
  CHECK(texts.size() == 4);
  // None of them is taken as order by those that come later.
  touch(x, a, kRead);
  CHECK(count() == 5);
}

TEST_CASE_FIXTURE(Scene, "check: views that share no byte don't race, others do") {
  touch(x.slice(1, 0, 8), a, kWrite);
  touch(x.slice(1, 8, 16), b, kWrite);
  touch(x.slice(0, 0, 8, 2).slice(1, 12, 16), a, kRead);  // in b's half
  CHECK(count() == 1);
  touch(x.slice(1, 7, 8), b, kRead);
  CHECK(count() == 2);
  const Tensor cube = Tensor::empty({3, 4, 5, 6}, u8);
  touch(cube.slice(1, 0, 2).slice(2, 1, 3), a, kWrite);
  touch(cube.slice(1, 2, 4).slice(2, 1, 3), b, kWrite);
  touch(cube.slice(1, 0, 2).slice(2, 3, 5), c, kWrite);
  CHECK(count() == 2);
  touch(cube.select(3, 5), c, kRead);
  CHECK(count() == 4);
  // Other tensors are other memory.
  touch(y, c, kWrite);
  CHECK(count() == 4);
}

TEST_CASE_FIXTURE(Scene, "check: a report has both accesses, where and who, and what to do") {
  const Tensor half = x.slice(0, 4, 8);
  check::set_label("the producer");
  const int line = __LINE__ + 1;
  a.launch([] {}, writes(half));
  check::set_label("the library");
  touch(x, b, kRead);
  REQUIRE(texts.size() == 1);
  const std::string thread = R"(\S+ \(\d+\))";
  const std::string file = R"([^\n]*test_check\.cpp:)";
  const std::string expected =
      "order: nothing orders these two accesses to one tensor\n"
      "  write of bytes 64 to 128 by launch on stream " +
      std::to_string(a.id()) + ", thread " + thread + ", at " + file + std::to_string(line) +
      ", label \"the producer\"\n"
      "  read of bytes 0 to 128 by uses on stream " +
      std::to_string(b.id()) + ", thread " + thread + ", at " + file + std::to_string(line + 2) +
      ", label \"the library\"\n"
      R"(  let the second wait: pass the tensor to launch\(\) or uses\(\), or call )"
      R"(stream\.wait\(tensor\))";
  INFO(texts.front());
  CHECK(std::regex_match(texts.front(), std::regex(expected)));
  const check::Race race = check::races().front();
  CHECK(race.earlier.tag.label == "the producer");
  CHECK(race.later.tag.label == "the library");
  CHECK(race.earlier.thread == race.later.thread);
  check::set_label("");
  std::thread([&] { touch(x, c, kWrite); }).join();
  CHECK(check::races().back().later.thread != race.later.thread);
  CHECK(texts.back().find("label \"\"") == std::string::npos);
}

TEST_CASE_FIXTURE(Scene, "check: order:raise raises at the access, which counts all the same") {
  check::set_mode(OrderCheck::raise);
  touch(x, a, kWrite);
  CHECK_THROWS_AS(touch(x, b, kRead), StreamError);
  CHECK(texts.empty());
  CHECK(count() == 1);
  const std::string message = thrown_by([&] { touch(x, c, kWrite); });
  CHECK(message.find("nothing orders") != std::string::npos);
  CHECK(message.find("stream.wait(tensor)") != std::string::npos);
  CHECK(count() == 3);  // with both
  x.sync();
  b.wait(x);
  touch(x, b, kWrite);
  CHECK(count() == 3);
}

TEST_CASE_FIXTURE(Scene, "check: what is off is not kept, and streams of then are unknown later") {
  check::set_mode(OrderCheck::off);
  touch(x, a, kWrite);
  check::set_mode(OrderCheck::report);
  touch(x, b, kWrite);
  CHECK(count() == 0);
}

TEST_CASE_FIXTURE(Scene, "check: a block that is used again has nothing of its former owner's") {
  const memory::test::FreshCache cache;
  const auto address = [](const Tensor& tensor) { return tensor.data(); };
  for (int i = 0; i < 3; ++i) {
    void* first = nullptr;
    {
      const Tensor passing = Tensor::empty({100'000}, u8, {}, a);
      first = address(passing);
      touch(passing, a, kWrite);
    }
    a.sync();
    const Stream& next = i == 1 ? b : a;
    const Tensor again = Tensor::empty({100'000}, u8, {}, next);
    CHECK((i == 1 || address(again) == first));
    touch(again, i == 1 ? b : c, kWrite);
    CHECK(count() == 0);
    touch(again, i == 1 ? c : b, kRead);  // but the new owner's own are looked at
    CHECK(count() == 1);
    check::clear_races();
  }
}

TEST_CASE_FIXTURE(Scene, "check: work pending on an import's stream counts as a write") {
  Library library(1);
  int loans = 1;
  {
    const Tensor lent = library.lend(&a);
    SUBCASE("not waited for") {
      touch(lent, b, kRead);
      REQUIRE(count() == 1);
      CHECK(check::races().front().earlier.tag.what == "DLPack");
    }
    SUBCASE("waited for, and with it what came before it there") {
      touch(x, a, kWrite);  // too late to be behind the import
      loans = 2;
      const Tensor other = library.lend(&a);
      b.launch([] {}, reads(other));
      touch(x, b, kRead);
      touch(lent, b, kRead);
      CHECK(count() == 0);
    }
    SUBCASE("on its own stream") {
      touch(lent, a, kWrite);
      CHECK(count() == 0);
    }
    SUBCASE("none was named") {
      loans = 2;
      const Tensor other = library.lend();
      touch(other, b, kWrite);
      CHECK(count() == 0);
    }
  }
  REQUIRE(eventually([&] { return library.releases == loans; }));
}

TEST_CASE_FIXTURE(Scene, "check: the last write is not forgotten for a thousand reads") {
  touch(x, a, kWrite);
  b.wait(x);
  for (int i = 0; i < 1000; ++i) touch(x, b, kRead);
  CHECK(count() == 0);
  touch(x, c, kRead);
  REQUIRE(count() == 1);
  CHECK(check::races().front().earlier.is_write);
  // Of b's reads the last one stands for the others it is like.
  touch(x, a, kWrite);
  CHECK(count() >= 3);
}

TEST_CASE_FIXTURE(Scene, "check: to wait for a tensor covers what was forgotten of it, too") {
  const Tensor wide = Tensor::empty({1000}, u8);
  touch(x, a, kWrite);
  touch(wide.slice(0, 0, 1), a, kWrite);
  for (int i = 1; i < 700; ++i) touch(wide.slice(0, i, i + 1), b, kRead);
  c.launch([] {}, reads(wide));
  touch(x, c, kRead);  // behind a's first write of `wide`, which is forgotten by now
  CHECK(count() == 0);
  touch(y, b, kWrite);
  const Tensor other = Tensor::empty({1000}, u8);
  touch(other.slice(0, 0, 1), b, kRead);
  for (int i = 1; i < 700; ++i) touch(other.slice(0, i, i + 1), a, kRead);
  const Stream d = new_stream();
  d.launch([] {}, reads(other));  // a reader does not wait for reads
  touch(y, d, kRead);
  CHECK(count() == 1);
  d.launch([] {}, writes(other));
  touch(y, d, kRead);
  CHECK(count() == 1);
}
