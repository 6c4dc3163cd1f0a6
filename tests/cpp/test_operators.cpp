// The operators that come with the library: merge, route, loop, probe, synthetic, feed.
#include <penstock/penstock.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace ps = penstock;
using doctest::Contains;

namespace {

ps::Flow count_to(int end, int first = 0) {
  return ps::source([end, n = first]() mutable -> std::optional<int> {
    return n < end ? std::optional(n++) : std::nullopt;
  });
}
template <class T = int>
std::vector<T> taken(const ps::Flow& flow, const ps::RunOptions& options = {}) {
  std::vector<T> all;
  ps::Iterator it = ps::iterate(flow, 4, options);
  while (const auto value = it.next<T>()) all.push_back(*value);
  return all;
}

}  // namespace

TEST_CASE("merge: all of each come, in the order of each, with origin, time and metadata") {
  const auto marked = [](const char* from) {
    return ps::source([from, n = 0]() mutable -> ps::Message {
      if (n == 200) return {};
      ps::Message message = ps::Message::of(n);
      message.set_time_ns(n * 10);
      message.set_metadata({{"from", std::string(from)}});
      ++n;
      return message;
    });
  };
  std::map<std::string, std::vector<int>> seen;
  std::set<std::uint32_t> sources;
  bool all_fit = true;
  static_cast<void>(ps::run(ps::merge(marked("a"), marked("b"), marked("c")) >>
                            [&](const ps::Message& m, ps::Context&) {
                              const int value = m.get<int>();
                              const auto& from = std::get<std::string>(m.metadata()->at("from"));
                              seen[from].push_back(value);
                              sources.insert(m.origin().source);
                              all_fit = all_fit && m.time_ns() == value * 10 &&
                                        m.origin().number == static_cast<std::uint64_t>(value);
                            }));
  CHECK(all_fit);
  CHECK(sources.size() == 3);
  for (const char* from : {"a", "b", "c"}) {
    CAPTURE(from);
    CHECK(seen[from].size() == 200);
    CHECK(std::ranges::is_sorted(seen[from]));
  }
}

TEST_CASE("merge: one that never stops does not keep the other out") {
  const ps::Flow endless = ps::source([] { return -1; });
  int others = 0;
  static_cast<void>(ps::run(ps::merge(endless, count_to(50)) >> [&](int v, ps::Context& context) {
    if (v >= 0 && ++others == 50) context.stop();
  }));
  CHECK(others == 50);
}

TEST_CASE("merge: the two halves of a flow keep their origins for a later join") {
  const ps::Flow x = count_to(100);
  const auto only = [](int rest) {
    return [rest](int v) { return v % 2 == rest ? std::optional(v) : std::nullopt; };
  };
  const ps::Flow mixed = ps::merge(x >> only(0), x >> only(1));
  const auto pairs = taken(ps::op([](int a, int b) { return a - b; })(x, mixed));
  CHECK(pairs == std::vector<int>(100, 0));
}

TEST_CASE("route: each message goes where its key says") {
  const auto even = ps::op([](int v) { return v * 10; }, {.name = "even"});
  const auto odd = ps::op([](int v) { return -v; }, {.name = "odd"});
  auto all = taken(ps::route(count_to(6), [](int v) { return v % 2; }, {{0, even}, {1, odd}}));
  std::ranges::sort(all);
  CHECK(all == std::vector<int>{-5, -3, -1, 0, 20, 40});
}

TEST_CASE("route: what no value matches is counted and dropped, unless there is a default") {
  const auto same = ps::op([](int v) { return v; });
  const auto word = [](int v) { return v % 3 == 0 ? "fizz" : v % 5 == 0 ? "buzz" : ""; };
  std::vector<int> all;
  ps::RunStats stats =
      ps::run(ps::route(count_to(16), word, {{"fizz", same}}, std::nullopt, {.name = "by word"}) >>
              [&](int v) { all.push_back(v); });
  CHECK(all == std::vector<int>{0, 3, 6, 9, 12, 15});
  CHECK(stats.operators.at("by word").unmatched == 10);
  const auto negative = ps::op([](int v) { return -v; });
  auto rest = taken(ps::route(count_to(7), word, {{"fizz", same}}, negative));
  std::ranges::sort(rest);
  CHECK(rest == std::vector<int>{-5, -4, -2, -1, 0, 3, 6});
}

TEST_CASE("route: sinks are run too; the key may be of any message; no case is refused") {
  std::atomic<int> small{0};
  std::atomic<int> big{0};
  const auto key = [](const ps::Message& m) { return m.get<int>() < 3; };
  static_cast<void>(ps::run(
      ps::route(count_to(10), key,
                {{true, ps::op([&](int) { ++small; })}, {false, ps::op([&](int) { ++big; })}})));
  CHECK(small == 3);
  CHECK(big == 7);
  CHECK_THROWS_AS(static_cast<void>(ps::route(count_to(1), key, {})), ps::GraphError);
}

TEST_CASE("route: a join after it finds its partners") {
  const ps::Flow x = count_to(90);
  const auto same = ps::op([](int v) { return v; });
  const ps::Flow mixed = ps::route(x, [](int v) { return v % 3; }, {{0, same}, {1, same}});
  const auto pairs = taken(ps::op([](int a, int b) { return a == b ? a : -1; })(x, mixed));
  REQUIRE(pairs.size() == 60);
  CHECK(std::ranges::count(pairs, -1) == 0);
}

