#include "trace/counter.hpp"
#include "trace/event_ring.hpp"
#include "trace/histogram.hpp"

#include "base/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

using namespace penstock;

TEST_CASE("trace: a counter sums what all threads add, and is listed by name") {
  static trace::Counter counter("test.adds");
  std::vector<std::thread> threads;
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 10'000; ++i) counter.add(i % 3);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(counter.value() == 20 * 9'999);
  const auto all = trace::counters();
  CHECK(std::count_if(all.begin(), all.end(),
                      [](const auto* one) { return one->name() == "test.adds"; }) == 1);
}

TEST_CASE("trace: a histogram's quantiles are within 7 % of the exact ones") {
  Random random(7);
  trace::Histogram histogram;
  std::vector<std::int64_t> exact;
  for (int i = 0; i < 20'000; ++i) {
    const auto duration = static_cast<std::int64_t>(random.next() >> (10 + random.below(50)));
    exact.push_back(duration);
    histogram.record(duration);
  }
  std::sort(exact.begin(), exact.end());
  CHECK(histogram.count() == 20'000);
  for (const double q : {0.01, 0.25, 0.5, 0.9, 0.99, 1.0}) {
    const auto index = static_cast<std::size_t>(q * 20'000 + 0.999999) - 1;
    const double expected = static_cast<double>(exact[index]);
    CHECK(static_cast<double>(histogram.quantile_ns(q)) ==
          doctest::Approx(expected).epsilon(0.07).scale(expected < 1 ? 1 : 0));
  }
  histogram.record(-5);
  histogram.reset();
  CHECK(histogram.count() == 0);
  CHECK(histogram.quantile_ns(0.5) == 0);
}

TEST_CASE("trace: every duration falls into the bucket around it") {
  Random random(11);
  for (int i = 0; i < 100'000; ++i) {
    const auto duration = static_cast<std::int64_t>(random.next() >> (1 + random.below(63)));
    const std::size_t bucket = trace::Histogram::bucket(duration);
    REQUIRE(bucket < trace::Histogram::kBuckets);
    CHECK(trace::Histogram::bucket(trace::Histogram::middle_ns(bucket)) == bucket);
  }
}

TEST_CASE("trace: a ring keeps the newest events in order") {
  trace::EventRing ring(8);
  for (std::uint64_t i = 0; i < 20; ++i) ring.write(static_cast<std::int64_t>(i), "step", i * i);
  const auto events = ring.read();
  REQUIRE(events.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(events[i].number == 12 + i);
    CHECK(events[i].value == (12 + i) * (12 + i));
    CHECK(std::string(events[i].name) == "step");
  }
  CHECK(ring.written() == 20);
  CHECK(ring.dropped() == 0);
}

TEST_CASE("trace: writers and a reader") {
  trace::EventRing ring(64);
  std::atomic<int> writing{4};
  std::vector<std::thread> writers;
  for (std::uint64_t t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 50'000; ++i) {
        const std::uint64_t value = t * 1'000'000 + i;
        ring.write(static_cast<std::int64_t>(value * 3), "w", value);
      }
      --writing;
    });
  }
  std::uint64_t seen = 0;
  while (writing > 0 || seen == 0) {
    std::uint64_t last = 0;
    for (const trace::Event& event : ring.read()) {
      ++seen;
      REQUIRE(event.time_ns == static_cast<std::int64_t>(event.value * 3));
      REQUIRE((last == 0 || event.number > last));
      last = event.number;
    }
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(ring.written() == 200'000);
  CHECK(ring.read().size() > 0);
}