TEST_CASE("loop: it begins with its first messages and ends with the last one in it") {
  const ps::Flow l = ps::loop(1, 100);
  const auto step = [](int v) {
    return v < 50 || (v >= 100 && v < 103) ? std::optional(v + 1) : std::nullopt;
  };
  const ps::Flow y = l >> step;
  static_cast<void>(y >> l);
  for (int again = 0; again < 2; ++again) {
    auto all = taken(y);
    std::ranges::sort(all);
    REQUIRE(all.size() == 49 + 3);
    CHECK(all.front() == 2);
    CHECK(all.back() == 103);
  }
}

TEST_CASE("loop: its messages join by position") {
  const ps::Flow x = count_to(5, 1);
  const ps::Flow sums = ps::loop(0);
  const ps::Flow next = ps::op([](int value, int sum) { return value + sum; })(x, sums);
  static_cast<void>(next >> sums);
  CHECK(taken(next) == std::vector<int>{1, 3, 6, 10});
}

TEST_CASE("loop: what closed it has to be there") {
  const ps::Flow l = ps::loop(1);
  static_cast<void>((l >> [](int v) { return v; }) >> l);
  CHECK_THROWS_WITH_AS(static_cast<void>(ps::run(l >> [](int) {})),
                       Contains("the flow that closed the cycle is gone"), ps::GraphError);
}

TEST_CASE("probe: it prints what passes, and passes it on") {
  std::vector<std::string> lines;
  const ps::ProbeOptions options{.name = "look",
                                 .values = 3,
                                 .print = [&](const std::string& line) { lines.push_back(line); }};
  const ps::Flow frames = ps::synthetic({.height = 4, .width = 6, .count = 2});
  CHECK(taken<ps::Tensor>(ps::probe(frames, options)).size() == 2);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "look #0: (4, 6, 3) uint8 HWC cpu [0, 0, 0, ...]");
  CHECK(lines[1] == "look #1: (4, 6, 3) uint8 HWC cpu [4, 2, 0, ...]");
  lines.clear();
  CHECK(taken(ps::probe(count_to(1), options)) == std::vector<int>{0});
  CHECK(lines == std::vector<std::string>{"look #0: 0"});
  lines.clear();
  const ps::Flow turned = frames >> [](const ps::Tensor& t) { return t.permute({2, 0, 1}); };
  static_cast<void>(ps::run(ps::probe(turned, options)));
  CHECK(lines.at(0) == "look #0: (3, 4, 6) uint8 CHW cpu [0, 1, 2, ...]");
}

TEST_CASE("synthetic: frames that move, with times, as many and as often as asked") {
  std::vector<std::int64_t> times;
  std::vector<int> pixels;
  const auto begun = std::chrono::steady_clock::now();
  static_cast<void>(ps::run(ps::synthetic({.height = 8, .width = 10, .count = 4, .fps = 100}) >>
                            ps::op(
                                [&](const ps::Tensor& frame, ps::Context& context) {
                                  times.push_back(context.message().time_ns());
                                  pixels.push_back(static_cast<const std::uint8_t*>(
                                      frame.data())[(2 * 10 + 5) * 3]);
                                },
                                {}, {.host = {"in"}})));
  CHECK(times == std::vector<std::int64_t>{0, 10'000'000, 20'000'000, 30'000'000});
  CHECK(pixels == std::vector<int>{5, 9, 13, 17});
  CHECK(std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(29));
  CHECK_THROWS_AS(static_cast<void>(ps::synthetic({.width = 0})), ps::GraphError);
}

TEST_CASE("feed: what is put comes out, in order, until it is closed") {
  ps::Feed<int> feed = ps::feed<int>(2);
  std::vector<int> all;
  ps::Run run = ps::start(feed >> [&](int v) { all.push_back(v); });
  for (int i = 0; i < 1000; ++i) feed.put(i);
  feed.close();
  run.wait();
  REQUIRE(all.size() == 1000);
  CHECK(std::ranges::is_sorted(all));
  CHECK_THROWS_WITH_AS(feed.put(1), "feed: put: it is closed", ps::Error);
}

TEST_CASE("feed: full, it makes the program wait, at most as long as asked") {
  ps::Feed<int> feed = ps::feed<int>(2);
  feed.put(0);  // before the run
  feed.put(1);
  CHECK_THROWS_WITH_AS(feed.put(2, 10), Contains("timeout: it was full for 10 ms"), ps::Error);
  ps::Run run = ps::start(feed >> [](int) {});
  feed.put(2);
  run.stop();
  run.wait();
  CHECK_THROWS_WITH_AS(feed.put(3), Contains("its run has ended"), ps::Error);
}

TEST_CASE("feed: a program that waits for room is told that the run has failed") {
  ps::Feed<int> feed = ps::feed<int>(1);
  ps::Run run = ps::start(feed >> [](int v) {
    if (v == 5) throw std::out_of_range("five");
  });
  CHECK_THROWS_WITH_AS(for (int i = 0; i < 1'000'000; ++i) feed.put(i),
                       Contains("its run has ended"), ps::Error);
  CHECK_THROWS_AS(run.wait(), std::out_of_range);
}

TEST_CASE("feed: many threads put at once") {
  ps::Feed<int> feed = ps::feed<int>(3);
  std::atomic<std::int64_t> sum{0};
  ps::Run run = ps::start(feed >> [&](int v) { sum += v; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) feed.put(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  feed.close();
  run.wait();
  CHECK(sum == 4 * 500 * 499 / 2);
}

TEST_CASE("feed: it serves one run at a time") {
  ps::Feed<int> feed = ps::feed<int>();
  const ps::Flow end = feed >> [](int) {};
  feed.put(1);
  ps::Run first = ps::start(end);
  while (first.stats().operators.at("feed").activations == 0) std::this_thread::yield();
  ps::Run second = ps::start(end);
  CHECK_THROWS_WITH_AS(second.wait(), Contains("used by another run already"), ps::GraphError);
}
